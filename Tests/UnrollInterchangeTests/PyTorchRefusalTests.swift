// Refused files, and the whole messages.

import Foundation
import Testing
import UnrollTensors

@testable import UnrollInterchange

/// A fixture and what reading it says.
struct Refusal: Sendable {
  let name: String
  let message: String

  init(_ name: String, _ message: String, fix: String) {
    self.name = name
    self.message = "\(name): \(message)\n  fix: \(fix)"
  }

  /// A refusal that shows a map to complete below.
  init(_ name: String, _ message: String, advice: String) {
    self.init(
      name, message,
      fix: advice + " with --map FILE; `unroll convert --print-map MODEL` writes this map to "
        + "complete (null ignores a tensor):\n{")
  }

  static let all = [
    Refusal(
      "hostile-big-endian.pt",
      "archive/byteorder: expected \"little\", found \"big\"",
      fix: "load the model on a little-endian machine and save it again with torch.save"),
    Refusal(
      "hostile-cycle.pt",
      "archive/data.pkl: expected recurrent tensors *.weight_ih_l0 of an nn.LSTM, nn.GRU or "
        + "nn.RNN, or *.weight_ih of cells, found no tensors",
      advice: "if it is a recurrent language model, say which tensor is which"),
    Refusal(
      "hostile-deflated.pt",
      "archive/data.pkl: expected a stored record, as torch.save writes it, found a "
        + "deflated one",
      fix: "unpack the archive and pack it again without compression (`zip -0 -r`)"),
    Refusal(
      "hostile-depth.pt",
      "archive/data.pkl: expected a state_dict, a module, or a dictionary that holds one, "
        + "found a list of 1 items: a list of 1 items",
      fix: "save the weights of the language model: `torch.save(model.state_dict(), \"new.pt\")`"),
    Refusal(
      "hostile-flipped.pt",
      "lstm-state/data/2: expected CRC-32 0x47d568a4, found 0xd80feb3a",
      fix: "the file is damaged or not from torch.save; copy it again or save the model again"),
    Refusal(
      "hostile-huge-numel.pt",
      "archive/data/0: expected 4611686018427387904 elements of 4 bytes, as data.pkl says, "
        + "found 24 bytes",
      fix: "the file is damaged; copy it again or save the model again"),
    Refusal(
      "hostile-huge-shape.pt",
      "encoder.weight: expected a view inside the 6 elements of archive/data/0, found "
        + "sizes [4611686018427387904, 4611686018427387904], strides [4611686018427387904, 1], "
        + "offset 0",
      fix: "the pickle is damaged; save the model again"),
    Refusal(
      "hostile-laughs.pt",
      "archive/data.pkl: expected a state_dict, a module, or a dictionary that holds one, "
        + "found a tuple of 2 items: a tuple of 2 items, a tuple of 2 items",
      fix: "save the weights of the language model: `torch.save(model.state_dict(), \"new.pt\")`"),
    Refusal(
      "hostile-long-string.pt",
      "archive/data.pkl, byte 2, BINUNICODE: expected 4294967295 bytes, found 4",
      fix: "the pickle is damaged or not from torch.save; save the model again"),
    Refusal(
      "hostile-memo.pt",
      "archive/data.pkl, byte 8, LONG_BINGET: expected a memo entry 4294967294, found none",
      fix: "the pickle is damaged or not from torch.save; save the model again"),
    Refusal(
      "hostile-negative.pt",
      "encoder.weight: expected a view inside the 6 elements of archive/data/0, found "
        + "sizes [-2, 3], strides [3, 1], offset 0",
      fix: "the pickle is damaged; save the model again"),
    Refusal(
      "hostile-no-pickle.pt",
      "expected one record FOLDER/data.pkl, found none",
      fix: "the file is damaged or not from torch.save; copy it again or save the model again"),
    Refusal(
      "hostile-offset.pt",
      "encoder.weight: expected a view inside the 6 elements of archive/data/0, found "
        + "sizes [2, 3], strides [3, 1], offset 1",
      fix: "the pickle is damaged; save the model again"),
    Refusal(
      "hostile-overlap.pt",
      "archive/data/0: expected a record of its own bytes, found an overlap with "
        + "archive/data.pkl",
      fix: "the file is damaged or not from torch.save; copy it again or save the model again"),
    Refusal(
      "hostile-short-record.pt",
      "archive/data/0: expected 6 elements of 4 bytes, as data.pkl says, found 20 bytes",
      fix: "the file is damaged; copy it again or save the model again"),
    Refusal(
      "hostile-system.pt",
      "encoder.weight: expected a dense tensor, found an object made by posix.system",
      fix: "save the weights of the language model: `torch.save(model.state_dict(), \"new.pt\")`"),
    Refusal(
      "hostile-truncated.pt",
      "expected a ZIP archive that ends with an END record, found none",
      fix: "the file is damaged or not from torch.save; copy it again or save the model again"),
    Refusal(
      "refused-bidirectional.pt",
      "rnn.weight_ih_l0_reverse: expected layers of one direction, found a bidirectional "
        + "layer",
      fix: "a language model reads from left to right; bidirectional models are not converted"),
    Refusal(
      "refused-gap.pt",
      "rnn.weight_ih_l2: expected layers numbered without gaps, 0 to 0, found a tensor "
        + "that belongs to none of them",
      fix: "save the whole state_dict"),
    Refusal(
      "refused-modules-gap.pt",
      "refused-modules-gap/data.pkl: expected one recurrent module, or a sequence that its numbers "
        + "order, found rnns.0.weight_ih_l0, rnns.2.weight_ih_l0",
      advice: "if these are the layers of one model, one after the other, say their order"),
    Refusal(
      "refused-integers.pt",
      "decoder.bias: expected float16, bfloat16, float32 or float64, found int64",
      fix: "convert it first: `model.float()`, then save the state_dict"),
    Refusal(
      "refused-layer-shapes.pt",
      "rnn.weight_hh_l0: expected shape [28, 7], found [27, 7]",
      fix: "the tensors do not make a model; save the state_dict of the trained one"),
    Refusal(
      "refused-leftover.pt",
      "refused-leftover/data.pkl: expected no tensors but embedding, recurrent layers and "
        + "output, found extra.weight [3, 2]",
      advice: "a model that computes with them cannot be converted; if it does not, leave them out "
        + "with `--ignore extra.weight`; if one is a parameter under another name, say so"),
    Refusal(
      "refused-output-rows.pt",
      "decoder.bias: expected shape [11], found [12]",
      fix: "the tensors do not make a model; save the state_dict of the trained one"),
    Refusal(
      "refused-overlapping-views.pt",
      "decoder.weight: expected the embedding's matrix, or one of its own, found a view "
        + "[11, 7] that overlaps encoder.weight [11, 7]",
      fix: "save contiguous copies of both weights"),
    Refusal(
      "refused-projection.pt",
      "refused-projection/data.pkl: expected an embedding [V, 5] and an output [V, 3] beside the "
        + "recurrent layers, found encoder.weight [11, 5], decoder.weight [11, 7], decoder.bias [11]",
      advice: "a model with other layers between these parts cannot be converted; if one weight is "
        + "both, say so (`\"tied\": true`)"),
    Refusal(
      "refused-script.pt",
      "refused-script/code/__torch__/torch/nn/modules/linear.py: expected a file of "
        + "torch.save, found a TorchScript archive",
      fix: "save the weights: `torch.save(torch.jit.load(...).state_dict(), \"new.pt\")`"),
  ]
}

