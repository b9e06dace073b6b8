// Files of torch.save in which something beside names and numbers decides what a model computes.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

/// The files of `fixtures/torch-modules`, made by `scripts/make/torch-modules-fixtures`.
@Suite("Classes, bits and settings of PyTorch's files") struct TorchModulesTests {
  private func convert(
    _ name: String, _ change: (inout ReadingOptions) throws -> Void = { _ in }
  ) throws -> Conversion {
    try convertFixture("torch-modules/\(name)", change)
  }

  private func refusal(
    _ name: String, _ change: (inout ReadingOptions) throws -> Void = { _ in }
  ) throws -> String {
    let error = #expect(throws: InterchangeError.self) { try convert(name, change) }
    return try #require(error).description.replacing(Fixtures.path("torch-modules") + "/", with: "")
  }

  private func expect(_ conversion: Conversion, toBe name: String) throws {
    try References("torch-modules").expect(conversion.checkpoint, toBe: name, within: 1e-6)
  }

  private func notes(_ conversion: Conversion) -> [String] { conversion.notes.map(\.description) }

  /// A map in a file of its own.
  private func map(_ text: String) throws -> NameMap {
    let path = NSTemporaryDirectory() + "unroll-modules-\(UUID().uuidString).json"
    try Data(text.utf8).write(to: URL(filePath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try NameMap(contentsOf: path)
  }

  // MARK: - Bits

  @Test(
    "Tensors with the negative bit have the other sign, in both containers",
    arguments: ["negative.pt", "negative-legacy.pt", "negative-parts.pt"])
  func negativeBit(name: String) throws {
    try expect(try convert(name), toBe: "negative")
  }

  @Test("Metadata that sets nothing changes nothing")
  func metadataThatSetsNothing() throws {
    try expect(try convert("metadata-false.pt"), toBe: "negative")
  }

  @Test(
    "Unknown metadata of a tensor is refused by the tensor's name",
    arguments: [
      ("conjugate", "sets the string \"conj\""), ("unknown", "sets the string \"backend\""),
      ("number", "sets the string \"neg\""), ("list", "the arguments of _rebuild_tensor_v2"),
    ])
  func otherMetadata(name: String, message: String) throws {
    let refusal = try refusal("refused-metadata-\(name).pt")
    #expect(refusal.contains("decoder.bias: expected") && refusal.contains(message))
  }

  // MARK: - Settings

  @Test("A whole module of an RNNCell has its own nonlinearity", arguments: ["relu", "tanh"])
  func cellsNameTheirNonlinearity(name: String) throws {
    let conversion = try convert("cell-\(name).pt")
    try expect(conversion, toBe: "cell-\(name)")
    let other: Activation = name == "relu" ? .tanh : .relu
    let message = try refusal("cell-\(name).pt") { $0.nonlinearity = other }
    #expect(message.contains("found \(name) (rnn)"))
    #expect(try refusal("cell-tanh-state.pt").contains("found none in the file"))
  }

  @Test(
    "A setting beside a vanilla RNN states its nonlinearity, with a note",
    arguments: ["arguments-relu-namespace.pt", "arguments-relu-kind.pt"])
  func settingsStateTheNonlinearity(name: String) throws {
    let place = name == "arguments-relu-kind.pt" ? "args.model" : "args.nonlinearity"
    let conversion = try convert(name)
    try expect(conversion, toBe: "arguments-relu")
    #expect(notes(conversion).contains("\(place): activation of the vanilla RNN cells: relu"))
    let message = try refusal(name) { $0.nonlinearity = .tanh }
    #expect(message.contains("found relu (\(place))") && message.contains("--ignore \(place)"))
    // The advice works.
    _ = try convert(name) {
      $0.nonlinearity = .tanh
      $0.ignored = [place]
    }
  }

  @Test("Settings that state two nonlinearities leave the choice open")
  func settingsThatDiffer() throws {
    #expect(
      try refusal("arguments-both.pt").contains(
        "found several: args.inner.nonlinearity tanh, args.nonlinearity relu"))
    try expect(try convert("arguments-both.pt") { $0.nonlinearity = .relu }, toBe: "arguments-relu")
  }

  @Test("A setting that no tensor shows is refused by its path, and can be ignored as advised")
  func settingsAreRefused() throws {
    let message = try refusal("setting.pt")
    #expect(
      message.hasPrefix(
        "setting.pt: args.inner.layer-Norm: expected a language model of embedding, recurrent layers and "
          + "output, found a normalization between the layers that has no parameters (layer-Norm is 1)"
      ))
    #expect(message.contains("--ignore args.inner.layer-Norm`"))
    for path in ["args.inner.layer-Norm", "args"] {
      let conversion = try convert("setting.pt") { $0.ignored = [path] }
      try expect(conversion, toBe: "setting")
      #expect(notes(conversion).contains("\(path): ignored, as requested"))
    }
  }

