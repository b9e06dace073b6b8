// Values that list tokens, in whatever container they lie: pickles, JSON, arrays of NumPy.

import UnrollSerialization
import UnrollTensors

/// A value of a container, as far as lists of tokens are concerned.
package protocol TokenValue {
  /// The bytes of a text.
  var tokenText: [UInt8]? { get }
  /// An integer.
  var tokenID: Int? { get }
  /// The items of a list, a tuple or an array.
  var tokenItems: [Self]? { get }
  /// The entries of a dictionary, or the attributes of an object, with their keys as values.
  var tokenEntries: [(key: Self, value: Self)]? { get }
  /// The texts of an array that holds no values of its own, such as NumPy's.
  var tokenTexts: [[UInt8]]? { get }
}

extension TokenValue {
  /// No array of texts, unless the container has them.
  package var tokenTexts: [[UInt8]]? { nil }
}

/// Tokens that a value lists.
package struct TokenList: Sendable, Hashable {
  /// The path of the value, such as `itos` or `corpus.dictionary.idx2word`; empty for the container's own.
  package let name: String
  /// The tokens in the order of their ids.
  package let tokens: [String]
  /// The id of the first token: 0, or 1 where row 0 is padding.
  package let firstID: Int

  /// Creates a list.
  package init(name: String, tokens: [String], firstID: Int = 0) {
    self.name = name
    self.tokens = tokens
    self.firstID = firstID
  }

  /// The number of rows that the tokens have in a model: one more with padding.
  package var rowCount: Int { tokens.count + firstID }

  /// `true` if both list the same tokens under the same ids.
  package func isSame(as other: TokenList) -> Bool {
    tokens == other.tokens && firstID == other.firstID
  }

  // MARK: - As a vocabulary

  /// The token of row 0 where ids count from 1.
  private static let padding = ["<pad>", "<row 0>"]

  /// Returns the tokens as a vocabulary, special ones found by their names.
  package func vocabulary(unit: TokenUnit) -> Vocabulary {
    let first = firstID == 0 ? nil : Self.padding.first { !tokens.contains($0) }
    var vocabulary = Vocabulary(
      tokens: ((first.map { [$0] } ?? []) + tokens).map { $0.utf8 }, unit: unit)
    vocabulary.findSpecialTokens()
    if firstID == 1 { vocabulary.paddingID = 0 }
    return vocabulary
  }
}

extension Vocabulary {
  /// `true` if each token is one character, some of which separate words: whole text, as char-rnn reads it.
  package var isOfCharacters: Bool {
    let special = specialIDs
    var hasSpace = false
    for id in indices where !special.contains(id) {
      let token = text(of: id)
      guard token.unicodeScalars.count == 1 else { return false }
      hasSpace = hasSpace || token == " " || token == "\n" || token == "\t"
    }
    return hasSpace
  }
}

