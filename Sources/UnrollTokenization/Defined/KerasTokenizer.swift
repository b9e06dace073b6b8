// The class Tokenizer of Keras: what `to_json()` writes, and the same settings from a pickle.

import UnrollSerialization

/// The settings of a `Tokenizer` of Keras 1 to 3.
package struct KerasTokenizer: Sendable, Hashable {
  /// The words with their ids.
  package var words: [Word] = []
  /// Ids from here on are not given; `nil` if all are.
  package var limit: Int?
  /// The scalars that separate words; not used for characters.
  package var filters = ""
  /// `true` if texts become lower case first.
  package var isLowercase = true
  /// The text that separates words, and that takes the place of a filter.
  package var separator = " "
  /// `true` if each character is a word.
  package var isOfCharacters = false
  /// The word that stands for unknown ones; `nil` if Keras leaves these out.
  package var unknownWord: String?

  /// A word and its id.
  package struct Word: Sendable, Hashable {
    /// The word, UTF-8.
    package var text: [UInt8]
    /// Its id.
    package var id: Int

    /// Creates a word.
    package init(text: [UInt8], id: Int) {
      self.text = text
      self.id = id
    }
  }

  /// Creates settings without words.
  package init() {}

  /// `true` if a JSON value is what `to_json()` gives.
  static func isOne(_ value: JSONValue) -> Bool {
    value["class_name"]?.text == "Tokenizer" && value["config"]?.members != nil
  }

  /// Reads a definition of the format "keras".
  ///
  /// - Throws: `DefinitionError` that names the setting that is missing or of another form.
  package init(definition: TokenizerDefinition) throws { try self.init(json: definition.bytes) }

  /// Reads what `to_json()` gives.
  ///
  /// - Throws: `DefinitionError` that names the setting that is missing or of another form.
  init(json bytes: [UInt8]) throws {
    guard let value = try? JSONValue(bytes), Self.isOne(value), let config = value["config"] else {
      throw DefinitionError("tokenizer", expected: "a Tokenizer of Keras", found: "another value")
    }
    func require<Value>(_ value: Value?, _ name: String, _ expected: String) throws -> Value {
      guard let value else {
        throw DefinitionError("config.\(name)", expected: expected, found: "another value, or none")
      }
      return value
    }
    if let limit = config["num_words"] {
      self.limit = try require(limit.int, "num_words", "an integer")
    }
    let filters = try require(config["filters"], "filters", "a text or a list of characters")
    self.filters = try require(
      filters.text ?? filters.array?.compactMap(\.text).joined(), "filters",
      "a text or a list of characters")
    isLowercase = try require(config["lower"]?.bool, "lower", "true or false")
    separator = try require(config["split"]?.text, "split", "a text")
    isOfCharacters = try require(config["char_level"]?.bool, "char_level", "true or false")
    if let unknown = config["oov_token"] {
      unknownWord = try require(unknown.text, "oov_token", "a text")
    }
    let listed = try require(config["word_index"], "word_index", "words with their ids")
    // Keras writes the dictionary as a text of JSON.
    let index = listed.bytes.flatMap { try? JSONValue($0) } ?? listed
    for (word, id) in try require(index.members, "word_index", "words with their ids") {
      words.append(
        Word(text: word, id: try require(id.int, "word_index", "words with integers as ids")))
    }
  }

  /// The settings as `to_json()` gives them, without its counts; `tokenizer_from_json` of Keras reads it.
  package var json: [UInt8] {
    let ordered = words.sorted { $0.id < $1.id }
    let index = ordered.map { "\(Self.quoted($0.text)): \($0.id)" }
    let inverse = ordered.map { "\"\($0.id)\": \(Self.quoted($0.text))" }
    func text(_ text: String) -> String { Self.quoted(Array(text.utf8)) }
    func object(_ entries: [String]) -> String { text("{" + entries.joined(separator: ", ") + "}") }
    let config = [
      #""num_words": \#(limit.map(String.init) ?? "null")"#, #""filters": \#(text(filters))"#,
      #""lower": \#(isLowercase)"#, #""split": \#(text(separator))"#,
      #""char_level": \#(isOfCharacters)"#,
      #""oov_token": \#(unknownWord.map(text) ?? "null")"#, #""document_count": 0"#,
      #""word_counts": "{}""#, #""word_docs": "{}""#, #""index_docs": "{}""#,
      #""index_word": \#(object(inverse))"#, #""word_index": \#(object(index))"#,
    ]
    let members = config.joined(separator: ", ")
    return Array(#"{"class_name": "Tokenizer", "config": {\#(members)}}"#.utf8)
  }

  /// Returns a text as JSON has it.
  private static func quoted(_ bytes: [UInt8]) -> String {
    var result = "\""
    for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
      switch scalar {
      case "\"", "\\": result += "\\\(scalar)"
      case "\u{0}"..<" ":
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }

  /// The settings in words.
  package var summary: String {
    var parts = [isOfCharacters ? "characters" : "words"]
    if isLowercase { parts.append("in lower case") }
    if !isOfCharacters { parts.append("separated by \(filters.unicodeScalars.count) filters") }
    if let limit, limit > 0 { parts.append("num_words \(limit)") }
    return parts.joined(separator: ", ") + "; "
      + (unknownWord.map { "unknown ones become \($0)" }
        ?? "texts with unknown ones are refused, since Keras leaves these out; so does --unknown drop")
  }
}

extension DefinedTokenizer {
  /// Reads what `to_json()` of a `Tokenizer` of Keras gives.
  ///
  /// - Throws: `DefinitionError` if it is none, or one that Keras itself cannot use.
  static func reading(keras bytes: [UInt8]) throws -> DefinedTokenizer {
    let keras = try KerasTokenizer(json: bytes)
    let unknown = try keras.unknownID()
    let limit = keras.limit.flatMap { $0 == 0 ? nil : $0 } ?? .max
    var tokens: [(token: [UInt8], id: Int32)] = []
    var seen: Set<Int> = []
    for word in keras.words {
      // A model has a row for each id, so no id is much larger than the number of tokens.
      guard (0..<1 << 24).contains(word.id), seen.insert(word.id).inserted else {
        throw DefinitionError(
          "config.word_index", expected: "ids from 0 to 2^24 - 1, each once", found: "\(word.id)")
      }
      guard word.id < limit || word.id == unknown else { continue }
      tokens.append((word.text, Int32(word.id)))
    }
    if tokens.isEmpty, let first = keras.words.map(\.id).min() {
      throw DefinitionError(
        "config.num_words", expected: "more than \(first), the smallest id of word_index",
        found: "\(limit), by which Keras leaves out every word",
        fix: "give the tokenizer that the model was trained with")
    }
    guard !tokens.isEmpty else {
      throw DefinitionError("config.word_index", expected: "words with their ids", found: "none")
    }
    var tokenizer = DefinedTokenizer(
      kind: keras.isOfCharacters ? .charlevel : .wordlevel,
      model: .lookup(WordLookup(tokens, unit: keras.isOfCharacters ? .scalar : .part)))
    tokenizer.tokens = tokens
    tokenizer.unknownID = unknown.map { Int32($0) }
    tokenizer.hasPaddingRow = !seen.contains(0)
    if keras.isLowercase { tokenizer.normalizers = [.pythonLowercase] }
    if keras.isOfCharacters {
      tokenizer.decoders = [.fuse]
    } else {
      tokenizer.cutWords(of: keras)
    }
    return tokenizer
  }

  /// Cuts texts at the filters and the separator, as `text_to_word_sequence` does.
  private mutating func cutWords(of keras: KerasTokenizer) {
    hasWholeWords = true
    var filters = Set(keras.filters.unicodeScalars.map(\.value))
    let lineFeed = UInt8(ascii: "\n")
    // Keras is given lines without their ends, unless a word has one.
    if !keras.words.contains(where: { $0.text.contains(lineFeed) }) {
      filters.insert(UInt32(lineFeed))
    }
    let separator = Array(keras.separator.utf8)
    if keras.separator.unicodeScalars.count == 1 {
      filters.formUnion(keras.separator.unicodeScalars.map(\.value))
      preTokenizers = [.cut(.scalars(filters), .removed, inverted: false)]
    } else {
      normalizers.append(.replace(.scalars(filters), separator))
      preTokenizers = [.cut(.literal(separator), .removed, inverted: false)]
    }
  }
}

extension KerasTokenizer {
  /// Returns the id of the word for unknown ones.
  ///
  /// - Throws: `DefinitionError` if the settings are such that Keras itself cannot use them.
  fileprivate func unknownID() throws -> Int? {
    guard limit ?? 0 >= 0 else {
      throw DefinitionError(
        "config.num_words", expected: "a number of words", found: "\(limit ?? 0)")
    }
    guard !separator.isEmpty || isOfCharacters else {
      throw DefinitionError("config.split", expected: "a text", found: "an empty one")
    }
    guard let unknownWord else { return nil }
    guard let word = words.first(where: { $0.text.elementsEqual(unknownWord.utf8) }) else {
      throw DefinitionError(
        "config.oov_token", expected: "a word of word_index", found: "\"\(unknownWord)\"")
    }
    return word.id
  }
}