  @Test(
    "Settings that change the model are recognized in any spelling of name and value",
    arguments: [
      ("use_layernorm", SettingValue.bool(true)), ("layer_norm", .number(1)),
      ("layer_norm", .text("true")), ("layerNorm", .bool(true)), ("batchnorm", .text("Yes")),
      ("skip", .bool(true)), ("attention", .text("dot")), ("bidir", .number(1)),
      ("is_backward", .bool(true)), ("direction", .text("backward")), ("isForwardLM", .bool(false)),
      ("is_forward_lm", .text("no")), ("residual", .text("yes")), ("use-attention", .bool(true)),
      ("num_directions", .number(2)), ("direction", .text("Bidirectional")),
      ("norm", .text("layer")),
    ])
  func settingsThatChangeTheModel(name: String, value: SettingValue) {
    #expect(ModelSetting.meaning(of: name, value) != nil)
  }

  @Test(
    "Settings that are off or unrelated do not change the model",
    arguments: [
      ("use_layernorm", SettingValue.bool(false)), ("layer_norm", .number(0)),
      ("layer_norm", .text("None")), ("batchnorm", .text("off")), ("skip", .text("0")),
      ("attention", .text("no")), ("attention_dropout", .number(0.1)), ("bidir", .text("False")),
      ("direction", .text("forward")), ("is_forward_lm", .bool(true)),
      ("num_directions", .number(1)),
      ("norm", .number(5)), ("layer_norm_eps", .number(1e-5)), ("skipgram", .bool(true)),
      ("user_attention_span", .number(3)),
    ])
  func settingsThatChangeNothing(name: String, value: SettingValue) {
    #expect(ModelSetting.meaning(of: name, value) == nil)
  }

  // MARK: - Classes

  @Test(
    "A class derived from PyTorch's is refused by its name until a map states the roles",
    arguments: [
      ("lstm", "own.OwnLSTM", ""), ("rnn", "own.OwnRNN", "rnn.weight_ih_l0"),
      ("linear", "own.OwnLinear", "decoder.weight"),
      ("embedding", "own.OwnEmbedding", "encoder.weight"),
    ])
  func derivedClasses(name: String, kind: String, tensor: String) throws {
    let message = try refusal("own-\(name).pt")
    #expect(message.contains("the class \(kind)"))
    // The map that the refusal shows is one that states it.
    let start = try #require(message.firstIndex(of: "{"))
    let shown = String(message[start...])
    try expect(try convert("own-\(name).pt") { $0.map = try map(shown) }, toBe: "own-\(name)")
    guard name != "lstm" else { return }
    // A map of another tensor does not.
    let other = tensor == "decoder.weight" ? "encoder.weight" : "decoder.weight"
    let elsewhere = try refusal("own-\(name).pt") {
      $0.map = try map("{\"\(other)\": \"\(other)\"}")
    }
    #expect(elsewhere.contains("the class \(kind)"))
  }

  @Test("A bag of embeddings is refused by its class")
  func bags() throws {
    #expect(
      try refusal("embedding-bag.pt").contains(
        "encoder.weight: expected a tensor of nn.Embedding, whose computation is known, found one of the "
          + "class torch.nn.modules.sparse.EmbeddingBag"))
  }

  @Test("A parameter of the model itself, outside its modules, is read")
  func parametersOfTheModel() throws {
    try expect(try convert("own-bias.pt"), toBe: "own-bias")
  }

  // MARK: - Norms

  @Test(
    "Embedding rows beyond max_norm are refused with the call that rescales them",
    arguments: ["two", "one", "infinity"])
  func largestNorms(name: String) throws {
    let message = try refusal("refused-norm-\(name).pt")
    #expect(message.contains("encoder.weight: expected rows of a norm of at most"))
    #expect(message.contains("`model.encoder(torch.arange(11))`"))
    let conversion = try convert("norm-\(name).pt")
    try expect(conversion, toBe: "norm-\(name)")
    #expect(notes(conversion).contains { $0.contains("which no row exceeds") })
  }

  @Test("Options of an embedding for training alone are read without a note")
  func optionsOfTraining() throws {
    #expect(try convert("embedding-options.pt").notes.count == 1)
  }
}
