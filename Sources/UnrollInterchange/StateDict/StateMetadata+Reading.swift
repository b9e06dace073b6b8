// Metadata of a state_dict, read from its JSON text.

import Foundation
import UnrollFormat
import UnrollSerialization
import UnrollTensors
import UnrollTokenization

extension StateMetadata {
  /// Reads the JSON text of a file.
  ///
  /// - Parameters:
  ///   - text: The text.
  ///   - model: The tensors beside it. Their rows bound the number of tokens and thereby the memory
  ///     that the text may use.
  ///   - tokens: The tokens, if the file stores them elsewhere.
  /// - Throws: `InterchangeError` if it is damaged.
  init(json text: String, beside model: NamedTensors, tokens: [[UInt8]]? = nil) throws {
    let rows = model.tensors.filter { $0.tensor.span > 0 }.compactMap(
      \.tensor.shape.dimensions.first)
    // A layer has more values than a token, and three tensors.
    try self.init(
      json: text, rows: (rows.max() ?? 0) + model.tensors.count, tokens: tokens,
      error: model.file.error)
  }

  /// Reads the JSON text of a file.
  ///
  /// - Parameters:
  ///   - text: The text.
  ///   - rows: An upper bound of the number of tokens and layers.
  ///   - tokens: The tokens, if the file stores them elsewhere.
  ///   - error: Creates an error about the file.
  /// - Throws: `InterchangeError` if it is damaged.
  init(
    json text: String, rows: Int, tokens: [[UInt8]]? = nil,
    error: (_ place: String, _ expected: String, _ found: String, _ fix: String) -> InterchangeError
  ) throws {
    func fail(_ member: String) -> InterchangeError {
      error(
        Self.place, "what Unroll wrote", "another \(member)", Self.fix)
    }
    let bytes = Array(text.utf8)
    // A token has a comma in each of four lists, and two brackets and a colon if it is not valid
    // text.
    guard jsonStructureCount(bytes) / 8 <= rows + 16 else { throw fail("length") }
    guard let value = try? JSONValue(bytes), value["version"]?.int == 1,
      let isTied = value["tied"]?.bool, let tokenizerValue = value["tokenizer"]
    else { throw fail("form") }
    self.isTied = isTied
    isProjected = value["output_projection"]?.bool ?? false
    layers = try value["layers"].map {
      guard let items = $0.array, case let layers = items.compactMap(LayerVariant.init),
        layers.count == items.count
      else { throw fail("list of layers") }
      return layers
    }
    activation = try value["activation"].map {
      guard let activation = $0.text.flatMap(Activation.init(ofRNN:)) else {
        throw fail("activation")
      }
      return activation
    }
    gates = try value["gates"].map {
      guard let gates = $0.text.flatMap(GateOrder.init) else { throw fail("order of gates") }
      return gates
    }
    guard let tokenizer = Self.tokenizer(tokenizerValue) else { throw fail("tokenizer") }
    self.tokenizer = tokenizer
    vocabulary = try value["vocabulary"].map {
      guard let vocabulary = Self.vocabulary($0, tokens) else { throw fail("vocabulary") }
      return vocabulary
    }
  }

  private static func tokenizer(_ value: JSONValue) -> Tokenizer? {
    guard let kind = value["kind"]?.text.flatMap(TokenizerKind.init),
      let start = value["sentence_start"]?.text.flatMap(SentenceStart.init),
      let appends = value["appends_eos"]?.bool
    else { return nil }
    var tokenizer = Tokenizer(
      kind: kind, sentenceStart: start, appendsEndOfSentence: appends, space: value["space"]?.text)
    if let format = value["format"]?.text {
      guard let bytes = value["definition"]?.text.flatMap({ Data(base64Encoded: $0) }) else {
        return nil
      }
      tokenizer.definition = TokenizerDefinition(format: format, bytes: Array(bytes))
    }
    return tokenizer
  }

  /// Returns the listed tokens; `nil` if they are damaged.
  private static func tokens(_ items: [JSONValue]) -> [[UInt8]]? {
    let tokens = items.compactMap { item in
      item.bytes ?? item["bytes"]?.text.flatMap { Data(base64Encoded: $0) }.map(Array.init)
    }
    return tokens.count == items.count ? tokens : nil
  }

  private static func vocabulary(_ value: JSONValue, _ tokens: [[UInt8]]?) -> Vocabulary? {
    guard let unit = value["unit"]?.text.flatMap(TokenUnit.init),
      let tokens = value["tokens"]?.array.map(Self.tokens) ?? tokens
    else { return nil }
    var vocabulary = Vocabulary(tokens: tokens, unit: unit)
    var isWhole = true
    func id(_ name: String) -> Int? {
      guard let member = value[name] else { return nil }
      guard let id = member.int, tokens.indices.contains(id) else {
        isWhole = false
        return nil
      }
      return id
    }
    /// Returns one value for each token, if there is such a list.
    func list<Element>(_ name: String, _ element: (JSONValue) -> Element?) -> [Element]? {
      guard let member = value[name] else { return nil }
      let elements = member.array?.compactMap(element) ?? []
      isWhole = isWhole && elements.count == tokens.count
      return elements
    }
    for role in SpecialToken.allCases { vocabulary[role] = id(role.name) }
    vocabulary.kinds = list("kinds") {
      $0.int.flatMap { UInt8(exactly: $0) }.flatMap(TokenKind.init)
    }
    vocabulary.counts = list("counts") { $0.text.flatMap { UInt64($0) } }
    vocabulary.scores = list("scores") {
      $0.text.flatMap { UInt32($0, radix: 16) }.map(Float.init(bitPattern:))
    }
    return isWhole ? vocabulary : nil
  }
}
