// Everything that the file of a model holds, part by part, for comparisons.

import UnrollHDF5
import UnrollTensors
import UnrollTokenization

/// Something that a file holds besides the weights.
struct StoredPart {
  /// The name, such as `layer 0: hidden_size`; a path and an attribute where no other is given.
  let name: String
  /// The value as it is printed.
  let value: String
  /// The layer that it is part of.
  var layer: Int?
  /// `true` for a line that says in short what other parts say.
  var isSummary = false
}

/// The parts of a model's file.
///
/// They come from the objects that are written into the file: each attribute and each dataset is a part, under a
/// name of its own or, if it has none, under its path. A new field of the format is a part without further
/// work; the few that are not compared are listed in `derived`.
struct StoredParts {
  private(set) var architecture: [StoredPart] = []
  /// The parameters by path.
  private(set) var tensors: [String: Tensor] = [:]
  private(set) var tokens: [StoredPart] = []
  private(set) var metadata: [StoredPart] = []
  private var history: [StoredPart] = []
  /// The number of layers.
  let layers: Int
  /// The tokens, which are compared one by one.
  let vocabulary: Vocabulary

  /// The attributes that follow from others, or from the program that writes, by the schema's path.
  private static let derived: [String: Set<String>] = [
    Layout.root: [
      AttributeName.format, AttributeName.formatVersion, AttributeName.specification,
      AttributeName.gateOrder, AttributeName.producer,
      AttributeName.weightsDigest, AttributeName.contentDigest,
    ]
  ]

  /// The parts of a model.
  init(_ checkpoint: Checkpoint) { self.init(checkpoint, checkpoint.outline()) }

  /// The parts of a model whose file has some objects.
  init(_ checkpoint: Checkpoint, _ outline: Outline) {
    layers = checkpoint.architecture.layers.count
    vocabulary = outline.vocabulary
    architecture = [StoredPart(name: "layers", value: "\(layers)")]
    for (path, object) in outline.inOrder {
      add(path, object, weightsDigest: outline.weightsDigest)
    }
    for (index, layer) in checkpoint.architecture.layers.enumerated() {
      architecture.append(
        StoredPart(
          name: "layer \(index)",
          value: "\(layer.cell.rawValue), \(layer.inputSize) -> \(layer.outputSize)",
          layer: index, isSummary: true))
    }
    metadata = history + metadata + checkpoint.summaries
  }

  private mutating func add(_ path: String, _ object: Outline.Object, weightsDigest: String) {
    let schema = Layout.schema(of: path)?.path ?? path
    let isModel = path == Layout.model || path.hasPrefix(Layout.model + "/")
    var parts: [StoredPart] = []
    switch object.kind {
    case .dataset(let tensor):
      if isModel {
        tensors[path] = tensor
        return
      }
      // The tokens themselves are compared one by one.
      if path == Layout.tokenBytes || path == Layout.tokenOffsets { return }
      let digest = object.attributes[AttributeName.digest]?.printed ?? "no digest"
      parts.append(part(path, nil, "\(tensor.dtype.rawValue) \(tensor.shape), sha256 \(digest)"))
    case .hardLink(let target): parts.append(part(path, nil, "the same as \(target)"))
    case .group:
      // A group without attributes says something by being there.
      if object.attributes.isEmpty, !isModel { parts.append(part(path, nil, "there")) }
    }
    let isStep = schema == Layout.anyProvenanceEntry
    if isStep { addStep(path, object) }
    let left = Self.derived[schema] ?? []
    for (name, value) in object.attributes.sorted(by: { $0.key < $1.key }) {
      guard name != AttributeName.digest, !left.contains(name) else { continue }
      // Other weights are one difference already.
      guard name != AttributeName.weightsDigest || value != .text(weightsDigest) else { continue }
      guard !isStep || !Self.inHistory.contains(name) else { continue }
      parts.append(part(path, name, printed(name, value, schema: schema)))
    }
    if isModel {
      architecture += parts
    } else if path == Layout.vocabulary || path == Layout.tokenizer
      || path == Layout.tokenizerDefinition
    {
      tokens += parts
    } else {
      metadata += parts
    }
  }

