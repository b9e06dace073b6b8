// Every path and attribute name of the format, once, and what each must be.

import UnrollHDF5
import UnrollTensors
import UnrollTokenization

/// The names that the format uses inside a file.
public enum Layout {
  /// The value of the root's `format`.
  public static let format = "unroll"
  /// The page that defines the format, for a reader who has a file alone.
  static let specification = "Unroll checkpoint format \(version): spec/FORMAT.md of Unroll"
  /// The order of the blocks in the weights and biases of LSTMs and GRUs.
  static let gateOrder = "lstm: i f g o; gru: r z n"
  /// The version that this code writes.
  public static let version = "1.1"
  /// The required features that this code knows: those of cells and outputs.
  public static let knownFeatures = Set(
    Cell.allCases.compactMap(\.facts.feature) + [OutputKind.adaptiveSoftmax.rawValue])
  /// The alignment in the file of the start of a dataset, in bytes.
  public static let alignment = 64

  static let root = "/"
  package static let model = "/model"
  static let embedding = "/model/embedding"
  package static let layers = "/model/layers"
  package static let output = "/model/output"
  static let tails = "/model/output/tails"
  package static let vocabulary = "/vocabulary"
  static let tokenBytes = "/vocabulary/token_bytes"
  static let tokenOffsets = "/vocabulary/token_offsets"
  static let tokenKind = "/vocabulary/token_kind"
  static let counts = "/vocabulary/counts"
  static let scores = "/vocabulary/scores"
  package static let tokenizer = "/tokenizer"
  static let tokenizerDefinition = "/tokenizer/definition"
  static let probeText = "/tokenizer/probe_text"
  static let probeIDs = "/tokenizer/probe_ids"
  package static let provenance = "/provenance"

  /// `true` if a path belongs to numbers as large as the model: parameters, slots and carried state.
  static func isWeight(_ path: String) -> Bool {
    [model, optimizerState, trainingHidden].contains { path.hasPrefix($0 + "/") }
  }

  /// Returns the path of one recurrent layer; numbered names are zero-padded, so name order is layer order.
  static func layer(_ index: Int) -> String { "\(layers)/\(number(index, digits: 2))" }

  /// Returns the path of the group of one tail of an adaptive softmax.
  static func tail(_ index: Int) -> String { "\(tails)/\(number(index, digits: 2))" }

  /// Returns the path of the group of one step of the model's history.
  static func provenanceEntry(_ index: Int) -> String {
    "\(provenance)/\(number(index, digits: 3))"
  }

  static func number(_ index: Int, digits: Int) -> String {
    let text = String(index)
    return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
  }
}

/// The names of attributes.
enum AttributeName {
  static let format = "format"
  static let formatVersion = "format_version"
  static let specification = "specification"
  static let gateOrder = "gate_order"
  static let requiredFeatures = "required_features"
  static let optionalFeatures = "optional_features"
  static let producer = "producer"
  static let weightsDigest = "weights_digest"
  static let contentDigest = "content_digest"
  static let complete = "complete"
  static let digest = "digest"
  static let kind = "kind"
  static let input = "input"
  static let tied = "tied"
  static let vocabularySize = "vocabulary_size"
  static let embeddingSize = "embedding_size"
  static let cell = "cell"
  static let gateActivation = "gate_activation"
  static let gateAlpha = "gate_alpha"
  static let gateBeta = "gate_beta"
  static let forgetBias = "forget_bias"
  static let projectionSize = "projection_size"
  static let reset = "reset"
  static let window = "window"
  static let unit = "unit"
  static let size = "size"
  static let sentenceStart = "sentence_start"
  static let appendEndOfSentence = "append_eos"
  static let definitionFormat = "definition_format"
  static let space = "space"
  static let operation = "operation"
  static let tool = "tool"
  static let arguments = "arguments"
  static let inputs = "inputs"
}

