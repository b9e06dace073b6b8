// The report of `unroll score`: rows of a table, or JSON objects.

import Foundation
import UnrollEngine
import UnrollTensors

/// The settings that determine the rows of a table of scores.
struct ScoreStyle {
  let level: Score.ScoreLevel
  let base: Score.Base
  let boundary: WordBoundary
  let unknown: UnknownChoice?
  let form: TableForm
  /// The protocol: sentence, stream or window.
  let protocolName: String
  /// The window that each token is predicted from; `nil` for all tokens before it.
  let window: WindowDescription?

  /// The number of likeliest tokens for each row.
  let guesses: Int
  /// The adaptation of the model to the text, in words; `nil` for a fixed model.
  var adaptation: String?

  /// The names of the columns.
  var header: [String] {
    switch level {
    case .token:
      ["token", "sentid", "tokenpos", "sentpos", "surp", "entropy", "entred", "oov"] + guessColumns
    case .word:
      ["word", "sentid", "sentpos", "wlen", "surp", "entropy", "entred", "oov"] + guessColumns
    case .sentence: ["sentid", "tokens", "oov", "logprob"]
    }
  }

  private var guessColumns: [String] {
    guesses == 0 ? [] : ["rank"] + (1...guesses).flatMap { ["guess\($0)", "prob\($0)"] }
  }

  /// The treatment of unknown words.
  var unknownWords: UnknownWords { unknown.map { $0.words(base) } ?? .undefined }

  /// Returns a number of nats in units of the base.
  func scaled(_ nats: Double?) -> Double? { nats.map { $0 / base.logarithm } }
}

extension ScoreTotals {
  /// Returns the note on unknown words; `nil` if there are none.
  func unknownNote(_ style: ScoreStyle) -> String? {
    guard unknownTokens > 0 else { return nil }
    let count = style.level == .word ? unknownWords : unknownTokens
    guard count > 0 else { return nil }
    let unit = style.level == .word ? "word" : "token"
    if style.unknown?.leavesOut == true {
      let few = count == 1 ? "1 \(unit) has" : "\(Output.grouped(count)) \(unit)s have"
      return
        "note: \(few) text that is not in the vocabulary (in \(Output.grouped(linesWithUnknown)) of "
        + "\(Output.grouped(lines)) lines): it is left out"
        + (style.level == .sentence ? "" : ", and surp is NA there")
    }
    let found =
      "note: \(Output.grouped(count)) \(unit)\(count == 1 ? "" : "s") in "
      + "\(Output.grouped(linesWithUnknown)) of \(Output.grouped(lines)) lines "
      + "\(count == 1 ? "is" : "are") not in the vocabulary"
    return "\(found): \(treatment(style))"
  }

  private func treatment(_ style: ScoreStyle) -> String {
    let column = style.level == .sentence ? "logprob" : "surp"
    let rows = style.level == .sentence ? "these lines have" : "they have"
    switch style.unknownWords {
    case .undefined:
      return
        "\(rows) \(column) NA; --unknown include gives each the probability of all unknown words together, which is "
        + "too high for one word; --unknown penalty=X lowers it"
    case .exclude where style.level == .sentence:
      return "they are left out of logprob, so that lines with more of them have fewer terms"
    case .exclude: return "\(rows) \(column) NA"
    case .include:
      return
        "each has the probability of all unknown words together, which is too high for one word"
    case .penalty:
      return "each has the probability of unknown words as a whole, less the penalty"
    }
  }
}

/// A line and its scores in their printed form.
struct SentenceReport {
  /// A word or token.
  struct Unit {
    /// The text, under a key that names its level.
    let name: String
    let level: Score.ScoreLevel
    var tokenpos: Int?
    var sentpos: Int?
    var wlen: Int?
    let surp: Double?
    /// The reason why there is no surprisal.
    let surpReason: String?
    let entropy: Double?
    let entred: Double?
    let oov: Bool
    let rank: Int?
    /// The likeliest tokens; `nil` if not requested.
    let guesses: [Guess]?

    /// Adds the members of the JSON object.
    ///
    /// - Throws: `EncodingError` if a number is not finite.
    func fill(_ object: inout ObjectText) throws {
      try object.add("entred", entred)
      try object.add("entropy", entropy)
      if let guesses {
        try object.add("guesses", guesses) { guess, object in
          try object.add("prob", guess.prob)
          object.add("token", guess.token)
        }
      }
      object.add("oov", oov)
      if guesses != nil { object.add("rank", rank) }
      object.add("sentpos", sentpos)
      try object.add("surp", surp)
      object.add("surp_reason", surpReason)
      if level == .token {
        object.add("token", name)
        object.add("tokenpos", tokenpos)
      } else {
        object.add("wlen", wlen)
        object.add("word", name)
      }
    }
  }

  /// A token that the model expected.
  struct Guess {
    let token: String
    let prob: Double

    init(_ expected: ExpectedToken) {
      (token, prob) = (expected.token, Elementary.exp(expected.logProbability))
    }
  }

