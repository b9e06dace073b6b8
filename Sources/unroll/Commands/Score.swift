// `unroll score`: surprisal of tokens and words, log-probabilities of sentences.

import ArgumentParser
import Foundation
import UnrollEngine
import UnrollTensors

struct Score: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Score each token, word or line of a text.",
    discussion: """
      Each line is a sentence of its own: zero state, the first token follows the one that sentences \
      start from, such as <eos>; with --carry it follows the line before. The result is TSV.
      --level word: word, sentid and sentpos (from 1), wlen (characters), surp (surprisal, the sum over \
      the word's tokens), entropy (of the token that comes next, before the word), entred (by how much \
      it is less than before the last word, at least 0), oov. A word that the vocabulary lacks has surp \
      NA and oov 1: the model knows unknown words only as a whole.
      --level token: token, sentid, tokenpos (from 1), sentpos (of the token's word), surp, entropy, \
      entred, oov.
      --level sentence: sentid, tokens (with <eos>), oov, logprob (<eos> and unknown words included; NA \
      where no token is predicted), one line for each line of the text, blank ones too.
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
      case .two: log(2)
      case .e: 1
      case .ten: log(10)
      }
    }
  }

  @OptionGroup var options: RunningModelOptions

  @Argument(help: "The text: a file, a .gz file, or - for standard input.")
  var text: String

  @Option(help: "What gets a score: token, word or sentence.")
  var level: ScoreLevel = .word

  @Option(
    help: "The base of logarithms: 2, e or 10 (default: 2 for surprisal, e for sentences).")
  var base: Base?

  @Flag(help: "Go on with the state of the line before, rather than from zero at each line.")
  var carry = false

  @Option(
    help: ArgumentHelp(
      "The words of each line, between white space (or tabs, in a line with one), if they are not the "
        + "text's own parts.",
      valueName: "file"))
  var words: String?

  @Flag(help: "Give one JSON object a line of the text.")
  var json = false

  func run() throws {
    let model = try options.load()
    var settings = ScoreSettings()
    settings.carriesState = carry
    settings.wantsEntropies = level != .sentence
    settings.segmentation = words
    let base = base ?? (level == .sentence ? .e : .two)
    var lines = 0
    var progress = Progress()
    if !model.predictsFirstTokens && !carry {
      Output.note(
        "note: sentences of this model start from nothing: the first token of each line is not predicted"
      )
    }
    try model.score(text: text, settings) { sentence, fraction in
      let report = SentenceReport(sentence, level: level, base: base)
      lines += 1
      if sentence.line == 1 { printHeader() }
      if json {
        try Output.jsonLine(report)
      } else {
        for row in report.rows { Output.result(row) }
      }
      progress.report { _ in
        let share = fraction.map { String(format: ", %.0f %%", 100 * $0) } ?? ""
        return "\(Output.grouped(sentence.line)) lines\(share)"
      }
    }
    progress.finish()
    if lines == 0 { printHeader() }
  }

  private func printHeader() {
    guard !json else { return }
    Output.result(header)
  }

  private var header: String {
    switch level {
    case .token: "token\tsentid\ttokenpos\tsentpos\tsurp\tentropy\tentred\toov"
    case .word: "word\tsentid\tsentpos\twlen\tsurp\tentropy\tentred\toov"
    case .sentence: "sentid\ttokens\toov\tlogprob"
    }
  }
}

/// A line and its scores, as they are printed.
private struct SentenceReport: Encodable {
  struct Unit: Encodable {
    var token: String?
    var tokenpos: Int?
    var word: String?
    var sentpos: Int?
    var wlen: Int?
    let surp: Double?
    let entropy: Double?
    let entred: Double?
    let oov: Bool
  }

  let sentid: Int
  let tokens: Int
  let oov: Int
  /// The base of all logarithms.
  let base: String
  /// `nil` where no token is predicted.
  let logprob: Double?
  /// The words or tokens, unless the sentence is all that is wanted.
  let units: [Unit]?

  init(_ sentence: SentenceScore, level: Score.ScoreLevel, base: Score.Base) {
    self.base = base.rawValue
    (sentid, tokens, oov) = (sentence.line, sentence.tokens.count, sentence.unknownCount)
    func scaled(_ value: Double?) -> Double? { value.map { $0 / base.logarithm } }
    logprob = scaled(sentence.logProbability)
    switch level {
    case .sentence: units = nil
    case .word:
      units = sentence.words.enumerated().map { index, word in
        Unit(
          word: word.word, sentpos: index + 1, wlen: word.word.unicodeScalars.count,
          surp: scaled(word.surprisal), entropy: scaled(word.entropy),
          entred: scaled(word.entropyReduction), oov: word.isUnknown)
      }
    case .token:
      units = sentence.tokens.enumerated().map { index, token in
        let before = index > 0 ? sentence.tokens[index - 1].entropy : nil
        let reduction = before.flatMap { before in token.entropy.map { max(0, before - $0) } }
        return Unit(
          token: token.token, tokenpos: index + 1, sentpos: token.word.map { $0 + 1 },
          surp: token.isUnknown ? nil : scaled(token.logProbability.map { -$0 }),
          entropy: scaled(token.entropy), entred: scaled(reduction), oov: token.isUnknown)
      }
    }
  }

  /// The lines of the table.
  var rows: [String] {
    guard let units else { return ["\(sentid)\t\(tokens)\t\(oov)\t\(Self.number(logprob))"] }
    return units.map { unit in
      let names: [String]
      if let token = unit.token {
        let sentpos = unit.sentpos.map(String.init) ?? "NA"
        names = [printable(token), "\(sentid)", "\(unit.tokenpos ?? 0)", sentpos]
      } else {
        names = [
          printable(unit.word ?? ""), "\(sentid)", "\(unit.sentpos ?? 0)", "\(unit.wlen ?? 0)",
        ]
      }
      let numbers = [unit.surp, unit.entropy, unit.entred].map(Self.number)
      return (names + numbers + [unit.oov ? "1" : "0"]).joined(separator: "\t")
    }
  }

  private static func number(_ value: Double?) -> String {
    value.map { String(format: "%.6f", $0) } ?? "NA"
  }
}
