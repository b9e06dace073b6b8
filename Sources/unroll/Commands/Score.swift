// `unroll score`: computes surprisal of tokens and words, and log-probabilities of sentences.

import ArgumentParser
import Foundation
import UnrollEngine
import UnrollTensors

struct Score: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Score each token, word or line of a text.",
    discussion: """
      Each line is a sentence of its own: zero state, the first token follows the one that sentences \
      start from, such as <eos>; with --carry it follows the line before. --context N is the protocol window \
      of `unroll evaluate`: each token from the N tokens before it. The result is TSV, or CSV \
      (RFC 4180) with --csv; NA is a missing number.
      --level word: word (as it stands in the text or in --words), sentid and sentpos (from 1), wlen \
      (characters of the word), surp (surprisal), entropy (of the next token, where the word's own \
      tokens begin), entred (by how much it is less than before the last word, at least 0), oov.
      --level token: token, sentid, tokenpos (from 1), sentpos (of the token's word), surp, entropy, \
      entred, oov.
      --level sentence: sentid, tokens (with <eos>), oov, logprob (<eos> included; NA where no token is \
      predicted), one line for each line of the text, blank ones too.

      --boundary after: a word's probability is that of its tokens, times the total probability of \
      all tokens that end it (white space, tokens that begin with it or do not continue a word, the \
      end of the line), divided by the same total at its start where its first token shows a new word \
      (Pimentel & Meister 2024, "How to Compute the Probability of a Word"; Oh & Schuler 2024, "Leading \
      Whitespaces of Language Models' Subword Vocabulary Pose a Confound for Calculating Word \
      Probabilities"). --boundary before is the sum over tokens, white space before the word included: \
      the figure of most studies before these papers. --boundary none is the sum over tokens with text \
      of the word. For vocabularies of words all three are the same. Words of --words that meet \
      without white space, such as a word and its full stop, share no boundary unless the next token \
      shows one: together they have the probability of the whole.

      Unknown words have no number unless --unknown says which, since a model gives a probability only \
      to all of them together and the hypothesis with most misspellings would win. include: that \
      probability. penalty=X: divided by base^X, X at least 0. exclude: sentences are summed without them. \
      drop, for a Tokenizer of Keras without oov_token: they are taken out of the text, as Keras does, and counted.
      """)

  enum ScoreLevel: String, ExpressibleByArgument, CaseIterable {
    case token
    case word
    case sentence
  }

  enum Base: String, ExpressibleByArgument, CaseIterable {
    case two = "2"
    case e
    case ten = "10"

    /// The natural logarithm of the base.
    var logarithm: Double {
      switch self {
      case .two: Elementary.log(2)
      case .e: 1
      case .ten: Elementary.log(10)
      }
    }
  }

  @OptionGroup var options: RunningModelOptions

  @Argument(help: "Text: a file, a .gz file, or - for standard input.")
  var text: String

  @Option(help: "Unit of the table.")
  var level: ScoreLevel = .word

  @Option(
    help: "Base of logarithms (default: 2 for surprisal, e for sentences).")
  var base: Base?

  @Option(help: "Word boundary that a word's probability includes.")
  var boundary: WordBoundary = .after

  @Option(
    help: ArgumentHelp(
      "Unknown words: exclude, include, penalty=X (X at least 0) or drop (default: no number).",
      valueName: "choice"))
  var unknown: UnknownChoice?

  @OptionGroup var windows: WindowOptions

  @Flag(help: "Carry the state from line to line.")
  var carry = false

  @Option(
    help: ArgumentHelp(
      "The words of each line, between white space (or tabs, in a line with one), if they are not the "
        + "text's own parts.",
      valueName: "file"))
  var words: String?

  @OptionGroup var preparation: PreparationOptions

  @Flag(help: "Print the table as CSV (RFC 4180).")
  var csv = false

  @Flag(help: "Print one JSON object per line of the text.")
  var json = false

  @Flag(help: "Answer each line as soon as it arrives, for use in a pipe.")
  var flush = false

  func validate() throws {
    guard !csv || !json else {
      throw ValidationError("--csv and --json cannot be combined.")
    }
  }

  func run() throws {
    let model = try options.load(leavingOutUnknown: unknown?.leavesOut == true)
    warnOfLineEnds(inText: text, model.encoder)
    var settings = ScoreSettings()
    settings.carriesState = carry
    settings.window = try windows.window(of: model)
    settings.wantsEntropies = level != .sentence
    settings.segmentation = words
    settings.boundary = level == .word ? boundary : nil
    settings.preparation = preparation.preparation
    settings.answersEachLine = flush
    let style = ScoreStyle(
      level: level, base: base ?? (level == .sentence ? .e : .two), boundary: boundary,
      unknown: unknown, form: csv ? .csv : .tsv,
      protocolName: settings.window != nil ? "window" : carry ? "stream" : "sentence",
      window: settings.window.map { model.description(of: $0, crossesLines: carry) })
    var totals = ScoreTotals()
    var progress = Progress()
    note(model)
    try model.score(text: text, settings) { sentence, fraction in
      if totals.lines == 0 { printHeader(style) }
      totals.add(sentence)
      let report = SentenceReport(sentence, style)
      if json {
        try Output.jsonLine(report)
      } else {
        for row in report.rows { Output.result(style.form.row(row)) }
      }
      if flush { fflush(nil) }
      progress.report { _ in
        let share = fraction.map { String(format: ", %.0f %%", 100 * $0) } ?? ""
        return "\(Output.grouped(sentence.line)) lines\(share)"
      }
    }
    progress.finish()
    if totals.lines == 0 { printHeader(style) }
    if let note = totals.unknownNote(style) { Output.note(note) }
    if let nll = totals.nll {
      warnIfWorseThanGuessing(nll: nll, vocabularySize: model.vocabularySize)
    }
  }

  private func printHeader(_ style: ScoreStyle) {
    guard !json else { return }
    Output.result(style.form.row(style.header))
  }

  private func note(_ model: LanguageModel) {
    let isPadded = windows.context != nil && windows.pad != "none"
    if !model.predictsFirstTokens && !carry && !isPadded {
      Output.note(
        "note: sentences of this model have no start token: the first token of each line is not predicted"
      )
    }
    if level == .word, boundary == .after, model.wordBoundaries.marking == .none {
      Output.note(
        "note: the tokens of this model do not show where words begin or end: surp is the sum over a "
          + "word's tokens, without the probability that the word ends there")
    }
  }
}

extension WordBoundary: ExpressibleByArgument {}

/// A treatment of unknown words, as given on the command line.
struct UnknownChoice: ExpressibleByArgument {
  /// The choice as given.
  let argument: String
  private let penalty: Double?

  init?(argument: String) {
    self.argument = argument
    penalty = argument.hasPrefix("penalty=") ? Double(argument.dropFirst(8)) : nil
    // A penalty below 0 would make one unknown word more probable than all of them together.
    let isPenalty = penalty.map { $0 >= 0 && $0.isFinite } == true
    guard ["exclude", "include", "drop"].contains(argument) || isPenalty else { return nil }
  }

  /// `true` if unknown words are removed from the text.
  var leavesOut: Bool { argument == "drop" }

  /// Returns the treatment; a penalty is in units of the base.
  func words(_ base: Score.Base) -> UnknownWords {
    if let penalty { return .penalty(penalty * base.logarithm) }
    return argument == "include" ? .include : .exclude
  }
}
