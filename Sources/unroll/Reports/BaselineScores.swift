// The surprisals of a text by another model, for the page of `unroll score --baseline`.

import ArgumentParser
import UnrollEngine
import UnrollReport
import UnrollTensors

/// The option of another model on the page of scores.
struct ScoreBaselineOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "With --report: also show the surprisals by another model, and where both differ.",
      valueName: "model"))
  var baseline: String?

  /// Opens the other model and scores the text.
  ///
  /// - Parameters:
  ///   - text: The text.
  ///   - options: The options of the first model.
  ///   - settings: The settings of the scores.
  ///   - windows: The options of windows.
  ///   - style: The style of the scores.
  /// - Returns: The scores; `nil` if none are requested.
  /// - Throws: The errors of opening a checkpoint and of scoring.
  func scores(
    ofText text: String, like options: RunningModelOptions, _ settings: ScoreSettings,
    windows: WindowOptions, _ style: ScoreStyle
  ) throws -> BaselineScores? {
    guard let baseline else { return nil }
    var other = options
    other.options.model = baseline
    let model = try other.load(leavingOutUnknown: style.unknown?.leavesOut == true)
    var settings = settings
    settings.window = try windows.window(of: model)
    return try BaselineScores(model, text: text, settings, style)
  }
}

/// The surprisals of the words or tokens of a text by a baseline model.
struct BaselineScores {
  /// The model's file.
  let path: String
  private var lines: [[Double?]] = []
  private var place = 0
  private var total = 0.0
  private var count = 0
  private var partCount = 0

  /// Scores a text.
  ///
  /// - Parameters:
  ///   - model: The model.
  ///   - text: The text.
  ///   - settings: The settings of the other model, with a window of this one.
  ///   - style: The settings of the scores.
  /// - Throws: The errors of scoring.
  init(
    _ model: LanguageModel, text: String, _ settings: ScoreSettings, _ style: ScoreStyle
  ) throws {
    path = model.path
    var settings = settings
    (settings.guesses, settings.wantsEntropies) = (0, false)
    var progress = Progress()
    var (lines, total, count, partCount) = ([[Double?]](), 0.0, 0, 0)
    try model.score(text: text, settings) { sentence, fraction in
      let values = SentenceReport(sentence, style).scoredUnits.map(\.surp)
      let known = values.compactMap { $0 }
      total += known.reduce(0, +)
      count += known.count
      // A page shows the first lines.
      if partCount <= PairedText.partLimit { lines.append(values) }
      partCount += values.count
      progress.report(sentence.line, "lines by the baseline", fraction)
    }
    progress.finish()
    (self.lines, self.total, self.count, self.partCount) = (lines, total, count, partCount)
  }

  /// Returns the surprisals of the next line; `nil` for a line that the page does not show.
  ///
  /// - Parameters:
  ///   - count: The number of words or tokens of the line in the other model.
  ///   - line: The number of the line, for errors.
  /// - Returns: The surprisals.
  /// - Throws: `Refusal` if the models cut the line into other tokens.
  mutating func next(count: Int, line: Int) throws -> [Double?]? {
    guard place < lines.count else { return nil }
    defer { place += 1 }
    guard lines[place].count == count else {
      throw Refusal(
        "\(printable(path)): line \(line): expected the \(count) tokens of the other model; found \(lines[place].count)\n"
          + "  fix: --level word compares models of other tokens")
    }
    return lines[place]
  }

  /// The mean surprisal of the baseline.
  ///
  /// - Parameter unit: The unit of a surprisal.
  /// - Returns: The fact.
  func highlights(_ unit: String) -> [Document.Fact] {
    [
      Document.Fact(
        "mean of the baseline, in \(unit)",
        count > 0 ? String(printf: "%.4f", total / Double(count)) : "–")
    ]
  }
}
