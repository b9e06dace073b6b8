// From lines of text to token ids.

/// The tokens of one line.
public struct EncodedLine: Sendable {
  /// The ids, the end-of-sentence token included.
  public var ids: [Int32]
  /// Where each word lies in the line's bytes; the end-of-sentence token has no range.
  public var words: [Range<Int>]
  /// For each token the bytes from the end of the token before to its own end; together they are
  /// all bytes of the line, its end included.
  public var byteCounts: [Int]
  /// For each word whether the vocabulary lacks it.
  public var isUnknown: [Bool]

  /// The number of words that the vocabulary lacks.
  public var unknownCount: Int { isUnknown.count { $0 } }
}

/// Turns lines into token ids by a vocabulary and a tokenizer.
public struct Encoder: Sendable {
  /// The vocabulary.
  public let vocabulary: Vocabulary
  /// The id of the end-of-sentence token.
  public let endOfSentenceID: Int32
  private let unknownID: Int32?

  /// Creates an encoder.
  ///
  /// - Parameters:
  ///   - vocabulary: The vocabulary.
  ///   - tokenizer: How text becomes tokens.
  ///   - path: The model's path, for the error.
  /// - Throws: `TextError` if the tokenizer ends lines with a token that the vocabulary lacks.
  public init(vocabulary: Vocabulary, tokenizer: Tokenizer, path: String) throws(TextError) {
    guard tokenizer.kind == .whitespace else {
      throw TextError(
        path: path, line: nil, expected: "the tokenizer whitespace, which this version has",
        found: tokenizer.kind.rawValue, fix: "use a newer version of unroll")
    }
    guard let endOfSentenceID = vocabulary.endOfSentenceID, tokenizer.appendsEndOfSentence else {
      throw TextError(
        path: path, line: nil, expected: "an end-of-sentence token in the vocabulary",
        found: "none", fix: "convert again with a vocabulary that has the token <eos>")
    }
    self.vocabulary = vocabulary
    self.endOfSentenceID = Int32(endOfSentenceID)
    unknownID = vocabulary.unknownID.map { Int32($0) }
  }

  /// The words of a line that the model cannot take: those that the vocabulary lacks, where there is
  /// no token for unknown words.
  public func missingWords(in line: TextLine) -> [String] {
    guard unknownID == nil else { return [] }
    return line.bytes.withUnsafeBytes { bytes in
      WhitespaceWords.ranges(in: bytes)
        .filter { vocabulary.id(of: UnsafeRawBufferPointer(rebasing: bytes[$0])) == nil }
        .map { String(decoding: bytes[$0], as: UTF8.self) }
    }
  }

  /// The tokens of a line.
  ///
  /// - Throws: `TextError` if the line is not UTF-8, or has a word that the vocabulary lacks while
  ///   there is no token for unknown words.
  public func encode(_ line: TextLine, path: String) throws(TextError) -> EncodedLine {
    try checkUTF8(line, path: path)
    var encoded = EncodedLine(ids: [], words: [], byteCounts: [], isUnknown: [])
    var end = 0
    let missing = line.bytes.withUnsafeBytes { bytes -> Range<Int>? in
      for range in WhitespaceWords.ranges(in: bytes) {
        let known = vocabulary.id(of: UnsafeRawBufferPointer(rebasing: bytes[range]))
        guard let id = known.map({ Int32($0) }) ?? unknownID else { return range }
        encoded.ids.append(id)
        encoded.words.append(range)
        encoded.isUnknown.append(known == nil)
        encoded.byteCounts.append(range.upperBound - end)
        end = range.upperBound
      }
      return nil
    }
    if let missing {
      let word = String(decoding: line.bytes[missing], as: UTF8.self)
      throw TextError(
        path: path, line: line.number, expected: "words of the vocabulary",
        found: "\"\(word)\", and the vocabulary has no token for unknown words",
        fix: "check that the text was prepared as the model's training text was")
    }
    encoded.ids.append(endOfSentenceID)
    encoded.byteCounts.append(line.bytes.count - end + line.terminatorCount)
    return encoded
  }
}

extension Encoder {
  /// The tokens of a text in memory, whose lines end with `\n`.
  ///
  /// - Throws: `TextError` as `encode` does.
  package func ids(ofLines text: [UInt8]) throws(TextError) -> [Int32] {
    var lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    if lines.last?.isEmpty == true { lines.removeLast() }
    var ids: [Int32] = []
    for (index, bytes) in lines.enumerated() {
      let line = TextLine(bytes: Array(bytes), terminatorCount: 1, number: index + 1)
      ids += try encode(line, path: "the probe").ids
    }
    return ids
  }
}

/// Refuses a line that is not UTF-8, as Python's text files do.
///
/// - Throws: `TextError` that names the line.
func checkUTF8(_ line: TextLine, path: String) throws(TextError) {
  // ASCII is most of the text and needs no decoding.
  guard !line.bytes.allSatisfy({ $0 < 0x80 }) else { return }
  guard String(validating: line.bytes, as: UTF8.self) == nil else { return }
  throw TextError(
    path: path, line: line.number, expected: "UTF-8", found: "other bytes",
    fix: "convert the text, for example with `iconv -f LATIN1 -t UTF-8`")
}
