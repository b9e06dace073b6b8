// Files whose names do not say what a model computes: right, or refused by name.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

/// The files of `fixtures/roles`, made by `scripts/make/roles-fixtures`.
@Suite("Roles of tensors") struct RolesTests {
  private func convert(
    _ name: String, _ change: (inout ReadingOptions) throws -> Void = { _ in }
  ) throws -> Conversion {
    try convertFixture("roles/\(name)", change)
  }

  private func map(_ name: String) throws -> NameMap {
    try NameMap(contentsOf: Fixtures.path("roles/\(name)"))
  }

  private func refusal(
    _ name: String, _ change: (inout ReadingOptions) throws -> Void = { _ in }
  ) throws -> String {
    let error = #expect(throws: InterchangeError.self) { try convert(name, change) }
    return try #require(error).description.replacing(Fixtures.path("roles") + "/", with: "")
  }

  private func expect(
    _ conversion: Conversion, toBe name: String, within tolerance: Double = 1e-6
  ) throws {
    try References("roles").expect(conversion.checkpoint, toBe: name, within: tolerance)
  }

  // MARK: - Gate order

  @Test("A map states the order of gate blocks, and the numbers are the producer's")
  func mapStatesGates() throws {
    try expect(
      try convert("ifog-letters.pt") { $0.map = try map("ifog-letters.json") }, toBe: "ifog-cell")
  }

  @Test("A map without a gate order notes the order that is assumed, and marks it as assumed")
  func mapWithoutGatesIsNoted() throws {
    let conversion = try convert("ifog-letters.pt") { $0.map = try map("ifgo-letters.json") }
    #expect(conversion.areGatesAssumed)
    #expect(conversion.notes.contains { $0.message.contains("PyTorch's order, ifgo") })
    let plain = try convert("plain.pt")
    #expect(!plain.areGatesAssumed)
    #expect(!plain.notes.contains { $0.message.contains("ifgo") })
  }

  @Test("Custom cells are read with a note on their assumed gate order")
  func ownCellsAreNoted() throws {
    #expect(try convert("ifog-cell.pt").areGatesAssumed)
  }

