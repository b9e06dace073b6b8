// Vocabularies in pickles: lists of texts, dictionaries of texts and ids, and objects that have these.

import UnrollFormat
import UnrollTensors
import UnrollTokenization

/// The tokens that a value of a pickle lists, with the value's name.
struct PickledTokens: Sendable {
  /// The name beside the model, such as `itos` or `corpus.dictionary.idx2word`.
  let name: String
  /// The tokens in the order of their ids.
  let tokens: [String]

  /// The names of attributes that lists of tokens, or objects that hold one, have in the classes of training
  /// scripts: `Corpus` and `Dictionary` of word_language_model, `Vocab` of torchtext and fastai.
  private static let attributes = [
    "dictionary", "vocab", "vocabulary", "idx2word", "itos", "idx2token", "idx2char", "word2idx",
    "stoi",
    "token2idx", "char2idx",
  ]
  /// How many objects may hold one another.
  private static let mostNested = 4

  /// What may still be looked at: many names may share one long list.
  struct Budget: Sendable {
    fileprivate var items = 4 << 20
  }

  /// Finds the tokens that a value lists; `nil` if it is no vocabulary.
  init?(_ value: PickleReference, named name: String, in graph: PickleGraph, budget: inout Budget) {
    var (value, name) = (value, name)
    for _ in 0..<Self.mostNested {
      if let tokens = Self.tokens(value, in: graph, budget: &budget) {
        (self.name, self.tokens) = (name, tokens)
        return
      }
      guard let state = graph[value].state, graph[state].entries.count <= 64 else { return nil }
      let attribute = Self.attributes.lazy.compactMap { attribute in
        graph.attribute(attribute, of: value).map { (attribute, $0) }
      }.first
      guard let attribute else { return nil }
      (name, value) = ("\(name).\(attribute.0)", attribute.1)
    }
    return nil
  }

  private static func tokens(
    _ value: PickleReference, in graph: PickleGraph, budget: inout Budget
  ) -> [String]? {
    let node = graph[value]
    budget.items -= node.items.count + node.entries.count + 1
    guard budget.items >= 0 else { return nil }
    if node.value == .list || node.value == .tuple {
      let texts = node.items.compactMap(graph.string)
      return texts.isEmpty || texts.count < node.items.count ? nil : distinct(texts)
    }
    guard let entries = graph.entries(value), !entries.isEmpty else { return nil }
    var tokens = [String?](repeating: nil, count: entries.count)
    for (key, value) in entries {
      // A token and its id, or an id and its token.
      guard let text = graph.string(key) ?? graph.string(value),
        let id = graph.int(value) ?? graph.int(key), tokens.indices.contains(id), tokens[id] == nil
      else { return nil }
      tokens[id] = text
    }
    return distinct(tokens.compactMap { $0 })
  }

  /// What fastai fills its vocabularies up with, to a multiple of 8 tokens.
  private static let filler = "xxfake"

  /// The tokens if each stands once; `nil` if not.
  ///
  /// Rows that fastai filled up are numbered from the second on: no text is one of them.
  private static func distinct(_ tokens: [String]) -> [String]? {
    var (seen, fillers) = (Set<String>(), 0)
    var result: [String] = []
    result.reserveCapacity(tokens.count)
    for token in tokens {
      var token = token
      if token == filler {
        fillers += 1
        if fillers > 1 { token += "\(fillers)" }
      }
      guard seen.insert(token).inserted else { return nil }
      result.append(token)
    }
    return result
  }

  // MARK: - As a vocabulary

  /// The names of special tokens: the usual ones, fastai's, and those of its first version.
  private static let special: [(WritableKeyPath<Vocabulary, Int?> & Sendable, [String])] = [
    (\.unknownID, ["<unk>", "xxunk", "_unk_"]), (\.endOfSentenceID, ["<eos>", "xxeos"]),
    (\.beginningOfSentenceID, ["<bos>", "xxbos", "xbos"]),
    (\.paddingID, ["<pad>", "xxpad", "_pad_"]),
  ]

  /// Whether each token is one character, some of which separate words: whole text, as char-rnn reads it.
  var areCharacters: Bool {
    tokens.allSatisfy { $0.unicodeScalars.count == 1 }
      && tokens.contains { $0 == " " || $0 == "\n" || $0 == "\t" }
  }

  /// The tokens as a vocabulary, special ones found by their names.
  func vocabulary(unit: TokenUnit) -> Vocabulary {
    var vocabulary = Vocabulary(tokens: tokens.map { $0.utf8 }, unit: unit)
    for (path, names) in Self.special {
      vocabulary[keyPath: path] = names.lazy.compactMap { vocabulary.id(of: $0) }.first
    }
    return vocabulary
  }
}

extension ReadingOptions {
  /// Takes the tokens that lie in a file beside its weights, unless the caller gave others.
  ///
  /// - Parameters:
  ///   - lists: The lists of the file.
  ///   - rows: The number of tokens of the model.
  ///   - error: Makes an error about the file.
  /// - Returns: What was taken, and what was left behind.
  /// - Throws: `InterchangeError` if there are lists but none of that many tokens, or several that differ.
  mutating func take(
    _ lists: [PickledTokens], ofRows rows: Int,
    error: (_ place: String, _ expected: String, _ found: String, _ fix: String) -> InterchangeError
  ) throws -> [Note] {
    func leave(_ list: PickledTokens, _ reason: String) -> Note {
      Note(
        place: list.name, message: "not carried: a list of \(list.tokens.count) tokens, \(reason)")
    }
    if let vocabulary {
      let others = lists.filter { $0.vocabulary(unit: .word).tokenBytes != vocabulary.tokenBytes }
      return others.map { leave($0, "which are not those given") }
    }
    let fitting = lists.filter { $0.tokens.count == rows }
    var notes = lists.filter { $0.tokens.count != rows }.map { leave($0, "of \(rows) rows") }
    guard let list = fitting.first ?? lists.first else { return [] }
    guard fitting.count > 0, fitting.allSatisfy({ $0.tokens == list.tokens }) else {
      let found = fitting.isEmpty ? lists : fitting
      throw error(
        list.name, "a vocabulary of \(rows) tokens, one for each row",
        UnrollInterchange.list(found.map { "\($0.name) of \($0.tokens.count)" })
          + (fitting.isEmpty ? "" : ", which differ"),
        "give the right ones with `--vocabulary FILE` or `--corpus DIR`")
    }
    var unit: TokenUnit =
      switch tokenizer.kind {
      case .whitespace: .word
      case .character: .character
      case .byte: .byte
      default: .subword
      }
    if tokenizer.kind == .whitespace, list.areCharacters {
      (tokenizer.kind, unit) = (.character, .character)
    }
    let vocabulary = list.vocabulary(unit: unit)
    // Without a token for it, the end of a line is text.
    if tokenizer.kind != .whitespace, vocabulary.endOfSentenceID == nil {
      (tokenizer.appendsEndOfSentence, tokenizer.sentenceStart) = (false, .none)
    }
    self.vocabulary = vocabulary
    notes.append(
      Note(
        place: list.name,
        message: "taken for the vocabulary: \(rows) tokens, tokenizer \(tokenizer.kind.rawValue)"))
    return notes
  }
}
