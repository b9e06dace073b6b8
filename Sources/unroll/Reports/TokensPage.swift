// The page of `unroll tokenize`: the text with the borders of its tokens, tokens per word, unknown parts.

import UnrollReport
import UnrollTensors
import UnrollTokenization

/// The page of the tokens of a text, gathered line by line; the lines that it shows are limited.
struct TokensPage {
  let vocabulary: Vocabulary
  private var lines = ShownLines(
    HeatMap(
      title: "Lines of the text", legend: ["a token"], missing: "not in the vocabulary",
      isSpaced: false, isBordered: true))
  /// The numbers of words by their number of tokens; the last place is of all larger numbers.
  private var wordCounts = [Int](repeating: 0, count: wordLimit + 1)
  /// The parts of the text that the vocabulary lacks, with their numbers.
  private var unknown: [String: Int] = [:]
  private var isUnknownCut = false

  /// The largest number of tokens of a word in the histogram.
  private static let wordLimit = 30
  /// The largest number of different unknown parts that are counted, and of those on the page.
  private static let unknownLimit = 100_000
  private static let unknownRows = 100

  init(_ vocabulary: Vocabulary) { self.vocabulary = vocabulary }

  // MARK: Gathering

  /// Adds a line.
  ///
  /// - Parameters:
  ///   - encoded: Its tokens.
  ///   - line: Its text.
  ///   - object: Returns the line as `--json` prints it.
  /// - Throws: `FileError` if a temporary file cannot be written; the errors of the closure.
  mutating func add(_ encoded: EncodedLine, of line: TextLine, object: () throws -> String) throws {
    countWords(encoded, line)
    countUnknown(encoded, line)
    let vocabulary = vocabulary
    try lines.add(
      line: line.number, cellCount: encoded.ids.count, object: object,
      cells: { Self.cells(encoded, line, vocabulary) })
  }

  private mutating func countWords(_ encoded: EncodedLine, _ line: TextLine) {
    let words = line.words
    var counts = [Int](repeating: 0, count: words.count)
    for case let owner? in encoded.owners(among: words) { counts[owner] += 1 }
    for count in counts { wordCounts[min(count, Self.wordLimit)] += 1 }
  }

  private mutating func countUnknown(_ encoded: EncodedLine, _ line: TextLine) {
    let begins = encoded.begins
    let ranges = encoded.unknown.map { begins[$0]..<encoded.ends[$0] } + encoded.leftOut
    for range in ranges {
      let text = excerpt(Self.trimmed(Self.text(line, range)), limit: 60)
      guard unknown[text] != nil || unknown.count < Self.unknownLimit else {
        isUnknownCut = true
        continue
      }
      unknown[text, default: 0] += 1
    }
  }

  /// Returns the text of some bytes of a line; its end is not among them.
  private static func text(_ line: TextLine, _ range: Range<Int>) -> String {
    String(decoding: line.bytes[range.clamped(to: 0..<line.bytes.count)], as: UTF8.self)
  }

  private static func trimmed(_ text: String) -> String {
    let start = text.drop { $0 == " " || $0 == "\t" }
    return start.isEmpty ? text : String(start)
  }

  private static func cells(
    _ encoded: EncodedLine, _ line: TextLine, _ vocabulary: Vocabulary
  ) -> [HeatMap.Cell] {
    let unknown = Set(encoded.unknown)
    return encoded.ids.indices.map { index in
      let start = index == 0 ? 0 : encoded.ends[index - 1]
      let own = text(line, start..<max(start, encoded.ends[index]))
      let piece = excerpt(vocabulary.text(of: Int(encoded.ids[index])))
      let isUnknown = unknown.contains(index)
      return HeatMap.Cell(
        text: own.allSatisfy(\.isNewline) ? piece : excerpt(own), level: isUnknown ? nil : 0,
        detail: "token \(index + 1): \(piece), id \(encoded.ids[index])"
          + (isUnknown ? ", not in the vocabulary" : ""))
    }
  }

  // MARK: Page

  /// The main figure; `nil` for a text without words.
  var histogram: Figure? {
    guard let last = wordCounts.lastIndex(where: { $0 > 0 }) else { return nil }
    let first = wordCounts.firstIndex { $0 > 0 } ?? 0
    return .bars(
      title: "Tokens per word", label: "words",
      rows: (first...last).map { count in
        let name = count == Self.wordLimit ? "\(count) or more tokens" : counted(count, "token")
        return (name, Double(wordCounts[count]))
      })
  }

  /// Fills a document.
  ///
  /// - Parameters:
  ///   - document: The document, with its origin.
  ///   - totals: The figures of the whole text.
  ///   - summary: The figures as `--summary --json` prints them; `nil` if the lines are the result.
  /// - Throws: `FileError` if a temporary file cannot be written.
  func fill(_ document: inout Document, totals: [Document.Fact], summary: String?) throws {
    document.highlights = totals
    document.sections = [
      Document.Section("Text", textBlocks),
      Document.Section("Words", wordBlocks),
      Document.Section("Not in the vocabulary", unknownBlocks),
    ]
    document.result = try summary.map { LongText($0) } ?? lines.result
  }

  private var textBlocks: [Document.Block] {
    return [
      .paragraph(
        "A line stands before each token. Point at a token, or click on it and use the arrow keys, for its id and "
          + "its piece in the vocabulary. A token without text of its own, such as the end of a sentence, has its piece."
      )
    ] + lines.cut("The other sections are about all lines.") + [.heatMap(lines.map)]
  }

  private var wordBlocks: [Document.Block] {
    guard let histogram else { return [.paragraph("The text has no words.")] }
    return [
      .paragraph(
        "A word is what stands between white space. Tokens behind the last word of a line are not counted here."
      ),
      .figure(histogram),
    ]
  }

  private var unknownBlocks: [Document.Block] {
    guard !unknown.isEmpty else { return [.paragraph("Every part of the text has a token.")] }
    let rows = unknown.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
    let shown = rows.prefix(Self.unknownRows)
    let rest =
      rows.count > shown.count || isUnknownCut
      ? [
        Document.Block.paragraph(
          "These are the \(shown.count) most frequent of \(isUnknownCut ? "more than " : "")"
            + "\(Output.grouped(rows.count)).")
      ] : []
    let table = Table(
      "Parts of the text without a token of their own", [.text("part"), .number("times")],
      shown.map { [$0.key, Output.grouped($0.value)] })
    return [.table(table)] + rest
  }
}
