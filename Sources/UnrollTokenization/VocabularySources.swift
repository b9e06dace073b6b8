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
    endOfSentenceID = id(of: Self.endOfSentence)
    unknownID = id(of: Self.unknown)
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
      var reader = try LineReader(path: "\(folder)/\(part)")
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

  /// A vocabulary from a list of tokens, one a line in the order of their ids.
  ///
  /// - Throws: `FileError` if the list cannot be opened, `TextError` if it is empty, not UTF-8, or
  ///   has an empty line or a token twice.
  public init(listedIn path: String) throws {
    var reader = try LineReader(path: path)
    var words = TokenTable()
    while let line = try reader.next() {
      try checkUTF8(line, path: path)
      let known = words.count
      let isNew = words.insert(line.bytes) == known
      guard !line.bytes.isEmpty, isNew else {
        throw TextError(
          path: path, line: line.number, expected: "one new token a line",
          found: line.bytes.isEmpty
            ? "an empty line" : "\"\(String(decoding: line.bytes, as: UTF8.self))\" again",
          fix: "list each token once, in the order of its id")
      }
    }
    guard words.count > 0 else {
      throw TextError(
        path: path, line: nil, expected: "one token a line", found: "an empty file",
        fix: "list each token once, in the order of its id")
    }
    self.init(words, unit: .word)
  }
}
