// The tokens of a vocabulary that have a role of their own.

/// A role that a token of a vocabulary can have: one row for each stored id.
public enum SpecialToken: CaseIterable, Sendable {
  /// Stands for all text that has no token.
  case unknown
  /// Ends a line.
  case endOfSentence
  /// Begins a line.
  case beginningOfSentence
  /// Fills up what is shorter.
  case padding

  /// The attribute of `/vocabulary` with the id, -1 for none.
  package var attribute: String {
    switch self {
    case .unknown: "unknown_id"
    case .endOfSentence: "eos_id"
    case .beginningOfSentence: "bos_id"
    case .padding: "pad_id"
    }
  }

  /// The name in the metadata of other formats.
  package var name: String {
    switch self {
    case .unknown: "unknown"
    case .endOfSentence: "eos"
    case .beginningOfSentence: "bos"
    case .padding: "padding"
    }
  }

  /// The texts that programs give such a token, the usual ones first.
  fileprivate var spellings: [String] {
    switch self {
    case .unknown: ["<unk>", "<UNK>", "xxunk", "_unk_", "[UNK]", "UNK"]
    case .endOfSentence: ["<eos>", "</s>", "<EOS>", "</S>", "xxeos"]
    case .beginningOfSentence:
      ["<bos>", "<s>", "<sos>", "<BOS>", "<S>", "<SOS>", "xxbos", "xbos"]
    case .padding: ["<pad>", "<PAD>", "xxpad", "_pad_", "[PAD]"]
    }
  }

  /// The name in reports.
  package var title: String { self == .padding ? "pad token" : "\(name) token" }
}

extension Vocabulary {
  /// The id of the token with a role, or `nil` if no token has it.
  public subscript(role: SpecialToken) -> Int? {
    get {
      switch role {
      case .unknown: unknownID
      case .endOfSentence: endOfSentenceID
      case .beginningOfSentence: beginningOfSentenceID
      case .padding: paddingID
      }
    }
    set {
      switch role {
      case .unknown: unknownID = newValue
      case .endOfSentence: endOfSentenceID = newValue
      case .beginningOfSentence: beginningOfSentenceID = newValue
      case .padding: paddingID = newValue
      }
    }
  }

  /// The ids of all tokens with a role.
  public var specialIDs: Set<Int> { Set(SpecialToken.allCases.compactMap { self[$0] }) }

  /// Finds the special tokens by their texts, where they are not known yet.
  package mutating func findSpecialTokens() {
    for role in SpecialToken.allCases where self[role] == nil {
      self[role] = role.spellings.compactMap { id(of: $0) }.first
    }
  }
}