/// The requirements for an attribute.
struct AttributeSchema: Sendable {
  /// The type of a value, and the allowed values.
  enum Value: Sendable {
    /// Any text.
    case text
    /// One of these words.
    case word([String])
    /// An integer in a range.
    case integer(ClosedRange<Int64>)
    /// Any floating-point number.
    case number
    /// An array of text.
    case texts
  }

  let name: String
  let value: Value
  var isRequired = true
}

/// The requirements for a group or dataset; in the path, `#` stands for a number, `@` for an optimizer's slot.
struct ObjectSchema: Sendable {
  enum Kind: Sendable {
    case group
    /// The element types and the rank.
    case dataset(Set<DType>, rank: Int)
  }

  let path: String
  let kind: Kind
  var attributes: [AttributeSchema] = []
  /// `true` if the object must exist wherever its parent exists; without meaning for numbered objects.
  var isRequired = true

  /// The last part of the path.
  var name: Substring { path[(path.lastIndex(of: "/") ?? path.startIndex)...].dropFirst() }
  /// The path of the group that the object is in.
  var parent: String { path == "/\(name)" ? Layout.root : String(path.dropLast(name.count + 1)) }
}

extension Layout {
  /// The largest size that an attribute may give: sizes are checked against the file before use.
  static let maximumSize = Int64(Int32.max)

  /// Every object of version 1, as `spec/FORMAT.md` has it in a table.
  static let objects =
    modelObjects + optimizerObjects(mirroring: modelObjects) + trainingObjects + companionObjects

  private static let modelObjects: [ObjectSchema] = [
    ObjectSchema(
      path: root, kind: .group,
      attributes: [
        AttributeSchema(name: AttributeName.format, value: .word([format])),
        AttributeSchema(name: AttributeName.formatVersion, value: .text),
        AttributeSchema(name: AttributeName.specification, value: .text, isRequired: false),
        AttributeSchema(
          name: AttributeName.gateOrder, value: .word([gateOrder]), isRequired: false),
        AttributeSchema(name: AttributeName.requiredFeatures, value: .texts, isRequired: false),
        AttributeSchema(name: AttributeName.optionalFeatures, value: .texts, isRequired: false),
        AttributeSchema(name: AttributeName.producer, value: .text),
        AttributeSchema(name: AttributeName.weightsDigest, value: .text),
        AttributeSchema(name: AttributeName.contentDigest, value: .text),
        AttributeSchema(name: AttributeName.complete, value: .integer(1...1)),
      ]),
    ObjectSchema(
      path: model, kind: .group, attributes: Architecture.fields.schemas()),
    ObjectSchema(path: embedding, kind: .group, isRequired: false),
    parameter(ParameterPath.embeddingWeight.description, rank: 2),
    ObjectSchema(path: layers, kind: .group),
    ObjectSchema(
      path: "\(layers)/#", kind: .group, attributes: LayerArchitecture.fields.schemas()),
    parameter("\(layers)/#/\(LayerParameter.weightIH.rawValue)", rank: 2),
    parameter("\(layers)/#/\(LayerParameter.weightHH.rawValue)", rank: 2),
    parameter("\(layers)/#/\(LayerParameter.biasIH.rawValue)", rank: 1),
    parameter("\(layers)/#/\(LayerParameter.biasHH.rawValue)", rank: 1),
    parameter("\(layers)/#/\(LayerParameter.bias.rawValue)", rank: 1),
    parameter("\(layers)/#/\(LayerParameter.weightHR.rawValue)", rank: 2),
    ObjectSchema(
      path: output, kind: .group,
      attributes: Architecture.outputFields.schemas()),
    parameter(ParameterPath.outputWeight.description, rank: 2),
    parameter(ParameterPath.outputBias.description, rank: 1),
    parameter(ParameterPath.outputProjection.description, rank: 2),
    ObjectSchema(path: tails, kind: .group, isRequired: false),
    ObjectSchema(path: "\(tails)/#", kind: .group, attributes: OutputTail.fields.schemas()),
    parameter("\(tails)/#/\(TailParameter.projection.rawValue)", rank: 2),
    parameter("\(tails)/#/\(TailParameter.weight.rawValue)", rank: 2),
    ObjectSchema(
      path: vocabulary, kind: .group,
      attributes: [
        AttributeSchema(name: AttributeName.unit, value: words(TokenUnit.self)),
        AttributeSchema(name: AttributeName.size, value: .integer(1...maximumSize)),
      ]
        + SpecialToken.allCases.map {
          AttributeSchema(name: $0.attribute, value: .integer(-1...maximumSize))
        }),
    numbers(tokenBytes, .uint8),
    numbers(tokenOffsets, .uint64),
    numbers(tokenKind, .uint8, isRequired: false),
    numbers(counts, .uint64, isRequired: false),
    numbers(scores, .float32, isRequired: false),
    ObjectSchema(
      path: tokenizer, kind: .group,
      attributes: [
        AttributeSchema(name: AttributeName.kind, value: words(TokenizerKind.self)),
        AttributeSchema(name: AttributeName.sentenceStart, value: words(SentenceStart.self)),
        AttributeSchema(name: AttributeName.appendEndOfSentence, value: .integer(0...1)),
        AttributeSchema(name: AttributeName.space, value: .text, isRequired: false),
        AttributeSchema(name: AttributeName.definitionFormat, value: .text, isRequired: false),
      ]),
    numbers(tokenizerDefinition, .uint8, isRequired: false),
    numbers(probeText, .uint8, isRequired: false),
    numbers(probeIDs, .uint32, isRequired: false),
    ObjectSchema(path: provenance, kind: .group, isRequired: false),
    ObjectSchema(
      path: "\(provenance)/#", kind: .group, attributes: ProvenanceEntry.fields.schemas()),
  ]