  private let style: ScoreStyle
  private let sentence: SentenceScore
  private let logprob: Double?
  /// The words or tokens; `nil` if only the sentence is requested.
  private let units: [Unit]?

  init(_ sentence: SentenceScore, _ style: ScoreStyle) {
    self.style = style
    self.sentence = sentence
    logprob = style.scaled(sentence.logProbability(style.unknownWords))
    switch style.level {
    case .sentence: units = nil
    case .word: units = Self.words(of: sentence, style)
    case .token: units = Self.tokens(of: sentence, style)
    }
  }

  private static func words(of sentence: SentenceScore, _ style: ScoreStyle) -> [Unit] {
    sentence.words.enumerated().map { index, word in
      let surprisal = style.scaled(word.surprisal(style.unknownWords))
      return Unit(
        name: word.word, level: .word, sentpos: index + 1, wlen: word.word.unicodeScalars.count,
        surp: surprisal,
        surpReason: reason(surprisal, isUnknown: word.isUnknown),
        entropy: style.scaled(word.entropy), entred: style.scaled(word.entropyReduction),
        oov: word.isUnknown, rank: word.rank,
        guesses: style.guesses > 0 ? word.guesses.map(Guess.init) : nil)
    }
  }

  private static func tokens(of sentence: SentenceScore, _ style: ScoreStyle) -> [Unit] {
    sentence.tokens.enumerated().map { index, token in
      let before = index > 0 ? sentence.tokens[index - 1].entropy : nil
      let reduction = before.flatMap { before in token.entropy.map { max(0, before - $0) } }
      let surprisal = style.scaled(token.surprisal(style.unknownWords))
      return Unit(
        name: token.token, level: .token, tokenpos: index + 1, sentpos: token.word.map { $0 + 1 },
        surp: surprisal, surpReason: reason(surprisal, isUnknown: token.isUnknown),
        entropy: style.scaled(token.entropy), entred: style.scaled(reduction), oov: token.isUnknown,
        rank: token.rank, guesses: style.guesses > 0 ? token.guesses.map(Guess.init) : nil)
    }
  }

  private static func reason(_ surprisal: Double?, isUnknown: Bool) -> String? {
    guard surprisal == nil else { return nil }
    return isUnknown ? "not in the vocabulary" : "not predicted"
  }

  /// The JSON object on one line.
  ///
  /// - Throws: `EncodingError` if a number is not finite.
  var json: String {
    get throws {
      var object = ObjectText()
      object.add("adaptation", style.adaptation)
      object.add("base", style.base.rawValue)
      object.add("boundary", style.boundary.rawValue)
      object.add("context_length", style.window?.length)
      try object.add("logprob", logprob)
      let isUnknown = sentence.oovCount > 0
      object.add("logprob_reason", Self.reason(logprob, isUnknown: isUnknown))
      object.add("oov", sentence.oovCount)
      object.add("pad", style.window?.padding)
      object.add("protocol", style.protocolName)
      object.add("sentid", sentence.line)
      object.add("tokens", sentence.tokens.count)
      try object.add("units", units) { try $0.fill(&$1) }
      object.add("unknown", style.unknown?.argument)
      return object.finished
    }
  }

  /// The number of the line, counted from 1.
  var lineNumber: Int { sentence.line }

  /// The perplexity of the predicted tokens; `nil` without one.
  var perplexity: Double? {
    let values = sentence.tokens.compactMap(\.logProbability)
    guard !values.isEmpty else { return nil }
    let perplexity = Elementary.exp(-values.reduce(0, +) / Double(values.count))
    return perplexity.isFinite ? perplexity : nil
  }

  /// The words or tokens in order; empty if only the sentence is requested.
  var scoredUnits: [Unit] { units ?? [] }

  /// The cells of the rows of the table.
  var rows: [[String]] {
    let sentid = String(sentence.line)
    guard let units else {
      return [[sentid, "\(sentence.tokens.count)", "\(sentence.oovCount)", cell(logprob)]]
    }
    return units.map { unit in
      let sentpos = unit.sentpos.map(String.init) ?? "NA"
      let places =
        unit.level == .token
        ? ["\(unit.tokenpos ?? 0)", sentpos] : [sentpos, "\(unit.wlen ?? 0)"]
      let numbers = [unit.surp, unit.entropy, unit.entred].map(cell)
      return [unit.name, sentid] + places + numbers + [unit.oov ? "1" : "0"] + guessCells(unit)
    }
  }

  /// The rank, and token and probability of each guess; `NA` where there are fewer.
  private func guessCells(_ unit: Unit) -> [String] {
    guard let guesses = unit.guesses else { return [] }
    let found = guesses.flatMap { [$0.token, cell($0.prob)] }
    let missing = Array(repeating: "NA", count: max(0, 2 * style.guesses - found.count))
    return [unit.rank.map(String.init) ?? "NA"] + found + missing
  }
}