@Suite("Refusals of PyTorch files") struct PyTorchRefusalTests {
  @Test(
    "A hostile or unsupported PyTorch file is refused with its whole message",
    arguments: Refusal.all)
  func refusedFixtures(refusal: Refusal) throws {
    let message = try PyTorchFixtures.refusal(of: refusal.name)
    // A map has its own tests.
    let end = message.range(of: "\n{")?.upperBound ?? message.endIndex
    #expect(message[..<end] == refusal.message)
  }

  @Test("Every hostile or refused fixture is in the table of messages or tested elsewhere")
  func everyRefusedFixture() throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: PyTorchFixtures.path(""))
      .filter { $0.hasPrefix("hostile-") || $0.hasPrefix("refused-") }
    // Read by now: the list, which has one model, the pair that its order tells apart, and the container of
    // before PyTorch 1.6.
    let elsewhere = [
      "refused-ambiguous.pt",
      "hostile-expanded.pt", "hostile-modules.pt", "refused-legacy.pt", "refused-list.pt",
    ]
    #expect(Set(names) == Set(Refusal.all.map(\.name) + elsewhere))
  }

  @Test("A pickle that calls os.system executes nothing")
  func noExecution() throws {
    let mark = "/tmp/unroll-pickle-was-executed"
    try? FileManager.default.removeItem(atPath: mark)
    _ = try PyTorchFixtures.refusal(of: "hostile-system.pt")
    #expect(!FileManager.default.fileExists(atPath: mark))
  }

  /// 2^40 paths to the same few modules.
  @Test("Modules that share each other are walked within a limit of entries")
  func sharedModules() throws {
    #expect(
      try PyTorchFixtures.refusal(of: "hostile-modules.pt") == """
        hostile-modules.pt: archive/data.pkl: expected a model of at most 400000 entries, found more
          fix: save the weights of the language model: `torch.save(model.state_dict(), "new.pt")`
        """)
  }

  @Test("A tensor expanded to terabytes is refused without being copied")
  func hugeExpansion() throws {
    let torch = try TorchFile(MappedFile(path: PyTorchFixtures.path("hostile-expanded.pt")))
    let entry = try #require(torch.graph.entries(torch.graph.root)?.first)
    let tensor = try #require(try torch.tensor(at: entry.value, named: "encoder.weight"))
    var room = torch.roomForCopies
    let error = #expect(throws: InterchangeError.self) {
      try torch.contents(of: tensor, named: "encoder.weight", room: &room)
    }
    #expect(error?.expected == "tensors not much larger than the file in all")
    #expect(error?.found == "shape [1099511627776, 6] expanded from 6 elements")
  }

  @Test("Control characters in messages are escaped")
  func controlCharacters() {
    let error = InterchangeError(
      file: "a.pt", place: "x\u{1B}[2J", expected: "b", found: "c\nd", fix: "e")
    #expect(error.description == "a.pt: x\\u{1b}[2J: expected b, found c\\u{a}d\n  fix: e")
  }

  // MARK: - What the caller has to say

  @Test("Weights without a vocabulary are refused with the options that give one")
  func missingVocabulary() throws {
    #expect(
      try PyTorchFixtures.refusal(of: "lstm-state.pt", vocabularySize: nil) == """
        lstm-state.pt: encoder.weight: expected a vocabulary of 11 tokens, one for each row, \
        found none
          fix: files of weights hold no words: give a list of tokens with `--vocabulary FILE`, or to \
        `unroll convert` the folder of the training texts with `--corpus FOLDER`
        """)
  }

  @Test("A vocabulary of another size than the embedding is refused")
  func otherVocabularySize() throws {
    #expect(
      try PyTorchFixtures.refusal(of: "lstm-state.pt", vocabularySize: 12) == """
        lstm-state.pt: encoder.weight: expected a token for each of 11 rows in the vocabulary \
        given, found 12 tokens
          fix: give the corpus or vocabulary that the model was trained on, and its tokenizer
        """)
  }

  @Test("A vanilla RNN without a known activation asks for --nonlinearity")
  func missingActivation() throws {
    #expect(
      try PyTorchFixtures.refusal(of: "rnn_tanh-state.pt") == """
        rnn_tanh-state.pt: rnn.weight_ih_l0: expected the activation of a vanilla RNN, \
        found none in the file
          fix: say which one: `--nonlinearity tanh` or `--nonlinearity relu`
        """)
  }

  @Test("--nonlinearity that contradicts the file is refused")
  func contradictingActivation() throws {
    #expect(
      try PyTorchFixtures.refusal(of: "rnn_tanh-module.pt", nonlinearity: .relu) == """
        rnn_tanh-module.pt: rnn.weight_ih_l0: expected nonlinearity relu, as requested, \
        found tanh (rnn)
          fix: leave out `--nonlinearity`
        """)
  }
}
