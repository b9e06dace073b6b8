// Properties of a language model that a state_dict lacks, as a JSON text in the file.

import Foundation
import UnrollFormat
import UnrollSerialization
import UnrollTensors
import UnrollTokenization

/// Tokens, tokenizer, and properties that names and shapes do not determine; `spec/INTERCHANGE.md`
/// lists the members.
struct StateMetadata {
  /// The key of the metadata in files.
  static let key = "unroll"

  /// `true` if the output shares the embedding's weight.
  let isTied: Bool
  /// `true` if there is a projection before the output weight.
  let isProjected: Bool
  /// The activation of the vanilla RNN cells, if they share one.
  let activation: Activation?
  /// The variants of the layers; `nil` if all are those of PyTorch's modules.
  let layers: [LayerVariant]?
  /// The order of the gate blocks in the rows of recurrent parameters; `nil` for that of PyTorch's modules.
  var gates: GateOrder?
  /// The tokens.
  let vocabulary: Vocabulary?
  /// The tokenizer.
  let tokenizer: Tokenizer

  /// Creates the metadata of a checkpoint.
  ///
  /// - Parameters:
  ///   - checkpoint: The model.
  ///   - gates: The order of the gate blocks in the file, if it is not that of a checkpoint.
  init(_ checkpoint: Checkpoint, gates: GateOrder? = nil) {
    self.gates = gates
    let architecture = checkpoint.architecture
    let activations = architecture.plainActivations
    isTied = architecture.isTied
    isProjected = architecture.hasOutputProjection
    activation = activations.count == 1 ? activations.first : nil
    let variants = architecture.layers.map(LayerVariant.init)
    let isUsual = activations.count <= 1 && variants.allSatisfy(\.isUsual)
    layers = isUsual ? nil : variants
    (vocabulary, tokenizer) = (checkpoint.vocabulary, checkpoint.tokenizer)
  }

  /// Creates metadata with tokens, tokenizer and tying only, for files that state the other
  /// properties themselves.
  init(besideConfigurationOf checkpoint: Checkpoint) {
    (isTied, isProjected) = (checkpoint.architecture.isTied, false)
    (activation, layers) = (nil, nil)
    (vocabulary, tokenizer) = (checkpoint.vocabulary, checkpoint.tokenizer)
  }

  // MARK: - Writing

  /// The JSON text, which is deterministic.
  var json: String { json(listingTokens: true) }

