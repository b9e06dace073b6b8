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
  /// The surprisals of all lines one after the other; NaN for none.
  private let values: [Double]
  /// The number of words or tokens of each line.
  private let counts: [Int]
  /// The next line, and the place of its first surprisal.
  private var line = 0
  private var place = 0

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
    var (all, counts) = ([Double](), [Int]())
    try model.score(text: text, settings) { sentence, fraction in
      let values = SentenceReport(sentence, style).scoredUnits.map { $0.surp ?? .nan }
      all += values
      counts.append(values.count)
      progress.report(sentence.line, "lines by the baseline", fraction)
    }
    progress.finish()
    (values, self.counts) = (all, counts)
  }

  /// Returns the surprisals of the next line.
  ///
  /// - Parameters:
  ///   - count: The number of words or tokens of the line in the other model.
  ///   - number: The number of the line, for errors.
  /// - Returns: The surprisals.
  /// - Throws: `Refusal` if the models cut the line into other tokens.
  mutating func next(count: Int, line number: Int) throws -> [Double?] {
    let found = line < counts.count ? counts[line] : 0
    guard found == count else {
      throw Refusal(
        "\(printable(path)): line \(number): expected the \(count) tokens of the other model; found \(found)\n"
          + "  fix: --level word compares models of other tokens")
    }
    line += 1
    place += count
    return values[place - count..<place].map { $0.isNaN ? nil : $0 }
  }
}
