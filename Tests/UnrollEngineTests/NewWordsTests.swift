// swift-format-ignore-file: AlwaysUseLowerCamelCase
// New words: old rows stay, old probabilities stay where they can, and what is new is what was asked for.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollEngine
@testable import UnrollNeural

@Suite("New words of a vocabulary") struct NewWordsTests {
  /// Adds the words of a text to a model.
  private func apply(
    _ words: NewWords, to checkpoint: Checkpoint, text: String
  ) throws -> (checkpoint: Checkpoint, report: NewWordsReport) {
    try withTemporaryFolder { folder in
      let path = "\(folder)/text.txt"
      try Data(text.utf8).write(to: URL(filePath: path))
      return try words.apply(to: checkpoint, path: "model.h5", text: path)
    }
  }

  private func tokens(_ checkpoint: Checkpoint) -> [String] {
    checkpoint.vocabulary.indices.map { checkpoint.vocabulary.text(of: $0) }
  }

  private func row(_ path: ParameterPath, _ id: Int, _ checkpoint: Checkpoint) throws -> [Float] {
    let tensor = try #require(checkpoint.parameters[path])
    let width = tensor.shape.dimensions.dropFirst().reduce(1, *)
    return Array(try #require(tensor.floats())[id * width..<(id + 1) * width])
  }

  private static let text = "the bird sat on the catmat\na bird ran\n"

  @Test(
    "Old words keep their probabilities, and new ones share that of the unknown word",
    arguments: [(Cell.lstm, false), (.gru, true), (.rnn, false)])
  func oldProbabilities(cell: Cell, isTied: Bool) throws {
    let old = Checkpoint.small(
      cell: cell, tied: isTied, hidden: isTied ? [7, 5] : [7, 6])
    let (new, report) = try apply(NewWords(), to: old, text: Self.text)
    #expect(tokens(new) == tokens(old) + ["bird", "catmat", "ran"])
    #expect(report.newCount == 3 && report.droppedCount == 0 && report.rows == .unknown)
    for path in [ParameterPath.embeddingWeight, .outputWeight]
    where old.parameters[path] != nil {
      for id in 0..<11 { #expect(try row(path, id, new) == row(path, id, old)) }
      for id in 11..<14 { #expect(try row(path, id, new) == row(path, 10, old)) }
    }
    for id in 0..<10 {
      #expect(try row(.outputBias, id, new) == row(.outputBias, id, old))
    }
    // Each place after any old words, a new one read like the unknown one.
    let inputs: [Int32] = [3, 0, 10, 1, 2, 7, 10, 4]
    func logProbabilities(_ checkpoint: Checkpoint, _ inputs: [Int32]) throws -> [Float] {
      let model = try RecurrentModel(
        architecture: checkpoint.architecture, parameters: checkpoint.parameters)
      var state = model.zeroState(columns: 1)
      return try model.logDistributions(inputs: inputs, state: &state)
    }
    let expected = try logProbabilities(old, inputs)
    let found = try logProbabilities(new, inputs.map { $0 == 10 ? 12 : $0 })
    for t in inputs.indices {
      for id in 0..<10 {
        #expect(abs(found[t * 14 + id] - expected[t * 11 + id]) < 1e-6)
      }
      let shared = (10..<14).reduce(0) { $0 + exp(Double(found[t * 14 + $1])) }
      #expect(abs(log(shared) - Double(expected[t * 11 + 10])) < 1e-6)
    }
  }

  @Test("Rows of new words are means of all words or of their pieces, as requested")
  func meansOfRows() throws {
    let old = Checkpoint.small()
    func mean(_ path: ParameterPath, _ ids: [Int]) throws -> [Float] {
      let rows = try ids.map { try row(path, $0, old) }
      return rows[0].indices.map { column in
        Float(rows.reduce(0.0) { $0 + Double($1[column]) } / Double(rows.count))
      }
    }
    var words = NewWords()
    words.rows = .mean
    let all = [0, 1, 2, 4, 5, 6, 7, 8, 9]
    let averaged = try apply(words, to: old, text: Self.text).checkpoint
    words.rows = .pieces
    let pieced = try apply(words, to: old, text: Self.text).checkpoint
    for path in [ParameterPath.embeddingWeight, .outputWeight, .outputBias] {
      #expect(try row(path, 11, averaged) == mean(path, all))
      // "catmat" is cat and mat; "bird" has no piece, "ran" the piece "a".
      #expect(try row(path, 12, pieced) == mean(path, [1, 6]))
      #expect(try row(path, 11, pieced) == mean(path, all))
      #expect(try row(path, 13, pieced) == row(path, 5, old))
      #expect(try row(path, 10, pieced) == row(path, 10, old))
    }
  }

  @Test("A replaced vocabulary keeps the rows of known words and special tokens")
  func replacedVocabulary() throws {
    let old = Checkpoint.small()
    var words = NewWords()
    (words.mode, words.minimumCount) = (.replace, 2)
    let (new, report) = try apply(words, to: old, text: Self.text)
    // "sat", "on" and "a" are there once only; special tokens stay.
    #expect(tokens(new) == ["the", "<eos>", "<unk>", "bird"])
    #expect(new.vocabulary.endOfSentenceID == 1 && new.vocabulary.unknownID == 2)
    #expect(report.newCount == 1 && report.droppedCount == 8)
    for (id, source) in [(0, 0), (1, 3), (2, 10), (3, 10)] {
      #expect(try row(.embeddingWeight, id, new) == row(.embeddingWeight, source, old))
      #expect(try row(.outputWeight, id, new) == row(.outputWeight, source, old))
    }
    #expect(try row(.outputBias, 1, new) == row(.outputBias, 3, old))
    let shared = try row(.outputBias, 10, old)[0] - Float(log(2.0))
    #expect(try row(.outputBias, 2, new) == [shared] && row(.outputBias, 3, new) == [shared])
  }

  @Test("Optimizer slots keep the old rows, and new rows begin at their initial value")
  func optimizerSlots() throws {
    let old = Checkpoint.small().inTraining(kind: .adagrad, momentum: 0)
    var checkpoint = old
    checkpoint.optimizer?.groups[0][.initialAccumulator] = 0.5
    let new = try apply(NewWords(), to: checkpoint, text: Self.text).checkpoint
    let before = try #require(old.optimizer?.slots[.sumOfSquares]?[.outputBias]?.floats())
    let after = try #require(new.optimizer?.slots[.sumOfSquares]?[.outputBias]?.floats())
    #expect(after == before + [0.5, 0.5, 0.5])
    // The averages of ASGD are parameters.
    let averaged = Checkpoint.small().inTraining(kind: .asgd, momentum: 0)
    let average = try apply(NewWords(), to: averaged, text: Self.text).checkpoint
    let slot = try #require(average.optimizer?.slots[.average]?[.outputBias]?.floats())
    #expect(slot[11] == slot[10] && slot[10] < 10 && slot.count == 14)
    // And the file that holds them is valid.
    var trained = average
    (trained.training, trained.optimizer) = (nil, nil)
    try withTemporaryFolder { try trained.write(to: "\($0)/new.h5") }
  }

  @Test("New characters extend a character vocabulary")
  func newCharacters() throws {
    var options = ConversionOptions(vocabulary: .corpus(Fixtures.path("characters")))
    options.tokenizer = .kind(.character, space: "_")
    let old = try convert(Fixtures.path("characters/model.pt"), options: options).checkpoint
    let (new, report) = try apply(NewWords(), to: old, text: "Grüße, Ł\n")
    #expect(report.newCount == 3 && tokens(new).suffix(3) == ["ü", "ß", "Ł"])
    #expect(new.tokenizer.probe != nil)
  }

  @Test("A byte vocabulary, or rows of a missing unknown word, refuse new words")
  func fixedTokens() throws {
    var bytes = Checkpoint.small()
    bytes.tokenizer.kind = .byte
    #expect(throws: EngineError.self) { try apply(NewWords(), to: bytes, text: Self.text) }
    var words = NewWords()
    words.rows = .unknown
    let known = Checkpoint.small(unknown: false)
    #expect(throws: EngineError.self) { try apply(words, to: known, text: Self.text) }
    // Without an unknown token new rows are means.
    #expect(try apply(NewWords(), to: known, text: Self.text).report.rows == .mean)
  }

  @Test("Retention compares old and new model on the words of both vocabularies")
  func retention() throws {
    let old = Checkpoint.small()
    let new = try apply(NewWords(), to: old, text: Self.text).checkpoint
    try withTemporaryFolder { folder in
      let path = "\(folder)/old.txt"
      let text = Array(repeating: "the bird sat on unseen mat\n", count: 20).joined()
      try Data(text.utf8).write(to: URL(filePath: path))
      let kept = try RetentionText(
        path: path, old: LanguageModel.encoder(of: old, path: ""),
        new: LanguageModel.encoder(of: new, path: ""))
      #expect(kept.count == 140 && kept.knownCount == 100)
      let before = try LanguageModel(old, path: "").nll(of: kept, isOld: true)
      let after = try LanguageModel(new, path: "").nll(of: kept)
      #expect(abs(before - after) < 1e-6)
      // Other rows do change it.
      var words = NewWords()
      words.rows = .mean
      let mean = try apply(words, to: old, text: Self.text).checkpoint
      #expect(abs(try LanguageModel(mean, path: "").nll(of: kept) - before) > 1e-3)
    }
  }
}
