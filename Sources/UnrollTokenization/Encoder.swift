// From lines of text to token ids.

/// The tokens of one line.
public struct EncodedLine: Sendable {
  /// The ids, the end-of-sentence token included.
  public var ids: [Int32] = []
  /// For each token where the bytes end that it stands for, from the end of the token before; together
  /// they are all bytes of the line, its end included.
  public var ends: [Int] = []
  /// Which tokens stand for text that the vocabulary lacks: places in `ids`.
  public var unknown: [Int] = []
  /// `true` if the tokenizer's regular expressions needed more steps than are allowed.
  var isExhausted = false

  /// Creates a line without tokens.
  public init() {}

  /// The number of tokens that stand for text that the vocabulary lacks.
  public var unknownCount: Int { unknown.count }

  /// For each token the number of bytes that it stands for.
  public var byteCounts: [Int] {
    ends.indices.map { ends[$0] - ($0 == 0 ? 0 : ends[$0 - 1]) }
  }

  /// Adds a token; its id is `noToken` for text without one.
  @inline(__always)
  mutating func add(_ id: Int32, end: Int) {
    if id < 0 { unknown.append(ids.count) }
    ids.append(id)
    ends.append(end)
  }

  /// The id of text that no token stands for, until the unknown token takes its place.
  static let noToken: Int32 = -1
}

/// Turns lines into token ids, and token ids into text, by a vocabulary and a tokenizer.
///
/// Each kind of tokenizer is one way to cut a line, a case of `Algorithm`; what they share is here:
/// unknown text, the end of a sentence, and the ends of lines.
public struct Encoder: Sendable {
  /// The vocabulary.
  public let vocabulary: Vocabulary
  /// How text becomes tokens.
  public let tokenizer: Tokenizer
  /// The id of the token that ends each line, if the tokenizer has one do that.
  public let endOfSentenceID: Int32?
  /// The id of the token that a sentence starts from; `nil` where its first token has no context.
  public let sentenceStartID: Int32?
  let algorithm: Algorithm
  private let unknownID: Int32?

  /// The ways to cut a line into tokens.
  enum Algorithm: Sendable {
    case whitespace
    case characters(CharacterTable)
    case bytes(ByteTable)
    case greedy(TokenTrie)
    /// What another program's file says.
    case defined(DefinedTokenizer)
  }

  /// Creates an encoder.
  ///
  /// - Parameters:
  ///   - vocabulary: The vocabulary.
  ///   - tokenizer: How text becomes tokens.
  ///   - path: The model's path, for the error.
  /// - Throws: `TextError` if the tokenizer needs a token that the vocabulary lacks, or is one that
  ///   this version does not have.
  public init(vocabulary: Vocabulary, tokenizer: Tokenizer, path: String) throws(TextError) {
    self.vocabulary = vocabulary
    self.tokenizer = tokenizer
    let needsEnd = tokenizer.appendsEndOfSentence || tokenizer.sentenceStart == .eos
    guard !needsEnd || vocabulary.endOfSentenceID != nil else {
      throw TextError(
        path: path, line: nil, expected: "an end-of-sentence token in the vocabulary",
        found: "none",
        fix: "convert again and name it: --eos TOKEN; or give a vocabulary that has the token <eos>"
      )
    }
    guard tokenizer.sentenceStart != .bos || vocabulary.beginningOfSentenceID != nil else {
      throw TextError(
        path: path, line: nil, expected: "a beginning-of-sentence token in the vocabulary",
        found: "none",
        fix: "convert again and name it: --bos TOKEN; or give a vocabulary that has the token <bos>"
      )
    }
    let endID = vocabulary.endOfSentenceID.map { Int32($0) }
    endOfSentenceID = tokenizer.appendsEndOfSentence ? endID : nil
    sentenceStartID =
      switch tokenizer.sentenceStart {
      case .eos: endID
      case .bos: vocabulary.beginningOfSentenceID.map { Int32($0) }
      case .none: nil
      }
    unknownID = vocabulary.unknownID.map { Int32($0) }
    switch tokenizer.kind {
    case .whitespace: algorithm = .whitespace
    case .character:
      algorithm = .characters(CharacterTable(vocabulary, space: tokenizer.space))
    case .byte: algorithm = .bytes(ByteTable(vocabulary))
    case .greedy: algorithm = .greedy(TokenTrie(vocabulary))
    case .bpe, .wordpiece, .unigram, .wordlevel, .charlevel:
      do {
        algorithm = .defined(try tokenizer.defined(vocabulary))
      } catch {
        throw DefinitionError(error).textError(path: path)
      }
    }
  }

