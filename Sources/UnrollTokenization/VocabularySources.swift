// Vocabularies from where they live: a folder of texts, or a list of tokens.

import UnrollTensors

extension Vocabulary {
  /// The token that ends a sentence, by its usual name.
  package static let endOfSentence = "<eos>"
  /// The token that stands for words outside the vocabulary, by its usual name.
  package static let unknown = "<unk>"

  /// The texts of a corpus folder in the order in which its vocabulary is made.
  public static let corpusParts = ["train.txt", "valid.txt", "test.txt"]

  /// Finds the special tokens by their usual names.
  private mutating func findSpecialTokens() {
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
    var words = WordList()
    for part in Self.corpusParts {
      var reader = try LineReader(path: "\(folder)/\(part)")
      while let line = try reader.next() {
        try checkUTF8(line, path: reader.path)
        line.bytes.withUnsafeBytes { bytes in
          for range in WhitespaceWords.ranges(in: bytes) {
            words.add(UnsafeRawBufferPointer(rebasing: bytes[range]))
          }
        }
        words.add(Self.endOfSentence)
        progress(line.bytes.count + line.terminatorCount)
      }
    }
    self.init(tokens: words.inOrder, unit: .word)
    findSpecialTokens()
  }

  /// A vocabulary from a list of tokens, one a line in the order of their ids.
  ///
  /// - Throws: `FileError` if the list cannot be opened, `TextError` if it is empty, not UTF-8, or
  ///   has an empty line or a token twice.
  public init(listedIn path: String) throws {
    var reader = try LineReader(path: path)
    var words = WordList()
    while let line = try reader.next() {
      try checkUTF8(line, path: path)
      let isNew = line.bytes.withUnsafeBytes { words.add($0) }
      guard !line.bytes.isEmpty, isNew else {
        throw TextError(
          path: path, line: line.number, expected: "one new token a line",
          found: line.bytes.isEmpty
            ? "an empty line" : "\"\(String(decoding: line.bytes, as: UTF8.self))\" again",
          fix: "list each token once, in the order of its id")
      }
    }
    guard !words.inOrder.isEmpty else {
      throw TextError(
        path: path, line: nil, expected: "one token a line", found: "an empty file",
        fix: "list each token once, in the order of its id")
    }
    self.init(tokens: words.inOrder, unit: .word)
    findSpecialTokens()
  }
}

/// Distinct words in the order of their first appearance.
private struct WordList {
  private(set) var inOrder: [[UInt8]] = []
  private var known: Set<[UInt8]> = []

  /// Adds a word unless it is known; returns whether it was new.
  @discardableResult
  mutating func add(_ word: UnsafeRawBufferPointer) -> Bool {
    let word = Array(word)
    let isNew = known.insert(word).inserted
    if isNew { inOrder.append(word) }
    return isNew
  }

  mutating func add(_ word: String) {
    var word = word
    word.withUTF8 { _ = add(UnsafeRawBufferPointer($0)) }
  }
}