  /// Adds the line of a step of the history.
  private mutating func addStep(_ path: String, _ object: Outline.Object) {
    func text(_ name: String) -> String { object.attributes[name]?.printed ?? "" }
    let index = Int(path.dropFirst(Layout.provenance.count + 1)) ?? 0
    let arguments = text(AttributeName.arguments).replacing("\n", with: "; ")
    history.append(
      StoredPart(
        name: "history \(index)",
        value: "\(text(AttributeName.operation)) by \(text(AttributeName.tool)) \(arguments)"))
  }

  /// The attributes of a step of the history that its line has.
  private static let inHistory: Set = [
    AttributeName.operation, AttributeName.tool, AttributeName.arguments,
  ]

  private func part(_ path: String, _ attribute: String?, _ value: String) -> StoredPart {
    let schema = Layout.schema(of: path)?.path ?? path
    guard let attribute else { return StoredPart(name: path, value: value) }
    if schema == Layout.layers + "/#", let layer = Int(path.dropFirst(Layout.layers.count + 1)) {
      return StoredPart(name: "layer \(layer): \(attribute)", value: value, layer: layer)
    }
    let name =
      switch (schema, attribute) {
      case (Layout.model, AttributeName.kind): "\(path): \(attribute)"
      case (Layout.model, _): attribute
      case (Layout.vocabulary, AttributeName.unit): "unit"
      case (Layout.vocabulary, AttributeName.size): "tokens"
      case (Layout.vocabulary, _):
        SpecialToken.allCases.first { $0.attribute == attribute }?.title ?? attribute
      case (Layout.tokenizer, AttributeName.kind): "tokenizer"
      case (Layout.tokenizer, _): attribute
      case (Layout.card, _): "card \(attribute)"
      default: "\(path): \(attribute)"
      }
    return StoredPart(name: name, value: value)
  }

  private func printed(_ name: String, _ value: AttributeValue, schema: String) -> String {
    switch (value, name) {
    case (.integer(let id), _) where schema == Layout.vocabulary && name != AttributeName.size:
      guard id >= 0 else { return "none" }
      let text = vocabulary.indices.contains(Int(id)) ? vocabulary.text(of: Int(id)) : ""
      return "\(id), \"\(text)\""
    case (.integer(let flag), AttributeName.tied),
      (.integer(let flag), AttributeName.appendEndOfSentence):
      return flag == 0 ? "false" : flag == 1 ? "true" : String(flag)
    case (.texts(let texts), _) where schema == Layout.card: return texts.joined(separator: "; ")
    default: return value.printed
    }
  }
}

extension Layout {
  /// The path of the schema of a step of the history.
  fileprivate static let anyProvenanceEntry = "\(provenance)/#"
}

extension Outline {
  /// The tokens that are to be written; none if they are not whole.
  fileprivate var vocabulary: Vocabulary {
    let none = Vocabulary(tokens: [] as [[UInt8]], unit: .word)
    guard case .dataset(let bytes)? = objects[Layout.tokenBytes]?.kind,
      case .dataset(let offsets)? = objects[Layout.tokenOffsets]?.kind
    else { return none }
    return Vocabulary(
      tokenBytes: bytes.withUnsafeBytes { Array($0) },
      tokenOffsets: offsets.withUnsafeBytes { bytes in
        bytes.elements(of: UInt64.self) { Int(clamping: $0) }
      }, unit: .word) ?? none
  }
}

extension Checkpoint {
  /// Summaries of the companion data of the model, one line each.
  fileprivate var summaries: [StoredPart] {
    func part(_ name: String, _ value: String?) -> StoredPart {
      StoredPart(name: name, value: value ?? "none")
    }
    let names = extensions.names.joined(separator: ", ")
    return [
      part("card readme", card?.readme.map { "\($0.utf8.count) bytes" }),
      part("training", training.map { "step \($0.step), epoch \($0.epoch)" }),
      part("optimizer", optimizer.map { "\($0.kind.rawValue), step \($0.step)" }),
      part("self-test", selfTest.map { "by \($0.producer)" }),
      part("extensions", names.isEmpty ? nil : names),
    ]
  }
}
