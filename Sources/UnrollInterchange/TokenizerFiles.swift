// Tokenizer definitions in files of any container.

import UnrollTensors
import UnrollTokenization

extension TokenizerDefinition {
  /// Reads another program's file: a tokenizer.json, a merges.txt, a SentencePiece model, or a
  /// Keras `Tokenizer` as JSON or pickle.
  ///
  /// - Parameter path: The file.
  /// - Throws: `FileError` if it cannot be read; `DefinitionError` or `TextError` if it is none of
  ///   these.
  public init(contentsOf path: String) throws {
    let file = try MappedFile(path: path)
    if let keras = try Self.pickledKeras(file) {
      self.init(format: "keras", bytes: keras.json)
    } else {
      try self.init(file.copy(0..<file.count))
    }
  }

  /// Returns the settings of a Keras `Tokenizer` in words.
  ///
  /// - Parameter path: The file.
  /// - Returns: The settings; `nil` if the file holds something else.
  /// - Throws: `DefinitionError` or `TextError` if it holds an unusable one.
  package static func kerasSummary(of path: String) throws -> String? {
    guard path != "-", let file = try? MappedFile(path: path) else { return nil }
    if let keras = try pickledKeras(file) { return keras.summary }
    let start = file.copy(0..<min(file.count, 64)).first { $0 > 0x20 && $0 < 0x80 }
    guard start == UInt8(ascii: "{") || start == UInt8(ascii: "\""),
      let definition = try? TokenizerDefinition(file.copy(0..<file.count)),
      definition.format == "keras"
    else { return nil }
    do {
      return try KerasTokenizer(definition: definition).summary
    } catch let error as DefinitionError {
      throw error.textError(path: path)
    }
  }

  /// Returns the Keras `Tokenizer` in a pickle; `nil` if there is none.
  private static func pickledKeras(_ file: MappedFile) throws -> KerasTokenizer? {
    guard file.count <= PickleMachine.largestPickle, !TorchKind.recognizes(file) else { return nil }
    let unpacked = try CompressedPickle.contents(of: file)
    let bytes = unpacked ?? file.copy(0..<file.count)
    // Protocols 0 and 1 have no signature; such pickles begin with `ccopy_reg`.
    guard bytes.first == 0x80 || bytes.starts(with: "ccopy_reg".utf8),
      let graph = try? PickleMachine.graph(of: bytes)
    else { return nil }
    let tokenizers = graph.nodes.indices.map { PickleReference(index: $0) }
      .filter { KerasPickle.isTokenizer($0, in: graph) }
    guard let first = tokenizers.first else { return nil }
    guard tokenizers.count == 1 else {
      throw TextError(
        path: file.path, line: nil, expected: "one Tokenizer of Keras",
        found: "\(tokenizers.count)",
        fix:
          "write the one of the model's texts: `pickle.dump(tokenizer, open(\"one.pkl\", \"wb\"))`")
    }
    return try KerasPickle(graph: graph, reference: first, path: file.path).tokenizer()
  }
}

/// A pickled Keras `Tokenizer`.
private struct KerasPickle {
  let graph: PickleGraph
  let reference: PickleReference
  let path: String

  /// Returns `true` if a value is such an object, from any package.
  static func isTokenizer(_ reference: PickleReference, in graph: PickleGraph) -> Bool {
    guard let name = graph.className(reference), name.hasSuffix(".text.Tokenizer") else {
      return false
    }
    return ["keras", "tf_keras", "tensorflow"].contains { name.hasPrefix($0) }
      && graph.attribute("word_index", of: reference) != nil
  }

  /// Returns the tokenizer.
  ///
  /// - Throws: `TextError` naming an unsupported attribute.
  func tokenizer() throws -> KerasTokenizer {
    var result = KerasTokenizer()
    result.limit = try optional("num_words") { graph.int($0) }
    result.unknownWord = try optional("oov_token") { graph.string($0) }
    // With `analyzer`, a function of the user tokenizes the texts.
    _ = try optional("analyzer") { _ in Bool?.none }
    result.filters = try required("filters", text)
    result.separator = try required("split", text)
    result.isLowercase = try required("lower", flag)
    result.isOfCharacters = try required("char_level", flag)
    for (key, id) in try required("word_index", { graph.entries($0) }) {
      guard let text = PickledValue(graph: graph, reference: key).tokenText,
        let id = PickledValue(graph: graph, reference: id).tokenID
      else { throw error("word_index", expected: "words with their ids", key) }
      result.words.append(KerasTokenizer.Word(text: text, id: id))
    }
    return result
  }

  private func text(_ value: PickleReference) -> String? {
    graph.string(value)
      ?? PickledValue(graph: graph, reference: value).tokenText
      .flatMap { String(validating: $0, as: UTF8.self) }
  }

  private func flag(_ value: PickleReference) -> Bool? {
    if case .bool(let flag) = graph[value].value { return flag }
    return nil
  }

  /// Returns an optional attribute; absent means None.
  private func optional<Value>(
    _ name: String, _ read: (PickleReference) -> Value?
  ) throws -> Value? {
    guard let value = graph.attribute(name, of: reference), graph[value].value != .none else {
      return nil
    }
    guard let result = read(value) else {
      throw error(name, expected: "None, or a value as Keras has it", value)
    }
    return result
  }

  private func required<Value>(_ name: String, _ read: (PickleReference) -> Value?) throws -> Value
  {
    guard let result = try optional(name, read) else {
      throw error(name, expected: "a value", nil)
    }
    return result
  }

  private func error(_ name: String, expected: String, _ value: PickleReference?) -> TextError {
    TextError(
      path: path, line: nil, expected: "Tokenizer.\(name): \(expected)",
      found: value.map(graph.describe) ?? "none",
      fix: name == "analyzer"
        ? "prepare the text with the analyzer, and give the words as JSON: "
          + "`json.dump(tokenizer.word_index, file)`"
        : "write it again in Python: `open(\"tokenizer.json\", \"w\").write(tokenizer.to_json())`")
  }
}

extension Tokenizer {
  /// `true` if a model may have more rows than tokens, as with Keras's `num_words`.
  var hasFewerTokens: Bool { definition?.format == "keras" }
}

extension Vocabulary {
  /// Returns the vocabulary with placeholders for rows beyond the tokens.
  func padded(to rows: Int) -> Vocabulary {
    let names = (count..<rows).map { Array("<unused\($0)>".utf8) }
    var vocabulary = Vocabulary(tokens: indices.map { Array(self[$0]) } + names, unit: unit)
    vocabulary.unknownID = unknownID
    vocabulary.endOfSentenceID = endOfSentenceID
    vocabulary.beginningOfSentenceID = beginningOfSentenceID
    vocabulary.paddingID = paddingID
    let kinds = kinds ?? Array(repeating: .normal, count: count)
    vocabulary.kinds = kinds + names.map { _ in .unused }
    return vocabulary
  }
}
