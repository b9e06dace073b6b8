// The names that programs give the tokens that stand for no text.

extension Vocabulary {
  /// Names of special tokens, the usual ones first.
  private static let names:
    [(path: WritableKeyPath<Vocabulary, Int?> & Sendable, names: [String])] = [
      (\.unknownID, ["<unk>", "<UNK>", "xxunk", "_unk_", "[UNK]", "UNK"]),
      (\.endOfSentenceID, ["<eos>", "</s>", "<EOS>", "</S>", "xxeos"]),
      (
        \.beginningOfSentenceID,
        ["<bos>", "<s>", "<sos>", "<BOS>", "<S>", "<SOS>", "xxbos", "xbos"]
      ),
      (\.paddingID, ["<pad>", "<PAD>", "xxpad", "_pad_", "[PAD]"]),
    ]

  /// Finds the special tokens by their names, where they are not known yet.
  package mutating func findSpecialTokens() {
    for (path, names) in Self.names where self[keyPath: path] == nil {
      for name in names where self[keyPath: path] == nil { self[keyPath: path] = id(of: name) }
    }
  }
}
