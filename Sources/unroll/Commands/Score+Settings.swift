// Settings, style and notes of `unroll score`, for one process and for several that share a text.

import UnrollEngine
import UnrollTensors

extension Score {
  /// The options that need the whole text in one process, and their presence.
  var wholeTextOptions: [(name: String, isGiven: Bool)] {
    [
      ("--carry", carry), ("--pairs", pairs), ("--nbest", nbest),
      ("--lattice", latticeOptions.lattice), ("--words", words != nil),
      ("--dynamic", dynamicOptions.dynamic != nil),
      ("--cache", dynamicOptions.caching.cache != nil), ("--states", stateOptions.states != nil),
      ("--report", shown.report != nil), ("--plot", shown.plot != nil),
    ]
  }

  /// Returns the settings of scores.
  ///
  /// - Throws: `TextError` if the vocabulary lacks the padding token.
  func settings(_ model: LanguageModel, _ mixture: Mixture?) throws -> ScoreSettings {
    var settings = ScoreSettings()
    settings.carriesState = carry
    settings.window = try windows.window(of: model)
    settings.wantsEntropies = level != .sentence
    settings.segmentation = words
    settings.boundary = level == .word ? boundary : nil
    settings.preparation = preparation.preparation
    settings.preparation.part = parts.part
    settings.answersEachLine = flush
    settings.guesses = guesses ?? 0
    settings.mixture = mixture
    return settings
  }

  /// Returns the settings of rows.
  func style(
    _ model: LanguageModel, _ settings: ScoreSettings, adaptation: String? = nil
  ) -> ScoreStyle {
    ScoreStyle(
      level: level, base: base ?? (level == .sentence ? .e : .two), boundary: boundary,
      unknown: unknown, form: csv ? .csv : .tsv,
      protocolName: settings.window != nil ? "window" : carry ? "stream" : "sentence",
      window: settings.window.map { model.description(of: $0, crossesLines: carry) },
      guesses: settings.guesses, adaptation: adaptation)
  }

  /// Returns the notes before a table.
  func notes(_ model: LanguageModel) -> [String] {
    var notes: [String] = []
    let isPadded = windows.context != nil && windows.pad != "none"
    if !model.predictsFirstTokens && !carry && !isPadded {
      notes.append(
        "note: sentences of this model have no start token: the first token of each line is not predicted"
      )
    }
    if level == .word, boundary == .after, model.wordBoundaries.marking == .none {
      notes.append(
        "note: the tokens of this model do not show where words begin or end: surp is the sum over a "
          + "word's tokens, without the probability that the word ends there")
    }
    return notes
  }

  /// Returns the notes after a table.
  func notes(_ totals: ScoreTotals, _ model: LanguageModel, _ style: ScoreStyle) -> [String] {
    let warning = totals.nll.flatMap {
      warningOfGuessing(nll: $0, count: totals.predictions, vocabularySize: model.vocabularySize)
    }
    let empty =
      totals.lines == 0 && parts.part == nil ? "note: \(printable(text)): the text is empty" : nil
    return [empty, totals.unknownNote(style), warning].compactMap { $0 }
  }
}
