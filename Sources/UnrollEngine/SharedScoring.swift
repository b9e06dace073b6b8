// A text that the ranks of a job score together.

import UnrollNeural
import UnrollTokenization

/// A text that ranks score together, whose result rank 0 prints in the order of the lines.
///
/// The text is cut into rounds of R parts. In each round rank r scores the r-th part into memory; then the ranks agree,
/// and rank 0 receives and prints what they have, while the others go on to the next round.
///
/// A class because it reads on from part to part.
public final class SharedScoring {
  /// Something that must be the same on every rank, such as the digest of a file.
  public typealias Fact = (name: String, value: String)

  private let model: LanguageModel
  private let settings: ScoreSettings
  private let facts: [Fact]
  private let header: String
  private let rows: (SentenceScore, _ fraction: Double?) throws -> String
  private var text: PreparedText
  private let textSize: Int
  /// The bytes of a part of the text, about.
  var partSize: Int
  /// The bytes of the result that rank 0 receives at once, at most.
  var windowSize = 64 << 20

  /// Opens a text.
  ///
  /// - Parameters:
  ///   - path: The text: a plain file, the same on every rank.
  ///   - model: The model.
  ///   - settings: The settings, for independent lines.
  ///   - facts: Everything that the result depends on.
  ///   - header: The beginning of the result.
  ///   - rows: Returns the part of the result that is of one line. It receives the line's score, and the share of the
  ///     text that was read.
  /// - Throws: `FileError` if the text cannot be opened; `TextError` if it is compressed or a pipe.
  public init(
    ofText path: String, _ model: LanguageModel, _ settings: ScoreSettings, facts: [Fact],
    header: String, rows: @escaping (SentenceScore, _ fraction: Double?) throws -> String
  ) throws {
    let text = try PreparedText(path: path, for: model.encoder.tokenizer, settings.preparation)
    guard let size = text.plainSize else {
      throw TextError(
        path: path, line: nil, expected: "a plain file, whose parts ranks can find",
        found: "compressed data or a pipe",
        fix: "decompress it into a file, or start one process without the MPI launcher")
    }
    textSize = size
    self.text = text
    self.model = model
    self.settings = settings
    self.facts = facts
    self.header = header
    self.rows = rows
    // Each guess makes a row longer: the result of a part has some 10 MB in any case.
    partSize = max(4 << 10, (256 << 10) / (1 + settings.guesses / 25))
  }

  /// Scores the text with the other ranks; one failure is a failure of all.
  ///
  /// - Parameters:
  ///   - begun: The text, or the error that kept this rank from it.
  ///   - group: The ranks.
  ///   - host: The name of this rank's host.
  ///   - output: Receives the result at rank 0, in pieces that need not end with a line.
  /// - Returns: The sums over all lines.
  /// - Throws: The error of this rank; `RankFailure` if another rank failed, or has other facts; an error if the
  ///   connection fails.
  public static func run(
    _ begun: Result<SharedScoring, any Error>, _ group: any RankGroup, host: String,
    output: ([UInt8]) throws -> Void
  ) throws -> ScoreTotals {
    let crew = try TrainingCrew(group, host: host)
    try crew.expectSame(begun.map { $0.facts.map { "\($0.name)\t\($0.value)" } })
    return try begun.get().run(crew, output)
  }

  private func run(
    _ crew: TrainingCrew, _ output: ([UInt8]) throws -> Void
  ) throws -> ScoreTotals {
    let ranks = crew.group.size
    let roundSize = partSize * ranks
    let rounds = max(1, (textSize + roundSize - 1) / roundSize)
    var totals = ScoreTotals()
    // The others learn in the next round that rank 0 could not print.
    var printed: Result<Void, any Error> = .success(())
    for round in 0..<rounds {
      let part = TextPart(round * ranks + crew.group.rank + 1, of: rounds * ranks)
      let own = printed.flatMap { Result { try score(part) } }
      let all = try crew.agree(own.map { Array("\($0.result.count) \($0.totals.encoded)".utf8) })
      let counts = all.map { message in
        let fields = String(decoding: message, as: UTF8.self).split(separator: " ", maxSplits: 1)
        if let sums = fields.last.flatMap({ ScoreTotals(encoded: $0) }) { totals.add(sums) }
        return fields.first.flatMap { Int($0) } ?? 0
      }
      printed = try collect(try own.get().result, counts: counts, crew.group, output)
    }
    _ = try crew.agree(printed.map { [] })
    return totals
  }

  /// Scores a part of the text.
  private func score(_ part: TextPart?) throws -> (result: [UInt8], totals: ScoreTotals) {
    var (result, totals) = ([UInt8](), ScoreTotals())
    if let part {
      if part.index == 1 { result += header.utf8 }
      try text.go(to: part)
    }
    var fixed: (any AdaptingScorer)?
    try model.score(&text, settings, adapting: &fixed) { sentence, fraction in
      totals.add(sentence)
      result += try rows(sentence, fraction).utf8
    }
    return (result, totals)
  }

  /// Gives rank 0 the results of all ranks, one after the other, a window at a time.
  ///
  /// - Parameters:
  ///   - own: The result of this rank.
  ///   - counts: The bytes of the results of all ranks.
  ///   - group: The ranks.
  ///   - output: Receives the windows at rank 0.
  /// - Returns: The first error of `output`.
  /// - Throws: An error if the connection fails.
  private func collect(
    _ own: [UInt8], counts: [Int], _ group: any RankGroup, _ output: ([UInt8]) throws -> Void
  ) throws -> Result<Void, any Error> {
    var end = 0
    let places = counts.map { count in
      end += count
      return end - count..<end
    }
    let none = Array(repeating: 0, count: group.size)
    var printed: Result<Void, any Error> = .success(())
    for first in stride(from: 0, to: end, by: windowSize) {
      let window = first..<min(first + windowSize, end)
      let shares = places.map { $0.clamped(to: window) }
      let share = shares[group.rank]
      let sent = share.isEmpty ? [] : own[share.offset(by: -places[group.rank].lowerBound)]
      var bytes = [UInt8](repeating: 0, count: group.rank == 0 ? window.count : 0)
      try sent.withUnsafeBytes { sent in
        try bytes.withUnsafeMutableBytes {
          try group.exchange(
            sent, counts: [sent.count] + none.dropFirst(), into: $0,
            counts: group.rank == 0 ? shares.map(\.count) : none)
        }
      }
      if group.rank == 0 { printed = printed.flatMap { Result { try output(bytes) } } }
    }
    return printed
  }
}

extension Range<Int> {
  /// Returns the range moved by a number.
  fileprivate func offset(by distance: Int) -> Range<Int> {
    lowerBound + distance..<upperBound + distance
  }
}
