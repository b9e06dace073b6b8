// The report of `unroll score --pairs`: accuracy by group, or both scores of each pair.

import ArgumentParser
import UnrollEngine

/// Options of minimal pairs.
struct PairOptions: ParsableArguments {
  @Option(
    help: "Compare whole sentences, or the words in which they differ.")
  var compare = PairPart.sentence

  @Option(
    help: ArgumentHelp(
      "Field with the group of a pair (default: phenomenon, UID, linguistics_term or condition).",
      valueName: "field"))
  var group: String?

  @Flag(help: "Print both log-probabilities of each pair instead of the accuracy.")
  var each = false

  /// `true` if an option is given.
  var isGiven: Bool { compare != .sentence || group != nil || each }
}

extension PairPart: ExpressibleByArgument {}

/// Accuracy by group, in the order in which the groups appear.
struct PairReport: Encodable {
  private struct Group: Encodable {
    let group: String
    let pairs: Int
    let correct: Int
    let unscored: Int
    let accuracy: OrNull<Double>
    let low: OrNull<Double>
    let high: OrNull<Double>

    init(_ name: String, _ accuracy: PairAccuracy) {
      group = name
      pairs = accuracy.pairs
      correct = accuracy.correct
      unscored = accuracy.unscored
      self.accuracy = OrNull(accuracy.share)
      low = OrNull(accuracy.interval?.lowerBound)
      high = OrNull(accuracy.interval?.upperBound)
    }

    var cells: [String] {
      [
        group, "\(pairs)", "\(correct)", "\(unscored)", cell(accuracy.value), cell(low.value),
        cell(high.value),
      ]
    }
  }

  /// One pair.
  struct Row: Encodable {
    private let pair: Int
    private let group: OrNull<String>
    private let good: OrNull<Double>
    private let bad: OrNull<Double>
    private let correct: OrNull<Bool>
    private let sentenceGood: String
    private let sentenceBad: String

    init(_ score: PairScore, _ base: Score.Base) {
      pair = score.pair.line
      group = OrNull(score.pair.group)
      good = OrNull(score.good.map { $0 / base.logarithm })
      bad = OrNull(score.bad.map { $0 / base.logarithm })
      correct = OrNull(score.isCorrect)
      sentenceGood = score.pair.good
      sentenceBad = score.pair.bad
    }

    /// The cells of the table.
    var cells: [String] {
      [
        "\(pair)", group.value ?? "NA", cell(good.value), cell(bad.value),
        correct.value.map { $0 ? "1" : "0" } ?? "NA", sentenceGood, sentenceBad,
      ]
    }
  }

  /// The columns of the table of pairs.
  static let header = [
    "pair", "group", "good", "bad", "correct", "sentence_good", "sentence_bad",
  ]

  private var names: [String] = []
  private var groups: [String: PairAccuracy] = [:]
  /// The accuracy of all pairs.
  private(set) var all = PairAccuracy()

  /// Adds a pair.
  mutating func add(_ score: PairScore) {
    all.add(score)
    guard let name = score.pair.group else { return }
    if groups[name] == nil { names.append(name) }
    groups[name, default: PairAccuracy()].add(score)
  }

  private var rows: [Group] {
    names.map { Group($0, groups[$0] ?? PairAccuracy()) } + [Group("all", all)]
  }

  /// The rows of the table of accuracies, its header first.
  var table: [[String]] {
    [["group", "pairs", "correct", "unscored", "accuracy", "low", "high"]] + rows.map(\.cells)
  }

  /// The note on pairs without a score; `nil` if there are none.
  var note: String? {
    guard all.unscored > 0 else { return nil }
    return
      "note: \(Output.grouped(all.unscored)) of \(Output.grouped(all.pairs + all.unscored)) pairs "
      + "have no score, since words are not in the vocabulary or not predicted; they do not count: "
      + "--unknown include or penalty=X scores them"
  }

  enum CodingKeys: String, CodingKey {
    case groups
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(rows, forKey: .groups)
  }
}