  /// Returns the JSON text, without the tokens if the file stores them elsewhere.
  func json(listingTokens: Bool) -> String {
    var members = [#""version":1"#, #""tied":\#(isTied)"#]
    if isProjected { members.append(#""output_projection":true"#) }
    if let activation { members.append(#""activation":\#(quoted(activation.rawValue))"#) }
    if let gates { members.append(#""gates":\#(quoted(gates.letters))"#) }
    if let layers {
      members.append(#""layers":[\#(layers.map(\.json).joined(separator: ","))]"#)
    }
    if let vocabulary {
      members.append(#""vocabulary":\#(Self.json(vocabulary, listingTokens: listingTokens))"#)
    }
    members.append(#""tokenizer":\#(Self.json(tokenizer))"#)
    return "{\(members.joined(separator: ","))}"
  }

  private static func json(_ vocabulary: Vocabulary, listingTokens: Bool) -> String {
    var members = [#""unit":\#(quoted(vocabulary.unit.rawValue))"#]
    for role in SpecialToken.allCases {
      if let id = vocabulary[role] { members.append("\(quoted(role.name)):\(id)") }
    }
    if let kinds = vocabulary.kinds {
      members.append(#""kinds":[\#(kinds.map { "\($0.rawValue)" }.joined(separator: ","))]"#)
    }
    if let counts = vocabulary.counts {
      // As strings: JSON numbers are exact only up to 2^53.
      members.append(#""counts":[\#(counts.map { quoted("\($0)") }.joined(separator: ","))]"#)
    }
    if let scores = vocabulary.scores {
      members.append(
        #""scores":[\#(scores.map { quoted(String($0.bitPattern, radix: 16)) }.joined(separator: ","))]"#
      )
    }
    guard listingTokens else { return "{\(members.joined(separator: ","))}" }
    // Tokens that are not valid text are given by their bytes.
    let tokens = vocabulary.indices.map { id -> String in
      let bytes = Array(vocabulary[id])
      guard let text = String(validating: bytes, as: UTF8.self) else {
        return #"{"bytes":\#(quoted(Data(bytes).base64EncodedString()))}"#
      }
      return quoted(text)
    }
    members.append(#""tokens":[\#(tokens.joined(separator: ","))]"#)
    return "{\(members.joined(separator: ","))}"
  }

  private static func json(_ tokenizer: Tokenizer) -> String {
    var members = [
      #""kind":\#(quoted(tokenizer.kind.rawValue))"#,
      #""sentence_start":\#(quoted(tokenizer.sentenceStart.rawValue))"#,
      #""appends_eos":\#(tokenizer.appendsEndOfSentence)"#,
    ]
    if let space = tokenizer.space { members.append(#""space":\#(quoted(space))"#) }
    if let definition = tokenizer.definition {
      members.append(#""format":\#(quoted(definition.format))"#)
      members.append(#""definition":\#(quoted(Data(definition.bytes).base64EncodedString()))"#)
    }
    return "{\(members.joined(separator: ","))}"
  }

  // MARK: - Reading

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

extension NamedTensors {
  /// Lists tensors under further names, as `safetensors.torch.save_model` records those of ties.
  ///
  /// - Parameter aliases: Names of stored tensors by the missing names; others are ignored.
  mutating func add(aliases: [String: String]) {
    let byName = Dictionary(tensors.map { ($0.name, $0.tensor) }) { first, _ in first }
    for (name, owner) in aliases.sorted(by: { $0.key < $1.key }) where byName[name] == nil {
      guard let tensor = byName[owner] else { continue }
      tensors.append(NamedTensor(name: name, tensor: tensor))
    }
  }

  /// Returns the language model of the tensors, completed by metadata or else by a configuration.
  ///
  /// - Throws: `InterchangeError` if the tensors are not a language model, or if neither metadata
  ///   nor options have its tokens.
  func conversion(
    _ metadata: StateMetadata?, configuration: ModelConfiguration? = nil,
    lists: [TokenList] = [], options: ReadingOptions
  ) throws -> (conversion: Conversion, language: TorchLanguageModel) {
    var named = self
    var options = options
    if let configuration {
      options.nonlinearity = try configuration.nonlinearity(options.nonlinearity, file: file)
    }
    if isTied || configuration?.isTied?.value == true || statedTie != nil { try named.addTie() }
    if metadata?.isTied == true { named.add(aliases: ["decoder.weight": "encoder.weight"]) }
    if let metadata { options.take(metadata) }
    if let gates = metadata?.gates { try named.take(gates) }
    let language = try TorchLanguageModel(
      named, nonlinearity: options.nonlinearity, metadata: metadata)
    let settlement = try named.settled(using: language.roles.values)
    let listNotes = try options.take(
      lists, ofRows: language.architecture.vocabularySize, error: named.file.error)
    let vocabulary = try language.vocabulary(options)
    let (parameters, notes) = try language.parameters()
    var conversion = Conversion(
      checkpoint: Checkpoint(
        architecture: language.architecture, parameters: parameters, vocabulary: vocabulary,
        tokenizer: options.tokenizer, provenance: []),
      notes: listNotes + (metadata == nil ? language.notes : []), settlement: settlement)
    conversion.sourceNames = language.roles.mapValues {
      $0.parts.isEmpty ? [$0.fileName] : $0.parts
    }
    if let statedTie, named.tensors.count > tensors.count {
      conversion.notes.append(
        Note(
          place: statedTie, message: "the output shares the embedding's weight", isHarmless: true))
    }
    conversion.areGatesAssumed = metadata == nil && language.areGatesAssumed
    if let configuration {
      try conversion.tie(by: configuration, file: file)
      conversion.checkpoint.architecture = try configuration.applied(
        to: conversion.checkpoint.architecture, file: file)
    }
    // Tied weights are equal and stored once.
    let isTied = conversion.checkpoint.architecture.isTied
    conversion.notes += isTied && !language.architecture.isTied ? [] : notes
    return (conversion, language)
  }
}

extension Architecture {
  /// The architecture with two biases for each layer that has a single one.
  var withoutSingleBiases: Architecture {
    var architecture = self
    for index in layers.indices where layers[index].bias == .single {
      architecture.layers[index].bias = .double
    }
    return architecture
  }
}

extension Checkpoint {
  /// Notes on properties that files of named tensors do not preserve, or only for programs that
  /// read the metadata.
  var exportNotesOfNamedTensors: [Note] {
    let single = architecture.layers.indices.filter { architecture.layers[$0].bias == .single }
    let notes = single.map { index in
      Note(
        place: ParameterPath.layer(index, .bias).description,
        message:
          "a layer's only bias, named bias_l: PyTorch's modules have two, bias_ih_l and bias_hh_l")
    }
    return notes + variantsInMetadata + exportNotesBesideWeights
  }

  /// Notes on properties of layers that only the metadata states.
  var variantsInMetadata: [Note] {
    architecture.withoutSingleBiases.rareVariants.map { variant in
      Note(
        place: Layout.model,
        message: "\(variant): in the metadata alone, PyTorch's modules do not compute it")
    }
  }

  /// Notes on properties that files of weights, tokens and tokenizer do not preserve.
  var exportNotesBesideWeights: [Note] {
    var notes: [Note] = []
    func lose(_ place: String, _ what: String) {
      notes.append(Note(place: place, message: "not preserved: \(what)"))
    }
    if !provenance.isEmpty {
      notes.append(
        Note(
          place: Layout.provenance,
          message: "not preserved: its history, \(provenance.count) "
            + (provenance.count == 1 ? "step" : "steps"), isHarmless: true))
    }
    if let optimizer {
      notes.append(
        Note(
          place: Layout.optimizer,
          message: "not preserved: \(optimizer.kind.rawValue) after \(optimizer.step) steps",
          lostPart: .optimizer))
    }
    if training != nil {
      lose("/training", "the training state: its position, hidden states and records")
    }
    return notes
  }
}

/// Counts the commas, colons and brackets outside strings of a JSON text: an upper bound of its
/// values.
func jsonStructureCount(_ json: [UInt8]) -> Int {
  let (quote, backslash) = (UInt8(ascii: "\""), UInt8(ascii: "\\"))
  let structures = [UInt8](",:[]{}".utf8)
  var (count, isText, isEscaped) = (0, false, false)
  for byte in json {
    if isEscaped {
      isEscaped = false
    } else if byte == quote {
      isText.toggle()
    } else if isText {
      isEscaped = byte == backslash
    } else if structures.contains(byte) {
      count += 1
    }
  }
  return count
}
