// The tokens of a text, with the parts of it that they stand for.

import UnrollTensors
import UnrollTokenization

/// Reads the tokens of a text one by one, or line by line.
struct TokenReader: ~Copyable {
  private var lines: PreparedText
  private let encoder: Encoder
  private var line: [TokenInText] = []
  private var position = 0
  /// `true` if lines of nothing but white space are skipped.
  var skipsBlankLines = false
  /// `true` if the text of the unknown token itself is treated as unknown text.
  var takesUnknownTokenForUnknown = false
  /// `true` if tokens name the words that they belong to, and words are counted.
  var recordsWords = false
  /// The number of occurrences of each word, if words are recorded.
  private(set) var wordCounts: [[UInt8]: Int] = [:]
  /// The number of lines that were read.
  private(set) var lineCount = 0
  /// The number of words or characters that were left out.
  private(set) var leftOutCount = 0
  private var beginsWithWhiteSpace = false
  private var endsWithWhiteSpace = false

  init(
    encoder: Encoder, path: String, _ preparation: TextPreparation = TextPreparation()
  ) throws(FileError) {
    lines = try PreparedText(path: path, for: encoder.tokenizer, preparation)
    self.encoder = encoder
  }

  /// The share of the text that was read.
  var fraction: Double? { lines.fraction }

  /// The number of empty parts before and behind the words, between white space.
  var emptyEnds: Int { (beginsWithWhiteSpace ? 1 : 0) + (endsWithWhiteSpace ? 1 : 0) }

  mutating func nextLine() throws(TextError) -> [TokenInText]? {
    guard var line = try lines.next() else { return nil }
    var words = line.words
    while skipsBlankLines && words.isEmpty {
      guard let next = try lines.next() else { return nil }
      line = next
      words = next.words
    }
    lineCount += 1
    if lineCount == 1 { beginsWithWhiteSpace = words.first?.lowerBound != 0 }
    endsWithWhiteSpace =
      line.terminatorCount > 0 || words.last?.upperBound != line.bytes.count
    var encoded = try encoder.encode(line, path: lines.path)
    leftOutCount += encoded.leftOut.count
    if takesUnknownTokenForUnknown, let id = encoder.vocabulary.unknownID {
      encoded.unknown = encoded.ids.indices.filter { encoded.ids[$0] == Int32(id) }
    }
    var tokens = encoded.tokens(
      of: line, predictsEnd: encoder.predictsLineEnds, hasEndToken: encoder.endOfSentenceID != nil)
    if recordsWords {
      encoded.addWords(of: line, to: &tokens)
      for word in words { wordCounts[Array(line.bytes[word]), default: 0] += 1 }
    }
    return tokens
  }

  /// Returns all remaining tokens.
  mutating func all() throws(TextError) -> [TokenInText] {
    var tokens: [TokenInText] = []
    while let line = try nextLine() { tokens += line }
    return tokens
  }

  mutating func next() throws(TextError) -> TokenInText? {
    while position == line.count {
      guard let nextLine = try nextLine() else { return nil }
      line = nextLine
      position = 0
    }
    position += 1
    return line[position - 1]
  }
}