  /// The texts of a line that the model cannot take: those that the vocabulary lacks, where there is
  /// no token for unknown text.
  public func missingWords(in line: TextLine) -> [String] {
    guard unknownID == nil else { return [] }
    let encoded = cut(line.bytes)
    return encoded.unknown.map { text(of: $0, in: encoded, line.bytes) }
  }

  /// The tokens of a line.
  ///
  /// What is not UTF-8 is bytes for the tokenizer `byte`, and U+FFFD for those that another program's
  /// file defines, as for these programs.
  ///
  /// - Throws: `TextError` if the line is not UTF-8 and the tokenizer another, or if it has text that
  ///   the vocabulary lacks while there is no token for unknown text.
  public func encode(_ line: TextLine, path: String) throws(TextError) -> EncodedLine {
    if [.whitespace, .character, .greedy].contains(tokenizer.kind) {
      try checkUTF8(line, path: path)
    }
    var encoded = cut(line.bytes)
    guard !encoded.isExhausted else {
      throw TextError(
        path: path, line: line.number,
        expected: "text that the tokenizer's regular expressions match in few steps",
        found: "a line of \(line.bytes.count) bytes that takes too many",
        fix: "split the line, or prepare the text with the tokenizer's own program")
    }
    if let first = encoded.unknown.first {
      guard let unknownID else {
        let unit = [.whitespace, .wordlevel].contains(tokenizer.kind) ? "words" : "text"
        let cause = cause(ofRefused: line, path: path)
        let form = cause.map { ": the text has \($0.found)" } ?? ""
        let usual =
          tokenizer.definition?.format == "keras"
          ? "take such words out of the text, as Keras does, or put words of the list in their place"
          : "check that the text was prepared as the model's training text was"
        throw TextError(
          path: path, line: line.number, expected: "\(unit) of the vocabulary",
          found: "\"\(text(of: first, in: encoded, line.bytes))\", and the vocabulary has no token "
            + "for unknown \(unit)\(form)",
          fix: cause?.fix ?? usual)
      }
      for index in encoded.unknown { encoded.ids[index] = unknownID }
    }
    let end = line.bytes.count + line.terminatorCount
    if let endOfSentenceID {
      encoded.add(endOfSentenceID, end: end)
    } else if !encoded.ends.isEmpty {
      encoded.ends[encoded.ends.count - 1] = end
    }
    return encoded
  }

  /// The tokens of some text without an end of sentence; the id of unknown text is negative.
  private func cut(_ bytes: [UInt8]) -> EncodedLine {
    var encoded = EncodedLine()
    bytes.withUnsafeBytes { bytes in
      switch algorithm {
      case .whitespace:
        WhitespaceWords.forEach(in: bytes) { range in
          let word = UnsafeRawBufferPointer(rebasing: bytes[range])
          // A row that pads the embedding is no word, whatever it is called.
          let id = vocabulary.id(of: word).flatMap { vocabulary.kinds?[$0] == .unused ? nil : $0 }
          encoded.add(id.map { Int32($0) } ?? EncodedLine.noToken, end: range.upperBound)
        }
      case .characters(let table): table.encode(bytes, into: &encoded)
      case .bytes(let table): table.encode(bytes, into: &encoded)
      case .greedy(let trie): trie.encode(bytes, into: &encoded)
      case .defined(let defined): defined.encode(bytes, into: &encoded)
      }
    }
    return encoded
  }

  /// What a token stands for, without the white space around it.
  private func text(of index: Int, in encoded: EncodedLine, _ bytes: [UInt8]) -> String {
    let range = (index == 0 ? 0 : encoded.ends[index - 1])..<encoded.ends[index]
    let text = bytes[range.clamped(to: 0..<bytes.count)]
    return text.withUnsafeBytes { text in
      let word = WhitespaceWords.ranges(in: text).last ?? 0..<text.count
      return String(decoding: text[word], as: UTF8.self)
    }
  }
}

extension Encoder {
  /// The tokens of a text in memory.
  ///
  /// - Throws: `TextError` as `encode` does.
  package func ids(ofLines text: [UInt8]) throws(TextError) -> [Int32] {
    var ids: [Int32] = []
    for (index, bytes) in text.split(
      separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false
    )
    .enumerated() {
      // The last part has no end, so it is no line if it is empty.
      let isLast = bytes.endIndex == text.endIndex
      guard !isLast || !bytes.isEmpty else { break }
      let isKept = tokenizer.lineEnds == .kept && !isLast
      let line = TextLine(
        bytes: bytes + (isKept ? [UInt8(ascii: "\n")] : []), terminatorCount: isKept ? 0 : 1,
        number: index + 1)
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