  static let digestAttribute = AttributeSchema(
    name: AttributeName.digest, value: .text, isRequired: false)

  /// Returns the schema of a parameter; which ones there must be follows from the architecture, not from the table.
  static func parameter(
    _ path: String, rank: Int, isRequired: Bool = false
  ) -> ObjectSchema {
    ObjectSchema(
      path: path, kind: .dataset(Set(DType.allCases), rank: rank),
      attributes: [digestAttribute], isRequired: isRequired)
  }

  /// Returns the schema of a dataset of one dimension.
  static func numbers(_ path: String, _ element: DType, isRequired: Bool = true) -> ObjectSchema {
    ObjectSchema(
      path: path, kind: .dataset([element], rank: 1), attributes: [digestAttribute],
      isRequired: isRequired)
  }

  static func words<Word: CaseIterable & RawRepresentable<String>>(
    _ type: Word.Type
  ) -> AttributeSchema.Value { .word(type.allCases.map(\.rawValue)) }

  /// Returns the schema of a path, or `nil` if the format has no such object.
  static func schema(of path: String) -> ObjectSchema? {
    var parts = path.split(separator: "/", omittingEmptySubsequences: false)
    if path.hasPrefix(optimizerState + "/"), OptimizerSlot(rawValue: String(parts[3])) != nil {
      parts[3] = Substring(anySlot)
    }
    return schemas[parts.map { isNumber($0) ? "#" : $0 }.joined(separator: "/")]
  }

  /// Returns the objects that a group of a schema must have; `#` may be in their paths, but not at the end.
  static func requiredMembers(of schema: ObjectSchema) -> [ObjectSchema] {
    requiredMembers[schema.path] ?? []
  }

  private static let schemas = Dictionary(uniqueKeysWithValues: objects.map { ($0.path, $0) })

  private static let requiredMembers = Dictionary(
    grouping: objects.filter { $0.isRequired && $0.path != root && $0.name != "#" }, by: \.parent)

  private static func isNumber(_ name: Substring) -> Bool {
    !name.isEmpty && name.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
  }
}
