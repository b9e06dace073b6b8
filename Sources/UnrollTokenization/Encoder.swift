// From lines of text to token ids.

/// Turns lines into token ids, and token ids into text, by a vocabulary and a tokenizer.
///
/// Each kind of tokenizer is one way to cut a line, a case of `Algorithm`; what they share is here:
/// unknown text, the end of a sentence, and the ends of lines.
public struct Encoder: Sendable {
  /// The vocabulary.
  public let vocabulary: Vocabulary
  /// The tokenizer: kind and options.
  public let tokenizer: Tokenizer
  /// The id of the token that ends each line, if the tokenizer has one do that.
  public let endOfSentenceID: Int32?
  /// The id of the token that a sentence starts from; `nil` where its first token has no context.
  public let sentenceStartID: Int32?
  let algorithm: Algorithm
  private let unknownID: Int32?
  private var leavesOutUnknown = false

  /// The ways to cut a line into tokens.
  enum Algorithm: Sendable {
    case whitespace
    case characters(CharacterTable)
    case bytes(ByteTable)
    case greedy(TokenTrie)
    /// The tokenizer of another program's file.
    case defined(DefinedTokenizer)
  }

  /// Creates an encoder.
  ///
  /// - Parameters:
  ///   - vocabulary: The vocabulary.
  ///   - tokenizer: The tokenizer: kind and options.
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

  /// Returns the texts of a line that the model cannot take: those that the vocabulary lacks, where there is
  /// no token for unknown text.
  public func missingWords(in line: TextLine) -> [String] {
    unknownID == nil ? unknownTexts(in: line) : []
  }

  /// Returns the texts of a line that the vocabulary lacks.
  func unknownTexts(in line: TextLine) -> [String] {
    let encoded = cut(line.bytes)
    return encoded.unknown.map { text(of: $0, in: encoded, line.bytes) }
  }

  /// Returns the tokens of a line.
  ///
  /// Bytes that are no UTF-8 are bytes for the tokenizer `byte`, and U+FFFD for those that another program's
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
    if leavesOutUnknown { encoded.leaveOutUnknown(of: line.bytes) }
    if let first = encoded.unknown.first {
      guard let unknownID else {
        throw refusal(of: text(of: first, in: encoded, line.bytes), line, path: path)
      }
      for index in encoded.unknown { encoded.ids[index] = unknownID }
    }
    let end = line.bytes.count + line.terminatorCount
    if let endOfSentenceID {
      encoded.add(endOfSentenceID, end: end, begin: line.bytes.count)
    } else if !encoded.ends.isEmpty {
      encoded.ends[encoded.ends.count - 1] = end
    }
    return encoded
  }

  /// Returns the refusal of a text that the vocabulary lacks.
  private func refusal(of text: String, _ line: TextLine, path: String) -> TextError {
    let unit = [.whitespace, .wordlevel].contains(tokenizer.kind) ? "words" : "text"
    let cause = cause(ofRefused: line, path: path)
    let form = cause.map { ": the text has \($0.found)" } ?? ""
    let usual =
      text == tokenizer.space
      ? "give plain text: \(visible(text)) stands for a space in this model's vocabulary"
      : dropsUnknown
        ? "leave such words out, as Keras does: --unknown drop of evaluate, score and tokenize; or put words "
          + "of the list in their place"
        : "check that the text was prepared as the model's training text was, or leave such \(unit) out: --unknown "
          + "drop of evaluate, score and tokenize"
    return TextError(
      path: path, line: line.number, expected: "\(unit) of the vocabulary",
      found: "\"\(visible(text))\", and the vocabulary has no token for unknown \(unit)\(form)",
      fix: cause?.fix ?? usual)
  }

  /// Returns the tokens of some text without an end of sentence; the id of unknown text is negative.
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

  /// Returns the text that a token stands for, without the white space before it.
  private func text(of index: Int, in encoded: EncodedLine, _ bytes: [UInt8]) -> String {
    let range = (index == 0 ? 0 : encoded.ends[index - 1])..<encoded.ends[index]
    let text = bytes[range.clamped(to: 0..<bytes.count)]
    return text.withUnsafeBytes { text in
      // White space behind the word is of the token, such as a carriage return.
      let start = WhitespaceWords.ranges(in: text).last?.lowerBound ?? 0
      return String(decoding: text[start...], as: UTF8.self)
    }
  }
}

extension Encoder {
  /// `true` for a `Tokenizer` of Keras without `oov_token`, with which Keras leaves unknown words out of a text.
  public var dropsUnknown: Bool {
    unknownID == nil && tokenizer.definition?.format == TokenizerDefinition.Format.keras.rawValue
  }

  /// Leaves unknown text out of texts from here on, as Keras does; `EncodedLine.leftOut` tells which.
  ///
  /// - Parameter path: The model's path, for the error.
  /// - Throws: `TextError` if the vocabulary has a token for unknown text.
  public mutating func leaveOutUnknown(path: String) throws(TextError) {
    if let unknownID {
      throw TextError(
        path: path, line: nil,
        expected: "a model without a token for unknown text, for --unknown drop",
        found: "the token \(vocabulary.text(of: Int(unknownID)))", fix: "leave --unknown drop out")
    }
    leavesOutUnknown = true
  }

  /// Returns the tokens of a text in memory.
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
