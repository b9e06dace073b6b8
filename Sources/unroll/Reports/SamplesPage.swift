// The page of `unroll generate`: samples, each token in the color of its surprisal.

import UnrollEngine
import UnrollReport
import UnrollTensors
import UnrollTokenization

/// The page of samples; it shows the first ones in full.
struct SamplesPage {
  private let encoder: Encoder
  private var lines = ShownLines(
    HeatMap(title: "Samples", legend: legend, missing: "no number", isSpaced: false))
  private var tokenCount = 0
  private var endedCount = 0
  private var total = 0.0
  /// The surprisals of the tokens, in bits; of a limited number of tokens.
  private var surprisals: [Double] = []

  /// The largest number of tokens in the histogram.
  private static let histogramLimit = 1_000_000
  /// The upper bounds of the colors but the last, as probabilities, in the order of the colors.
  private static let levels = [0.5, 0.25, 0.1, 0.05, 0.01, 1e-3, 1e-4, 1e-6]

  init(_ encoder: Encoder) { self.encoder = encoder }

  /// Adds a sample.
  ///
  /// - Parameters:
  ///   - sample: The sample.
  ///   - object: Returns it as `--json` prints it.
  /// - Throws: `FileError` if a temporary file cannot be written; the errors of the closure.
  mutating func add(_ sample: GeneratedSample, object: () throws -> String) throws {
    tokenCount += sample.ids.count
    endedCount += sample.isEnded ? 1 : 0
    total += sample.logProbability
    let room = max(0, Self.histogramLimit - surprisals.count)
    surprisals += sample.logProbabilities.prefix(room).map {
      max(0, -Double($0)) / Elementary.log(2)
    }
    let encoder = encoder
    try lines.add(
      line: lines.count + 1, cellCount: sample.ids.count, object: object,
      cells: { Self.cells(sample, encoder) })
  }

  private static func cells(_ sample: GeneratedSample, _ encoder: Encoder) -> [HeatMap.Cell] {
    var stream = TextStream(encoder)
    return zip(sample.ids, sample.logProbabilities).map { id, logProbability in
      let piece = excerpt(encoder.vocabulary.text(of: Int(id)))
      let own = String(decoding: stream.add(id), as: UTF8.self)
      let probability = Elementary.exp(Double(logProbability))
      return HeatMap.Cell(
        text: shown(own, piece), level: levels.count { probability < $0 },
        detail: "\(piece): probability \(String(printf: "%.4g", probability)), "
          + String(printf: "%.2f bits", max(0, -Double(logProbability)) / Elementary.log(2)))
    }
  }

  /// Returns the text of a token with its line breaks, and its piece where it has none that is seen.
  private static func shown(_ text: String, _ piece: String) -> String {
    guard text.allSatisfy(\.isNewline) else {
      return text.split(separator: "\n", omittingEmptySubsequences: false)
        .map { excerpt(String($0)) }.joined(separator: "\n")
    }
    return piece + (text.isEmpty ? "" : "\n")
  }

  // MARK: Page

  /// The main figure; `nil` for a few tokens.
  var histogram: Figure? {
    .histogram(
      title: "Surprisal of the sampled tokens", label: "surprisal, in bits", unit: "tokens",
      values: surprisals)
  }

  /// Fills a document.
  ///
  /// - Parameters:
  ///   - document: The document, with its origin.
  ///   - settings: The prompt, the seed and the other settings.
  /// - Throws: `FileError` if a temporary file cannot be written.
  func fill(_ document: inout Document, settings: [Document.Fact]) throws {
    let mean =
      tokenCount > 0
      ? Document.number(-total / Double(tokenCount) / Elementary.log(2)) : "–"
    document.highlights = [
      Document.Fact("samples", Output.grouped(lines.count)),
      Document.Fact("tokens", Output.grouped(tokenCount)),
      Document.Fact("mean surprisal, in bits", mean),
      Document.Fact("ended at an end of sentence", Output.grouped(endedCount)),
    ]
    document.sections = [
      Document.Section("Settings", [.facts(settings)]),
      Document.Section("Samples", sampleBlocks),
      Document.Section(
        "Distribution",
        histogram.map { [.figure($0)] } ?? [.paragraph("There are too few tokens to draw.")]),
    ]
    document.result = try lines.result
  }

  private var sampleBlocks: [Document.Block] {
    return [
      .paragraph(
        "Each token has the color of its probability in the model at temperature 1, whatever the temperature it was "
          + "sampled at; with a shortlist, among its tokens. Point at a token, or click on it and use the arrow "
          + "keys, for its numbers.")
    ] + lines.cut("The numbers are over all samples.", of: "samples") + [.heatMap(lines.map)]
  }

  private static var legend: [String] {
    let bounds = levels.map { String(printf: "%.3g", $0) }
    let inner = zip(bounds, bounds.dropFirst()).map { "\($1) to \($0)" }
    return ["probability \(bounds[0]) or more"] + inner + ["below \(bounds[bounds.count - 1])"]
  }
}
