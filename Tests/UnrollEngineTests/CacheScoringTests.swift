// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Scores of lines with a neural cache, against its definition.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollNeural
import UnrollTensors

@testable import UnrollEngine

@Suite("Scores with a neural cache") struct CacheScoringTests {
  private static let lines: [[Int32]] = [[0, 1, 2, 3], [0, 1, 8, 3], [4, 5, 6, 0, 1, 2, 3], []]

  /// The mixture as Grave, Joulin and Usunier define it, one formula a line.
  private func distributions(
    _ model: LanguageModel, _ cache: NeuralCache
  ) throws -> [[(probabilities: [Double], target: Int32?)]] {
    var seen: [(h: [Double], token: Int32)] = []
    return try Self.lines.map { line in
      let read = [model.encoder.sentenceStartID].compactMap { $0 } + line
      var (state, other) = (
        model.network.zeroState(columns: 1), model.network.zeroState(columns: 1)
      )
      return try read.enumerated().map { t, token in
        let own = try model.network.logDistributions(inputs: [token], state: &state)
        let h = try model.network.hiddenStates(inputs: [token], state: &other).map { Double($0) }
        var p = own.map { exp(Double($0)) }
        let kept = seen.suffix(cache.size)
        let weights = kept.map { exp(cache.theta * zip($0.h, h).reduce(0) { $0 + $1.0 * $1.1 }) }
        if !kept.isEmpty {
          p = p.map { $0 * (1 - cache.weight) }
          for (item, weight) in zip(kept, weights) {
            p[Int(item.token)] += cache.weight * weight / weights.reduce(0, +)
          }
        }
        let target = t + 1 < read.count ? read[t + 1] : nil
        if let target { seen.append((h, target)) }
        return (p, target)
      }
    }
  }

  @Test(
    "Probabilities, entropies, totals, guesses and ranks are those of the mixture",
    arguments: [(100, 1.0, 0.3), (3, 2.5, 0.7), (1, 0.0, 0.1)])
  func figuresOfTheMixture(size: Int, theta: Double, weight: Double) throws {
    let model = try LanguageModel(.small(), path: "small")
    let cache = NeuralCache(size: size, theta: theta, weight: weight)
    let expected = try distributions(model, cache)
    var figures = PredictionFigures()
    (figures.entropies, figures.subset, figures.guesses) = (true, [1, 3, 10], 4)
    figures.includesEnd = true
    var scorer = CacheScoring(model, cache)
    for (index, line) in Self.lines.enumerated() {
      let found = try scorer.predictions(ofLine: index + 1, line, figures, path: "text")
      let predicted = expected[index].compactMap { p, target in target.map { (p, $0) } }
      #expect(found.logProbabilities.count == predicted.count)
      #expect(found.totals.count == expected[index].count)
      for (t, (p, target)) in predicted.enumerated() {
        #expect(abs(Double(found.logProbabilities[t]) - log(p[Int(target)])) < 1e-5)
        #expect(abs(found.entropies[t] + p.reduce(0) { $0 + $1 * log($1) }) < 1e-5)
        #expect(found.likeliest.ranks[t] == 1 + p.count { $0 > p[Int(target)] })
        let sorted = p.sorted(by: >).prefix(4)
        for (guess, probability) in zip(found.likeliest.guesses[t], sorted) {
          #expect(abs(Double(guess.logProbability) - log(probability)) < 1e-5)
        }
      }
      for (t, (p, _)) in expected[index].enumerated() {
        #expect(abs(found.totals[t] - log(p[1] + p[3] + p[10])) < 1e-5)
      }
    }
  }

  @Test("A cache without weight changes no bit, and a repeated line becomes likelier with one")
  func weightOfTheCache() throws {
    try withTemporaryFolder { folder in
      let text = "\(folder)/text.txt"
      try "the cat sat\nthe cat sat\non a mat\n".write(
        toFile: text, atomically: true, encoding: .utf8)
      let model = try LanguageModel(.small(), path: "small")
      func scores(_ weight: Double?) throws -> [Double] {
        var all: [Double] = []
        if let weight {
          var scorer = CacheScoring(model, NeuralCache(size: 50, theta: 1, weight: weight))
          try scorer.score(text: text) { score, _ in all.append(score.logProbability ?? 0) }
        } else {
          try model.score(text: text) { score, _ in all.append(score.logProbability ?? 0) }
        }
        return all
      }
      let plain = try scores(nil)
      #expect(try scores(0) == plain)
      let cached = try scores(0.4)
      #expect(cached[1] > plain[1] && plain[0] == plain[1])
    }
  }
}
