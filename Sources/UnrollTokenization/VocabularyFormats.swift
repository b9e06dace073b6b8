// Vocabularies in the files of other programs.

import UnrollTensors

/// The form of a file that lists tokens.
public enum VocabularyFormat: String, Sendable, CaseIterable {
  /// One token a line.
  case list
  /// A list of tokens, or an object of tokens with their ids.
  case json
  /// fairseq's `dict.txt`: a token and its count a line. Four special tokens come first, which the file
  /// does not have: `<s>`, `<pad>`, `</s>` and `<unk>`.
  case fairseq
  /// Word vectors as word2vec and GloVe write them as text: a token and its numbers a line, perhaps
  /// behind a line with the number of tokens and of dimensions.
  case vectors
  /// A Python pickle, a file of `torch.save` or an array of NumPy with tokens in it, as fastai's `itos.pkl`:
  /// a list, a dictionary of tokens and ids, or an object that has one.
  case pickle

  /// The form of a file by its name: `.json`, `dict.txt` or `dict.LANGUAGE.txt`, `.vec` or a name with
  /// `glove` in it, `.pkl` or `.pickle`; else a list.
  public init(path: String) {
    let name = path.split(separator: "/").last.map { $0.lowercased() } ?? ""
    let plain = name.hasSuffix(".gz") ? String(name.dropLast(3)) : name
    if plain.hasSuffix(".json") {
      self = .json
    } else if plain.hasPrefix("dict.") && plain.hasSuffix(".txt") {
      self = .fairseq
    } else if plain.hasSuffix(".vec") || plain.contains("glove") {
      self = .vectors
    } else if name.hasSuffix(".pkl") || name.hasSuffix(".pickle") {
      self = .pickle
    } else {
      self = .list
    }
  }
}

extension Vocabulary {
  /// A vocabulary from a text that lists tokens.
  ///
  /// - Parameters:
  ///   - path: The file, plain or gzip.
  ///   - format: Its form; one of a list that is no text is taken for a list of lines.
  /// - Throws: `FileError` if the file cannot be opened, `TextError` if it is not of this form or has a
  ///   token twice.
  package init(text path: String, format: VocabularyFormat) throws {
    switch format {
    case .list, .pickle: try self.init(listedIn: path)
    case .json: self = try Self.list(json: path).vocabulary(unit: .word)
    case .fairseq: try self.init(fairseq: path)
    case .vectors: try self.init(vectors: path)
    }
  }

  /// fairseq's own special tokens, in their order.
  private static let fairseqTokens = ["<s>", "<pad>", "</s>", "<unk>"]

  private init(fairseq path: String) throws {
    var words = TokenTable()
    for token in Self.fairseqTokens { _ = words.insert(token.utf8) }
    var counts = [UInt64](repeating: 0, count: words.count)
    var reader = try LineReader(path: path, lineEnds: .lineFeed)
    while let line = try reader.next() {
      let fields = line.bytes.split(separator: 0x20, omittingEmptySubsequences: false)
      let isOverwriting = fields.last?.elementsEqual("#fairseq:overwrite".utf8) == true
      let parts = isOverwriting ? fields.dropLast() : fields[...]
      let count = parts.last.flatMap { UInt64(String(decoding: $0, as: UTF8.self)) }
      let token = parts.dropLast().joined(separator: [0x20])
      guard let count, parts.count > 1, words.insert(token) == counts.count else {
        throw TextError(
          path: path, line: line.number, expected: "a new token and its count",
          found: "\"\(String(decoding: line.bytes.prefix(80), as: UTF8.self))\"",
          fix: "give the dict.txt that fairseq wrote")
      }
      counts.append(count)
    }
    self.init(words, unit: .word)
    self.counts = counts
    (beginningOfSentenceID, paddingID, endOfSentenceID, unknownID) = (0, 1, 2, 3)
  }

  private init(vectors path: String) throws {
    var words = TokenTable()
    var dimensions: Int?
    var reader = try LineReader(path: path, lineEnds: .lineFeed)
    while let line = try reader.next() {
      var fields = line.bytes.split(separator: 0x20, omittingEmptySubsequences: false)
      // word2vec ends lines with a space.
      if fields.last?.isEmpty == true { fields.removeLast() }
      let header = fields.compactMap { Int(String(decoding: $0, as: UTF8.self)) }
      if line.number == 1, fields.count == 2, header.count == 2 {
        dimensions = header[1]
        continue
      }
      let width = dimensions ?? fields.count - 1
      dimensions = width
      // A token of GloVe may have spaces in it.
      let token = Array(fields.dropLast(max(0, width)).joined(separator: [0x20]))
      let known = words.count
      guard width > 0, !token.isEmpty, words.insert(token) == known else {
        throw TextError(
          path: path, line: line.number, expected: "a new token and \(width) numbers",
          found: "\"\(String(decoding: line.bytes.prefix(80), as: UTF8.self))\"",
          fix: "give word vectors as text, one token a line")
      }
    }
    guard words.count > 0 else {
      throw TextError(
        path: path, line: nil, expected: "a token and its numbers a line", found: "an empty file",
        fix: "give word vectors as text")
    }
    self.init(words, unit: .word)
  }
}