/// Looks for lists of tokens in a value, at any depth and under any name.
package struct TokenSearch {
  /// The number of values that may still be looked at: many names may share one long list.
  private var budget = 4 << 20
  /// The number of containers that may still be entered: a short file may have lists of lists that are one.
  private var visits = 100_000
  private static let mostNested = 6
  private static let fewestTokens = 2

  /// The names of counts, which are numbers beside tokens but no ids.
  private static let counts: Set = [
    "freqs", "counts", "word2count", "word_counts", "word_docs", "index_docs", "token_counts",
    "frequencies", "counter",
  ]

  /// Creates a search.
  package init() {}

  /// Returns the lists in a value that differ from one another.
  package mutating func lists(in value: some TokenValue, named name: String) -> [TokenList] {
    var found: [TokenList] = []
    collect(value, name: name, depth: 0, in: &found)
    return found
  }

  /// Returns the list that a value is, or the only one in it; `nil` if there is none or several that differ.
  package mutating func list(in value: some TokenValue, named name: String) -> TokenList? {
    let found = lists(in: value, named: name)
    return found.count == 1 ? found.first : nil
  }

  private mutating func collect<Value: TokenValue>(
    _ value: Value, name: String, depth: Int, in found: inout [TokenList]
  ) {
    if let list = tokens(value, name: name) {
      if !found.contains(where: { $0.isSame(as: list) }) { found.append(list) }
      return
    }
    visits -= 1
    guard depth < Self.mostNested, visits > 0 else { return }
    func path(_ part: String) -> String { name.isEmpty ? part : "\(name).\(part)" }
    if let entries = value.tokenEntries {
      guard entries.count <= 1_000 else { return }
      for (key, value) in entries {
        let part = key.tokenText.map { String(decoding: $0, as: UTF8.self) } ?? ""
        guard !Self.counts.contains(part) else { continue }
        collect(value, name: path(part), depth: depth + 1, in: &found)
      }
    } else if let items = value.tokenItems, items.count <= 64 {
      for (index, item) in items.enumerated() {
        collect(item, name: path("\(index)"), depth: depth + 1, in: &found)
      }
    }
  }

  /// Returns the tokens that a value lists itself.
  private mutating func tokens<Value: TokenValue>(_ value: Value, name: String) -> TokenList? {
    if let texts = value.tokenTexts {
      return take(texts.count) ? Self.list(texts, name: name) : nil
    }
    if let items = value.tokenItems {
      guard take(items.count), items.count >= Self.fewestTokens, items[0].tokenText != nil else {
        return nil
      }
      let texts = items.compactMap { $0.tokenText.flatMap(Self.string) }
      guard texts.count == items.count else { return nil }
      return Self.distinct(texts).map { TokenList(name: name, tokens: $0) }
    }
    guard let entries = value.tokenEntries, take(entries.count),
      entries.count >= Self.fewestTokens
    else { return nil }
    var byID: [Int: String] = [:]
    for (key, value) in entries {
      guard let (id, text) = Self.pair(key, value) else { return nil }
      // REINVENT keeps both directions in one dictionary.
      if let other = byID.updateValue(text, forKey: id), !other.utf8.elementsEqual(text.utf8) {
        return nil
      }
    }
    guard let first = byID.keys.min(), (0...1).contains(first),
      byID.keys.max() == first + byID.count - 1
    else { return nil }
    let texts = (first..<first + byID.count).compactMap { byID[$0] }
    return Self.distinct(texts).map { TokenList(name: name, tokens: $0, firstID: first) }
  }

  /// Texts as a list of tokens; `nil` if they are too few, no UTF-8, or one is there twice.
  package static func list(_ texts: [[UInt8]], name: String) -> TokenList? {
    let strings = texts.compactMap(string)
    guard strings.count == texts.count, strings.count >= fewestTokens else { return nil }
    return distinct(strings).map { TokenList(name: name, tokens: $0) }
  }

  /// Returns the id and the text of a token and its id, or of an id and its token; JSON has ids as texts there.
  private static func pair<Value: TokenValue>(
    _ key: Value, _ value: Value
  ) -> (id: Int, text: String)? {
    if let text = key.tokenText, let id = value.tokenID { return string(text).map { (id, $0) } }
    guard let text = value.tokenText.flatMap(string) else { return nil }
    if let id = key.tokenID { return (id, text) }
    return key.tokenText.flatMap(string).flatMap { Int($0) }.map { ($0, text) }
  }

  private static func string(_ bytes: [UInt8]) -> String? {
    String(validating: bytes, as: UTF8.self)
  }

  private mutating func take(_ count: Int) -> Bool {
    budget -= count + 1
    return budget >= 0
  }

  /// The tokens with which fastai fills its vocabularies up, to a multiple of 8 tokens.
  private static let filler = "xxfake"

  /// Returns the tokens if each stands once; `nil` if not.
  ///
  /// Rows that fastai filled up are numbered from the second on: no text is one of them.
  private static func distinct(_ tokens: [String]) -> [String]? {
    // Swift's texts are equal where only their composition differs; tokens are not.
    var seen: Set<[UInt8]> = []
    var fillers = 0
    var result: [String] = []
    result.reserveCapacity(tokens.count)
    for token in tokens {
      var token = token
      if token == filler {
        fillers += 1
        if fillers > 1 { token += "\(fillers)" }
      }
      guard seen.insert(Array(token.utf8)).inserted else { return nil }
      result.append(token)
    }
    return result
  }
}

// MARK: - JSON

extension JSONValue: TokenValue {
  package var tokenText: [UInt8]? { bytes }
  package var tokenID: Int? { int }
  package var tokenItems: [JSONValue]? { array }
  package var tokenEntries: [(key: JSONValue, value: JSONValue)]? {
    members?.map { (.string($0.key), $0.value) }
  }
}

extension Vocabulary {
  /// Returns the list to make a vocabulary of.
  ///
  /// - Parameters:
  ///   - lists: The lists of a file.
  ///   - path: The file.
  ///   - found: The file's value in words, where it has none.
  /// - Returns: The only list.
  /// - Throws: `TextError` if there is none, or several that differ.
  package static func onlyList(
    _ lists: [TokenList], path: String, found: String
  ) throws(TextError) -> TokenList {
    if lists.count == 1 { return lists[0] }
    let names = lists.map { "\($0.name.isEmpty ? "the value" : $0.name) of \($0.tokens.count)" }
    throw TextError(
      path: path, line: nil,
      expected:
        "a list of tokens, or a dictionary of tokens with the ids 0, 1, 2, ... or 1, 2, 3, ...",
      found: lists.isEmpty
        ? found : "several that differ: \(names.prefix(12).joined(separator: ", "))",
      fix: lists.isEmpty
        ? "list each token once, in the order of its id, one a line"
        : "write the right one into a file, one token a line")
  }

  /// Returns the tokens that a JSON file lists: an array, or an object of tokens and their ids, at any depth.
  ///
  /// - Parameter path: The file, plain or gzip.
  /// - Returns: The list.
  /// - Throws: `FileError` if it cannot be opened; `TextError` if it is no JSON or lists no tokens.
  package static func list(json path: String) throws -> TokenList {
    var reader = try LineReader(path: path, lineEnds: .kept)
    var text: [UInt8] = []
    while let line = try reader.next() { text += line.bytes }
    let root: JSONValue
    do {
      root = try JSONValue(text)
    } catch {
      throw TextError(
        path: path, line: nil, expected: "JSON",
        found: "no JSON" + ((error as? JSONError).map { " at byte \($0.offset)" } ?? ""),
        fix: "give a list of tokens, or an object of tokens and their ids")
    }
    var search = TokenSearch()
    return try onlyList(
      search.lists(in: root, named: ""), path: path, found: "no list of tokens, each once")
  }
}
