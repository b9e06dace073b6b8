// Models of a fixed window of tokens: Keras's own predictions on windows that pad_sequences made.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTokenization

@testable import UnrollEngine

/// The files of `fixtures/windows`, made by `scripts/make/window-fixtures`.
@Suite("Models of a fixed window") struct FixedWindowTests {
  private struct References: Decodable {
    struct Model: Decodable {
      let lines: [[Double]]
      let text: [Double]
      let greedy: [Int32]
    }
    let context: Int
    let models: [String: Model]
  }

  private let references: References
  private let text = Fixtures.path("windows/text.txt")

  init() throws {
    references = try JSONDecoder().decode(
      References.self,
      from: Data(contentsOf: URL(filePath: Fixtures.path("windows/references.json"))))
  }

  private func model(_ name: String) throws -> LanguageModel {
    let options = ConversionOptions(vocabulary: .list(Fixtures.path("windows/word_index.json")))
    let conversion = try convert(Fixtures.path("windows/\(name).keras"), options: options)
    return try LanguageModel(conversion.checkpoint, path: name)
  }

  private func window(_ name: String, _ model: LanguageModel) throws -> FixedWindow {
    // Keras skips the padding of a model with mask_zero.
    try model.fixedWindow(length: references.context, padding: name == "masked" ? "none" : nil)
  }

  private func expect(_ own: [Double?], _ expected: [Double], _ name: String) {
    #expect(own.count == expected.count)
    for (own, expected) in zip(own, expected) {
      // An empty window predicts nothing here.
      guard let own else { continue }
      #expect(abs(own - expected) < 1e-5, "\(name)")
    }
  }

  @Test(
    "Windows in a line and across lines give the log-probabilities of Keras's model.predict",
    arguments: ["plain", "deep", "masked"])
  func windowsGiveTheNumbersOfKeras(name: String) throws {
    let expected = try #require(references.models[name])
    let model = try model(name)
    var settings = ScoreSettings()
    settings.window = try window(name, model)
    for carries in [false, true] {
      settings.carriesState = carries
      var lines: [[Double?]] = []
      try model.score(text: text, settings) { line, _ in
        lines.append(line.tokens.map(\.logProbability))
      }
      // Only a window without any token has no prediction.
      let missing = lines.flatMap { $0 }.count { $0 == nil }
      #expect(missing == (name == "masked" ? (carries ? 1 : lines.count) : 0))
      let wanted = carries ? [expected.text] : expected.lines
      for (own, wanted) in zip(carries ? [Array(lines.joined())] : lines, wanted) {
        expect(own, wanted, name)
      }
    }
  }

  @Test(
    "The perplexity of windows is that of Keras's predictions", arguments: [false, true])
  func perplexityIsThatOfKeras(crossesLines: Bool) throws {
    let expected = try #require(references.models["plain"])
    let model = try model("plain")
    let result = try model.perplexity(
      ofText: text, protocol: .window, window: window("plain", model), crossesLines: crossesLines)
    let all = crossesLines ? expected.text : Array(expected.lines.joined())
    #expect(result.predictions == all.count && result.tokens == all.count)
    #expect(abs(result.nll + all.reduce(0, +) / Double(all.count)) < 1e-5)
    #expect(result.window?.padding == "<pad>" && result.window?.length == 5)
    // As a stream the model is another one.
    let stream = try model.perplexity(ofText: text, protocol: .stream)
    #expect(abs(stream.nll - result.nll) > 0.01)
  }

  @Test("Text is generated from the last tokens alone", arguments: ["plain", "deep", "masked"])
  func generationIsThatOfKeras(name: String) throws {
    let expected = try #require(references.models[name])
    let model = try model(name)
    var settings = GenerationSettings()
    settings.window = try window(name, model)
    settings.temperature = 0
    settings.length = expected.greedy.count
    let prompt = try String(contentsOfFile: text, encoding: .utf8).prefix { $0 != "\n" }
    let samples = try model.generate(after: String(prompt), samples: 3, settings)
    for sample in samples { #expect(sample.ids == expected.greedy, "\(name)") }
    // A window of padding alone is a context; one without any token is none.
    if name == "plain" { #expect(try model.generate(settings).count == 1) }
    if name == "masked" { #expect(throws: TextError.self) { try model.generate(settings) } }
  }

  @Test("Windows in one batch give the log-probabilities that each gives alone")
  func windowsAreIndependent() throws {
    let model = try model("plain")
    let window = try window("plain", model)
    let sentence = (0..<700).map { Int32(1 + $0 * $0 % 10) }
    var none: [Int32]?
    let all = try model.predictions(ofSentences: [sentence], window: window, after: &none)
    let own = try #require(all.first).logProbabilities
    #expect(own.count == 700)
    for place in [0, 3, 5, 255, 256, 699] {
      let context = window.context(sentence[..<place])
      #expect(context.count == 5)
      let row = try model.logDistributions(afterWindows: [context])
      #expect(abs(row[Int(sentence[place])] - own[place]) < 1e-6)
    }
  }

  @Test("A missing or unnamed padding token is refused with the option that gives one")
  func paddingIsNamed() throws {
    let model = try model("plain")
    let unknown = #expect(throws: TextError.self) {
      try model.fixedWindow(length: 5, padding: "nothing")
    }
    #expect(unknown?.fix.contains("--pad none") == true)
    let small = try LanguageModel(.small(), path: "small")
    let unnamed = #expect(throws: TextError.self) {
      try small.fixedWindow(length: 5, padding: nil)
    }
    #expect(unnamed?.fix.contains("--pad TOKEN") == true)
    #expect(try small.fixedWindow(length: 5, padding: "the").padding == 0)
    #expect(throws: (any Error).self) { try model.fixedWindow(length: 0, padding: nil) }
  }
}
