// Two models on a text: losses, their interval, and the divergence of their distributions.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollNeural
import UnrollTokenization

@testable import UnrollEngine

@Suite("Differences of two models on a text") struct TextDifferenceTests {
  private func compare(
    _ models: [Checkpoint], _ text: String
  ) throws -> TextDifference {
    try withTemporaryFolder { folder in
      let path = "\(folder)/text.txt"
      try Data(text.utf8).write(to: URL(filePath: path))
      let models = try models.map { try LanguageModel($0, path: "model") }
      return try TextDifference(models, onText: path) { _ in }
    }
  }

  private static let text =
    "the cat sat\non a mat\n\nthe dog sat on the mat\na cat\n"

  /// The log-probabilities of all tokens by the reference model, a row for each token of a line.
  private func rows(_ model: Checkpoint, _ ids: [Int]) throws -> [[Double]] {
    let reference = try ReferenceModel(
      architecture: model.architecture, parameters: model.parameters)
    return ids.indices.map { index in
      model.vocabulary.indices.map { token in
        // The last of the log-probabilities of the tokens so far and one more.
        reference.tokenLogProbabilities(of: [3] + ids[..<index] + [token]).last ?? 0
      }
    }
  }

  @Test("Losses and divergence of two models equal those of the reference model")
  func divergences() throws {
    let models = [Checkpoint.small(), Checkpoint.small(cell: .gru, seed: 5)]
    let found = try compare(models, Self.text)
    let encoder = try LanguageModel.encoder(of: models[0], path: "")
    var divergence = 0.0
    var losses = [0.0, 0.0]
    var count = 0
    for line in Self.text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
      let ids = try encoder.encode(
        TextLine(bytes: Array(line.utf8), terminatorCount: 1, number: 1), path: ""
      ).ids.map { Int($0) }
      let distributions = try models.map { try rows($0, ids) }
      for (place, id) in ids.enumerated() {
        let p = distributions[0][place]
        let q = distributions[1][place]
        divergence += zip(p, q).reduce(0) { $0 + exp($1.0) * ($1.0 - $1.1) }
        losses[0] -= p[id]
        losses[1] -= q[id]
        count += 1
      }
    }
    #expect(found.predictions == count && found.lines == 5)
    #expect(abs(found.divergence - divergence / Double(count)) < 1e-6)
    for (nll, loss) in zip(found.nll, losses) { #expect(abs(nll - loss / Double(count)) < 1e-6) }
    let interval = try #require(found.interval())
    #expect(interval.contains(found.nllDifference) && interval.lowerBound < interval.upperBound)
  }

  @Test("A model does not differ from itself on a text")
  func sameModels() throws {
    let found = try compare([.small(), .small()], Self.text)
    #expect(found.divergence == 0 && found.largest == 0 && found.nllDifference == 0)
    #expect(found.interval() == 0...0)
    #expect(try compare([.small(), .small()], "the cat\n").interval() == nil)
  }

  @Test("Models with different tokens are not compared on a text")
  func otherTokensAreRefused() throws {
    var other = Checkpoint.small()
    var words = other.vocabulary.indices.map { Array(other.vocabulary[$0]) }
    words.swapAt(0, 1)
    var vocabulary = Vocabulary(tokens: words, unit: .word)
    vocabulary.endOfSentenceID = 3
    vocabulary.unknownID = 10
    other.vocabulary = vocabulary
    let error = #expect(throws: TextError.self) { try compare([.small(), other], Self.text) }
    #expect(error?.line == 1 && error?.fix.contains("unroll evaluate") == true)
    var silent = Checkpoint.small()
    silent.tokenizer.sentenceStart = .none
    #expect(throws: TextError.self) { try compare([.small(), silent], Self.text) }
  }
}
