// Models of REINVENT, flair, fairseq and ESPnet: their programs' numbers, and refusals by name.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollEngine
@testable import UnrollInterchange

/// The files of `fixtures/torch-programs`, made by `scripts/make/torch-programs-fixtures`.
@Suite("Models of PyTorch programs") struct TorchProgramTests {
  private struct Smiles: Decodable {
    let smiles: [String: [Double]]
  }

  private func path(_ name: String) -> String { Fixtures.path("torch-programs/\(name)") }

  /// Reads a file without a vocabulary of the caller's.
  private func read(_ name: String) throws -> Conversion {
    try PyTorchFormat.read(MappedFile(path: path(name)), options: ReadingOptions())
  }

  private func refusal(_ name: String) throws -> String {
    let error = #expect(throws: InterchangeError.self) {
      try convertFixture("torch-programs/\(name)")
    }
    return try #require(error).description
  }

  @Test(
    "Models of programs have their programs' log-probabilities",
    arguments: [
      "reinvent-gru.prior", "reinvent-lstm.prior", "reinvent4.prior", "flair.pt", "fairseq.pt",
      "fairseq-shared.pt", "espnet-lstm.model", "espnet-gru.model",
    ])
  func logProbabilitiesAreTheirs(name: String) throws {
    let conversion = try convertFixture("torch-programs/\(name)")
    try References("torch-programs").expect(conversion.checkpoint, toBe: name, within: 1e-12)
  }

  @Test(
    "A prior of REINVENT has its tokens of SMILES, and lines from ^ to $",
    arguments: ["reinvent-gru.prior", "reinvent4.prior"])
  func priorsHaveTokens(name: String) throws {
    let checkpoint = try read(name).checkpoint
    let vocabulary = checkpoint.vocabulary
    #expect(vocabulary.text(of: 0) == "$" && vocabulary.text(of: 1) == "^")
    #expect(vocabulary.id(of: "[nH]") != nil && vocabulary.unit == .subword)
    #expect(vocabulary.beginningOfSentenceID == 1 && vocabulary.endOfSentenceID == 0)
    #expect(checkpoint.tokenizer == Tokenizer(kind: .greedy, sentenceStart: .bos))
  }

  @Test("SMILES texts have REINVENT's own likelihoods")
  func smilesHaveTheirLikelihoods() throws {
    let references = try JSONDecoder().decode(
      Smiles.self, from: Data(contentsOf: URL(filePath: path("references.json"))))
    for name in ["reinvent-gru.prior", "reinvent-lstm.prior", "reinvent4.prior"] {
      let expected = try #require(references.smiles[name])
      let model = try LanguageModel(read(name).checkpoint, path: name)
      var found: [Double] = []
      try withTemporaryFolder { folder in
        let text = "\(folder)/smiles.txt"
        try Data("CCO\nc1ccc[nH]1\nClCBr\n".utf8).write(to: URL(filePath: text))
        try model.score(text: text, ScoreSettings()) { score, _ in
          found.append(-(score.logProbability ?? 0))
        }
      }
      #expect(found.count == expected.count)
      // Both in single precision, sums of up to ten numbers.
      for (value, expected) in zip(found, expected) {
        #expect(abs(value - expected) < 2e-5, "\(name)")
      }
    }
  }

  @Test("A prior is written as REINVENT 4 has it, and comes back bit for bit")
  func priorsReturn() throws {
    for name in ["reinvent-gru.prior", "reinvent4.prior"] {
      let checkpoint = try read(name).checkpoint
      try withTemporaryFolder { folder in
        let path = "\(folder)/new.prior"
        #expect(AllFormats.format(named: path)?.name == "reinvent")
        try ReinventFormat.export(checkpoint, to: path)
        let back = try PyTorchFormat.read(MappedFile(path: path), options: ReadingOptions())
        #expect(back.checkpoint.weightsDigest == checkpoint.weightsDigest)
        #expect(back.checkpoint.vocabulary.tokenBytes == checkpoint.vocabulary.tokenBytes)
        #expect(back.checkpoint.vocabulary.endOfSentenceID == 0)
        #expect(back.checkpoint.tokenizer == checkpoint.tokenizer)
      }
    }
  }

  @Test("Models that REINVENT does not have are refused before they are written")
  func otherModelsAreNoPriors() throws {
    let small = Checkpoint.small()
    #expect(throws: InterchangeError.self) { try ReinventFormat.exportNotes(for: small) }
    var other = try read("reinvent-gru.prior").checkpoint
    other.vocabulary = Vocabulary(tokens: (0..<11).map { "\($0)".utf8 }, unit: .word)
    let error = #expect(throws: InterchangeError.self) {
      try ReinventFormat.exportNotes(for: other)
    }
    #expect(error?.found == "no $")
  }

  @Test("flair's tokens are the characters of its dictionary")
  func flairHasCharacters() throws {
    let checkpoint = try read("flair.pt").checkpoint
    #expect(checkpoint.tokenizer.kind == .character)
    #expect(checkpoint.vocabulary.unknownID == 0 && checkpoint.vocabulary.count == 11)
    #expect(checkpoint.vocabulary.id(of: "猫") == 10)
  }

  @Test("A setting of fairseq ties the only matrix, and is noted")
  func fairseqTies() throws {
    let conversion = try convertFixture("torch-programs/fairseq-shared.pt")
    #expect(conversion.checkpoint.architecture.isTied)
    #expect(
      conversion.notes.map(\.description).contains(
        "args.share_decoder_input_output_embed: the output shares the embedding's weight"))
  }

  @Test(
    "Networks that compute more are refused by name",
    arguments: [
      ("refused-normalized.prior", "network_params.layer_normalization"),
      ("refused-linkinvent.prior", "an encoder and a decoder"),
      ("refused-backward.pt", "a backward language model"), ("refused-nout.pt", "proj.weight"),
      ("refused-additional-fc.pt", "decoder.additional_fc"),
      (
        "refused-initial-states.pt",
        "learned initial states: charlstm_h_init [1, 1, 7], charlstm_c_init [1, 1, 7]"
      ),
    ])
  func othersAreRefused(name: String, word: String) throws {
    let message = try refusal(name)
    #expect(message.contains(word), "\(message)")
  }
}
