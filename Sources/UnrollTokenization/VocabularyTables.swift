// Lists of tokens with a second column: ids, counts or scores.

import UnrollTensors

/// The two columns of a list of tokens, recognized by content.
///
/// A list is a table where each of its lines has two fields between tabs, or else between single spaces,
/// and one column is of numbers: the ids 0, 1, 2, ... or 1, 2, 3, ... in any order, or else counts or
/// scores behind the tokens. Ids may also stand before or after a comma, with tokens in quotation marks as in CSV. A
/// table with tabs or commas and ids may have a line of titles.
struct VocabularyTable {
  /// The tokens in the order of their ids.
  let tokens: [ArraySlice<UInt8>]
  /// The id of the first token, 0 or 1.
  let firstID: Int
  /// The number of occurrences of each token, if the second column has counts.
  let counts: [UInt64]?
  /// The meaning of the columns, in words.
  let form: String

  /// Reads lines; `nil` if they are no table.
  init?(_ lines: [[UInt8]]) {
    for separator in [UInt8(ascii: "\t"), UInt8(ascii: " ")] {
      guard let columns = Self.columns(lines, separator) else { continue }
      let isTabbed = separator == UInt8(ascii: "\t")
      if let table = Self.ids(columns.1, tokens: columns.0, form: "tokens and their ids")
        ?? Self.ids(columns.0, tokens: columns.1, form: "ids and their tokens")
        ?? Self.counted(columns.1, tokens: columns.0, allowsScores: isTabbed)
      {
        self = table
        return
      }
      if isTabbed, let columns = Self.columns(Array(lines.dropFirst()), separator),
        let table = Self.ids(columns.1, tokens: columns.0, form: "titles, tokens and their ids")
          ?? Self.ids(columns.0, tokens: columns.1, form: "titles, ids and their tokens")
      {
        self = table
        return
      }
    }
    guard lines.count > 1,
      let table = Self.separatedByCommas(lines[...]) ?? Self.separatedByCommas(lines.dropFirst())
    else { return nil }
    self = table
  }

  /// Reads lines of ids and tokens between commas; `nil` if they are none.
  private static func separatedByCommas(_ lines: ArraySlice<[UInt8]>) -> VocabularyTable? {
    let comma = UInt8(ascii: ",")
    func fields(_ index: ([UInt8]) -> Int?) -> (Column, Column)? {
      var columns: (Column, Column) = ([], [])
      for line in lines {
        guard let index = index(line), index > 0, index < line.count - 1 else { return nil }
        columns.0.append(unquoted(line[..<index]))
        columns.1.append(unquoted(line[(index + 1)...]))
      }
      return columns
    }
    if let columns = fields({ $0.firstIndex(of: comma) }),
      let table = ids(columns.0, tokens: columns.1, form: "ids and their tokens")
    {
      return table
    }
    return fields { $0.lastIndex(of: comma) }.flatMap {
      ids($0.1, tokens: $0.0, form: "tokens and their ids")
    }
  }

  /// Returns a field of CSV without its quotation marks.
  private static func unquoted(_ field: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    let mark = UInt8(ascii: "\"")
    guard field.count >= 2, field.first == mark, field.last == mark else { return field }
    var text: [UInt8] = []
    var isSecond = false
    for byte in field.dropFirst().dropLast() {
      isSecond = byte == mark && !isSecond
      if !isSecond || byte != mark { text.append(byte) }
    }
    return text[...]
  }

  private init(
    tokens: [ArraySlice<UInt8>], firstID: Int, counts: [UInt64]? = nil, form: String
  ) {
    self.tokens = tokens
    self.firstID = firstID
    self.counts = counts
    self.form = form
  }

  private typealias Column = [ArraySlice<UInt8>]

  private static func columns(_ lines: [[UInt8]], _ separator: UInt8) -> (Column, Column)? {
    guard lines.count > 1 else { return nil }
    var columns: (Column, Column) = ([], [])
    for line in lines {
      let fields = line.split(separator: separator, omittingEmptySubsequences: false)
      guard fields.count == 2, !fields[0].isEmpty, !fields[1].isEmpty else { return nil }
      columns.0.append(fields[0])
      columns.1.append(fields[1])
    }
    return columns
  }

  /// Tokens by ids; numbers that only fall are counts.
  private static func ids(_ numbers: Column, tokens: Column, form: String) -> VocabularyTable? {
    let ids = numbers.compactMap { Int(String(decoding: $0, as: UTF8.self)) }
    guard ids.count > 1, ids.count == tokens.count, let first = ids.min(), (0...1).contains(first),
      !zip(ids, ids.dropFirst()).allSatisfy(>)
    else { return nil }
    var byID = Column(repeating: [], count: ids.count)
    var seen = [Bool](repeating: false, count: ids.count)
    for (id, token) in zip(ids, tokens) {
      guard seen.indices.contains(id - first), !seen[id - first] else { return nil }
      seen[id - first] = true
      byID[id - first] = token
    }
    return VocabularyTable(
      tokens: byID, firstID: first, form: "\(form) from \(first)")
  }

  private static func counted(
    _ numbers: Column, tokens: Column, allowsScores: Bool
  ) -> VocabularyTable? {
    let texts = numbers.map { String(decoding: $0, as: UTF8.self) }
    let counts = texts.compactMap { UInt64($0) }
    if counts.count == texts.count {
      return VocabularyTable(
        tokens: tokens, firstID: 0, counts: counts, form: "tokens and their counts")
    }
    guard allowsScores, texts.allSatisfy({ Double($0)?.isFinite == true }) else { return nil }
    return VocabularyTable(tokens: tokens, firstID: 0, form: "tokens and their scores")
  }
}
