// Vocabularies from where they live: a folder of texts, or a list of tokens.

import UnrollTensors

extension Vocabulary {
  /// The token that ends a sentence, by its usual name.
  package static let endOfSentence = "<eos>"
  /// The token that stands for words outside the vocabulary, by its usual name.
  package static let unknown = "<unk>"

  /// The texts of a corpus folder in the order in which its vocabulary is made.
  public static let corpusParts = ["train.txt", "valid.txt", "test.txt"]

  /// A vocabulary of words, its special tokens found by their usual names.
  init(_ words: TokenTable, unit: TokenUnit) {
    self.init(tokens: (0..<words.count).lazy.map { words[$0] }, unit: unit)
    findSpecialTokens()
  }

  /// The vocabulary of a corpus folder in the order of PyTorch's word_language_model.
  ///
  /// Tokens get their ids as they first appear in `train.txt`, then `valid.txt`, then `test.txt`,
  /// where each line ends with `<eos>`. Source: the class `Corpus` of `data.py` in
  /// pytorch/examples.
  ///
  /// - Parameters:
  ///   - folder: The folder with the three texts.
  ///   - progress: Called with the number of bytes read since the last call.
  /// - Throws: `FileError` if a text cannot be opened, `TextError` if one is not UTF-8.
  public init(corpus folder: String, progress: (Int) -> Void = { _ in }) throws {
    var words = TokenTable()
    for part in Self.corpusParts {
      // The class keeps a byte-order mark: the ids are those that it gave.
      var reader = try LineReader(path: "\(folder)/\(part)", keepsByteOrderMark: true)
      while let line = try reader.next() {
        try checkUTF8(line, path: reader.path)
        line.bytes.withUnsafeBytes { bytes in
          for range in WhitespaceWords.ranges(in: bytes) {
            _ = words.insert(UnsafeRawBufferPointer(rebasing: bytes[range]))
          }
        }
        _ = words.insert(Self.endOfSentence.utf8)
        progress(line.bytes.count + line.terminatorCount)
      }
    }
    self.init(words, unit: .word)
  }

  /// A vocabulary from a list of tokens, one a line in the order of their ids, or from a table of tokens
  /// with their ids, counts or scores; see `VocabularyTable`.
  ///
  /// - Throws: `FileError` if the list cannot be opened, `TextError` if it is empty, not UTF-8, or
  ///   has an empty line or a token twice.
  public init(listedIn path: String) throws {
    var form: String?
    try self.init(listedIn: path, form: &form)
  }

  /// A vocabulary from a list or a table.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - form: Out: the columns of a table in words.
  /// - Throws: The errors of `init(listedIn:)`.
  package init(listedIn path: String, form: inout String?) throws {
    var reader = try LineReader(path: path)
    var lines: [[UInt8]] = []
    while let line = try reader.next() {
      try checkUTF8(line, path: path)
      lines.append(line.bytes)
    }
    let table = VocabularyTable(lines)
    form = table?.form
    var words = TokenTable()
    if let table, table.firstID == 1 {
      // Ids from 1 leave row 0 for padding.
      _ = words.insert(Self.padding.utf8)
    }
    let first = words.count
    for (index, token) in (table?.tokens ?? lines.map { $0[...] }).enumerated() {
      let known = words.count
      guard !token.isEmpty, words.insert(token) == known else {
        throw TextError(
          path: path, line: table == nil ? index + 1 : nil, expected: "one new token a line",
          found: token.isEmpty
            ? "an empty line" : "\"\(String(decoding: token, as: UTF8.self))\" again",
          fix: token.isEmpty
            ? "remove the empty line" : "list each token once, in the order of its id")
      }
    }
    guard words.count > first else {
      throw TextError(
        path: path, line: nil, expected: "one token a line", found: "an empty file",
        fix: "list each token once, in the order of its id")
    }
    self.init(words, unit: .word)
    if first == 1 { paddingID = 0 }
    counts = table?.counts
  }

  /// The token of a row that ids from 1 leave unused.
  private static let padding = "<pad>"
}

/// The bytes of U+FEFF, which some programs put in front of a text.
package let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]
