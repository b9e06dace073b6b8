// The report of `unroll score --nbest`: the best hypothesis of each utterance, and word error rates.

import ArgumentParser
import Foundation
import UnrollEngine

/// Options of n-best lists.
struct NBestOptions: ParsableArguments {
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Factor of the model's log-probability (default: 1).", valueName: "x"))
  var lmWeight: Double?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Number that is subtracted for each word (default: 0).", valueName: "x"))
  var wordPenalty: Double?

  @Option(
    help: ArgumentHelp(
      "Lines of utterance and words: count word errors.", valueName: "file"))
  var reference: String?

  @Flag(help: "Use the weight and the penalty with the fewest word errors on this list.")
  var tune = false

  /// `true` if an option is given.
  var isGiven: Bool {
    lmWeight != nil || wordPenalty != nil || reference != nil || tune
  }

  func validate() throws {
    for (name, value) in [("--lm-weight", lmWeight), ("--word-penalty", wordPenalty)] {
      guard value?.isFinite != false else { throw ValidationError("\(name) is a number.") }
    }
    guard tune else { return }
    guard reference != nil else { throw ValidationError("--tune needs --reference.") }
    guard lmWeight == nil, wordPenalty == nil else {
      throw ValidationError("--tune cannot be combined with --lm-weight or --word-penalty.")
    }
  }
}

/// Word errors, for people and programs.
struct WordErrorsReport: Encodable {
  let errors: Int
  let substitutions: Int
  let deletions: Int
  let insertions: Int
  let words: Int
  let rate: Double?

  init(_ found: WordErrors) {
    errors = found.count
    substitutions = found.substitutions
    deletions = found.deletions
    insertions = found.insertions
    words = found.words
    rate = found.rate
  }

  var text: String {
    let percent = rate.map { String(printf: "%.2f %%", 100 * $0) } ?? "no words"
    return "\(percent) (\(Output.grouped(errors)) of \(Output.grouped(words)) words: "
      + "\(substitutions) substituted, \(deletions) deleted, \(insertions) inserted)"
  }
}

/// The choices and errors of an n-best list.
struct NBestReport: Encodable {
  private struct Utterance: Encodable {
    let utt: String
    let hyp: String
    let line: Int
    let hypotheses: Int
    let am: OrNull<Double>
    let lm: OrNull<Double>
    let total: OrNull<Double>
  }

  private let lmWeight: Double
  private let wordPenalty: Double
  private let utterances: [Utterance]
  private let wer: WordErrorsReport?
  private let firstPassWer: WordErrorsReport?
  private let oracleWer: WordErrorsReport?
  /// The number of hypotheses without a score of the model.
  private let unscored: Int

  /// Chooses the best hypotheses.
  ///
  /// - Parameters:
  ///   - list: The scored list.
  ///   - weights: The weights.
  ///   - errors: The word errors, if there are references.
  ///   - base: The base of the scores.
  init(_ list: NBestList, _ weights: RescoringWeights, _ errors: NBestErrors?, _ base: Score.Base) {
    lmWeight = weights.languageModel
    wordPenalty = -weights.word
    utterances = list.utterances.map { utterance in
      let best = utterance.hypotheses[utterance.best(weights, logarithm: base.logarithm)]
      return Utterance(
        utt: utterance.name, hyp: best.hypothesis.text, line: best.hypothesis.line,
        hypotheses: utterance.hypotheses.count, am: OrNull(best.hypothesis.acoustic),
        lm: OrNull(best.logProbability.map { $0 / base.logarithm }),
        total: OrNull(weights.total(best, logarithm: base.logarithm)))
    }
    wer = errors.map { errors in
      WordErrorsReport(errors.total { $0.best(weights, logarithm: base.logarithm) })
    }
    let firstPass = RescoringWeights(languageModel: 0, word: 0)
    firstPassWer = errors.map { errors in WordErrorsReport(errors.total { $0.best(firstPass) }) }
    oracleWer = errors.map { WordErrorsReport($0.oracle) }
    unscored = list.utterances.reduce(0) { sum, utterance in
      sum + utterance.hypotheses.count { $0.logProbability == nil }
    }
  }

  /// The rows of the table, its header first.
  var table: [[String]] {
    [["utt", "hyp", "line", "hypotheses", "am", "lm", "total"]]
      + utterances.map {
        [
          $0.utt, $0.hyp, "\($0.line)", "\($0.hypotheses)", cell($0.am.value), cell($0.lm.value),
          cell($0.total.value),
        ]
      }
  }

  /// The lines on word errors and on hypotheses without a score, for people.
  var notes: [String] {
    var notes: [String] = []
    if let wer, let firstPassWer, let oracleWer {
      let weights =
        "weight \(TextLayout.number(lmWeight)), penalty \(TextLayout.number(wordPenalty + 0))"
      notes.append("word error rate: \(wer.text); \(weights)")
      notes.append("word error rate with the recognizer's own scores: \(firstPassWer.text)")
      notes.append("word error rate of the best hypotheses in the list: \(oracleWer.text)")
    }
    if utterances.allSatisfy({ $0.am.value == nil }) {
      notes.append(
        "note: the list has no scores of its own: each line is the name of an utterance and a hypothesis; "
          + "\(counted(utterances.count, "utterance"))")
    }
    let scores = utterances.compactMap(\.am.value)
    if scores.count > 1, scores.allSatisfy({ $0 > 0 }) {
      notes.append(
        "note: the scores of the list are above 0: a higher one counts as better; costs need a minus sign"
      )
    }
    if unscored > 0 {
      let have = unscored == 1 ? "hypothesis has" : "hypotheses have"
      notes.append(
        "note: \(Output.grouped(unscored)) \(have) no score, since words are not in the vocabulary; one without "
          + "a score is chosen only if no other of its utterance has one: --unknown include or penalty=X scores them"
      )
    }
    return notes
  }
}