  @Test("A whole module of a custom recurrent class needs a stated gate order")
  func ownClassesNeedTheirGates() throws {
    let message = try refusal("ifog-module.pt")
    #expect(message.contains("the class own.OwnCell") && message.contains("\"gates\""))
    let path = temporaryFile(#"{"gates": "ifog"}"#)
    try expect(
      try convert("ifog-module.pt") { $0.map = try NameMap(contentsOf: path) }, toBe: "ifog-cell")
  }

  @Test("A gate order of another cell than the model's is refused")
  func gatesOfAnotherCellAreRefused() throws {
    let path = temporaryFile(#"{"gates": "rzn"}"#)
    let message = try refusal("plain.pt") { $0.map = try NameMap(contentsOf: path) }
    #expect(message.contains("the order of the gates of lstm"))
  }

  @Test(
    "Gate orders are permutations of one cell's letters",
    arguments: [
      ("ifog", [0, 1, 3, 2]), ("icfo", [0, 2, 1, 3]), ("ijfo", [0, 2, 1, 3]), ("zrn", [1, 0, 2]),
    ])
  func gateOrders(letters: String, blocks: [Int]) throws {
    #expect(try #require(GateOrder(letters)).blocks == blocks)
  }

  @Test(
    "Letters that are no gate order are refused", arguments: ["", "ifg", "iffo", "rzno", "abcd"])
  func otherLettersAreNoOrder(letters: String) {
    #expect(GateOrder(letters) == nil)
  }

  // MARK: - Embedding and output

  @Test("A misleading part of a name does not decide the roles of equal shapes")
  func misleadingNames() throws {
    try expect(try convert("misleading-name.pt"), toBe: "misleading-name")
  }

  @Test("Names and order that contradict each other are refused with a map to complete")
  func contradictionsAreRefused() throws {
    let message = try refusal("contradicting-name.pt")
    #expect(message.contains("evidence that does not agree"))
    #expect(message.contains("\"encoder.weight\": \"a.weight\""))
  }

  @Test(
    "One name twice, or a stated tie, shares the embedding with the output",
    arguments: ["tie-by-name.json", "tie-stated.json"])
  func tiesAreStated(map name: String) throws {
    let message = try refusal("functional-tie.pt")
    #expect(message.contains("\"tied\": true") && message.contains("\"embed.weight\""))
    let conversion = try convert("functional-tie.pt") { $0.map = try map(name) }
    #expect(conversion.checkpoint.architecture.isTied)
    try expect(conversion, toBe: "functional-tie")
  }

  @Test("Two matrices that only their order in the file distinguishes get roles by it, with a note")
  func orderDecides() throws {
    let tokens = Vocabulary(tokens: (0..<11).map { "token\($0)".utf8 }, unit: .word)
    let conversion = try PyTorchFormat.read(
      MappedFile(path: Fixtures.path("pytorch/refused-ambiguous.pt")),
      options: ReadingOptions(vocabulary: tokens))
    #expect(conversion.notes.contains { $0.message.contains("a.weight, rnn, b.weight") })
  }

  @Test("A configuration beside a .bin says that weights are tied")
  func configurationsTie() throws {
    let conversion = try convert("pytorch_model.bin") {
      $0.configuration = try MappedFile(path: Fixtures.path("roles/config.json"))
    }
    try expect(conversion, toBe: "functional-tie")
    #expect(
      conversion.notes.map(\.description).contains(
        "out_bias: assumed to be the bias of the output"))
  }

  // MARK: - Sequences

  @Test(
    "Numbered cells and modules are layers one after the other", arguments: ["cells", "numbered"])
  func numberedModules(name: String) throws {
    try expect(try convert("\(name).pt"), toBe: name)
  }

  @Test("Modules whose names tell no order are refused, and a map gives the order")
  func unorderedModules() throws {
    let message = try refusal("unordered.pt")
    #expect(message.contains("upper.weight_ih_l0, lower.weight_ih_l0"))
    let start = try #require(message.firstIndex(of: "{"))
    let path = temporaryFile(String(message[start...]))
    try expect(
      try convert("unordered.pt") { $0.map = try NameMap(contentsOf: path) }, toBe: "numbered")
  }

  @Test("Textbook letters include the biases b and c")
  func textbookLetters() throws {
    try expect(try convert("textbook.npz"), toBe: "textbook", within: 1e-12)
  }

  // MARK: - Weights in parts

  @Test(
    "Normalized and pruned weights are computed from their parts",
    arguments: [
      "weight-norm", "weight-norm-new", "weight-norm-recurrent", "spectral-norm",
      "spectral-norm-new", "pruned",
    ])
  func weightsInParts(name: String) throws {
    let conversion = try convert("\(name).pt")
    #expect(conversion.notes.contains { $0.message.hasPrefix("computed from ") })
    // PyTorch computes them in single precision.
    try expect(conversion, toBe: name, within: 2e-6)
  }

  @Test(
    "A part without its other parts, and other parametrizations, are refused",
    arguments: ["weight-norm-part.pt", "orthogonal.pt"])
  func otherPartsAreRefused(name: String) throws {
    #expect(try refusal(name).contains("a part of a parametrization"))
  }

  @Test("A part of a weight cannot be ignored")
  func partsAreNotIgnored() throws {
    let message = try refusal("weight-norm.pt") { $0.ignored = ["decoder.weight_g"] }
    #expect(message.contains("do not ignore a part"))
  }

  // MARK: - Wrappers

  @Test(
    "A state_dict is found under any name, at any depth",
    arguments: [
      "wrapped.pt", "wrapped-list.pt", "wrapped-deep.pt", "named-list.pt", "forward.pt",
      "numpy-arrays.pt", "state.pkl", "state-tokens.pkl", "module.pkl", "integer-buffer.pt",
    ])
  func wrappersAreOpened(name: String) throws {
    try expect(try convert(name), toBe: "plain")
  }

  @Test(
    "Lists of tokens are found under any name",
    arguments: ["wrapped-list.pt", "wrapped-deep.pt", "state-tokens.pkl"])
  func listsAreFound(name: String) throws {
    let conversion = try convert(name) { $0.vocabulary = nil }
    #expect(conversion.checkpoint.vocabulary.text(of: 10) == "token10")
  }

  @Test("Several models in a file are named, and --root chooses one")
  func severalModels() throws {
    let message = try refusal("two-models.pt")
    #expect(message.contains("several: model, ema") && message.contains("--root model"))
    try expect(try convert("two-models.pt") { $0.root = "model" }, toBe: "plain")
    #expect(throws: InterchangeError.self) { try convert("two-models.pt") { $0.root = "other" } }
  }

  @Test(
    "Whole modules of PyTorch 0.3, whose parameters are calls, have the numbers of their state_dict",
    arguments: ["torch03-module.pt", "torch03-module-python2.pt"])
  func oldModules(name: String) throws {
    func parameters(_ name: String) throws -> ParameterTree<Tensor> {
      try convert(name) {
        $0.vocabulary = Vocabulary(tokens: (0..<9).map { "token\($0)".utf8 }, unit: .word)
      }.checkpoint.parameters
    }
    let state = try parameters("torch03-state.pt")
    let module = try parameters(name)
    #expect(module.paths == state.paths && module.paths.count == 7)
    for path in state.paths {
      #expect(module[path]?.floats() == state[path]?.floats())
    }
  }

  // MARK: - Refused by name

  @Test(
    "Models that compute something else are refused by what they are",
    arguments: [
      ("backward.pt", "a backward language model"),
      ("layer-norm-setting.pt", "a normalization between the layers"),
      ("module-relu.pt", "a torch.nn.modules.activation.ReLU"),
      ("module-norm.pt", "a torch.nn.modules.normalization.LayerNorm"),
      ("quantised.pt", "a quantised model"),
      ("classifier.pt", "a classifier of 3 classes over 11 tokens"),
      ("encoder-only.pt", "an encoder without an output layer"),
      ("convolutional.pt", "a convolutional network"),
      ("transformer.pt", "a Transformer"),
      ("unnamed-list.pt", "a list of 11 items"),
      ("hidden-state.pt", "hidden.0 [2, 1, 7]"),
      ("loss-weight.pt", "criterion.weight [11], ppl.total []"),
    ])
  func otherModelsAreNamed(name: String, kind: String) throws {
    #expect(try refusal(name).contains(kind))
  }

  @Test("What a refusal says to ignore can be ignored, with a note")
  func adviceToIgnoreWorks() throws {
    let message = try refusal("loss-weight.pt")
    #expect(message.contains("--ignore criterion.weight --ignore ppl.total"))
    let conversion = try convert("loss-weight.pt") {
      $0.ignored = ["criterion.weight", "ppl.total"]
    }
    try expect(conversion, toBe: "plain")
    #expect(conversion.notes.contains { $0.message.hasPrefix("ignored, as requested") })
    #expect(throws: InterchangeError.self) { try convert("plain.pt") { $0.ignored = ["none"] } }
  }

  @Test("A map ignores tensors by null, and its skeleton has to be completed")
  func mapsIgnore() throws {
    let path = temporaryFile(#"{"criterion.weight": null, "ppl.total": null}"#)
    try expect(
      try convert("loss-weight.pt") { $0.map = try NameMap(contentsOf: path) }, toBe: "plain")
    for text in [
      #"{"unassigned": {"a": "[3]"}}"#, #"{"encoder.weight": "?"}"#, #"{"gates": "xyz"}"#,
      #"{"rnn.weight_ih_l0": "a", "rnn.weight_hh_l0": "a"}"#, "{}", "[]",
    ] {
      let path = temporaryFile(text)
      defer { try? FileManager.default.removeItem(atPath: path) }
      #expect(throws: InterchangeError.self) { try NameMap(contentsOf: path) }
    }
  }

  @Test("A dropout module changes nothing at evaluation")
  func dropoutIsPassed() throws {
    _ = try convert("module-dropout.pt")
  }

  private func temporaryFile(_ text: String) -> String {
    let path = NSTemporaryDirectory() + "unroll-roles-\(UUID().uuidString).json"
    #expect(FileManager.default.createFile(atPath: path, contents: Data(text.utf8)))
    return path
  }
}
