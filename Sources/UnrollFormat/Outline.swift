// A checkpoint as the objects that are to be written: the last pure step before libhdf5.

import UnrollHDF5
import UnrollTensors
import UnrollTokenization

/// The objects of a file that is to be written, by path.
struct Outline {
  enum Kind {
    case group
    case dataset(Tensor)
    case hardLink(to: String)
  }

  struct Object {
    var kind: Kind
    var attributes: [String: AttributeValue] = [:]
  }

  var objects: [String: Object] = [:]

  /// The objects in the order of their paths, which puts groups before their members.
  var inOrder: [(path: String, object: Object)] {
    objects.map { ($0.key, $0.value) }.sorted {
      $0.0.utf8.lexicographicallyPrecedes($1.0.utf8)
    }
  }

  mutating func addGroup(_ path: String, _ attributes: [String: AttributeValue] = [:]) {
    objects[path] = Object(kind: .group, attributes: attributes)
  }

  mutating func addDataset(_ path: String, _ tensor: Tensor) {
    objects[path] = Object(kind: .dataset(tensor))
  }

  /// Gives every dataset its digest, and the root those of the weights and of all content.
  mutating func seal() {
    for (path, object) in objects {
      guard case .dataset(let tensor) = object.kind else { continue }
      let digest = tensor.withUnsafeBytes { Digest.sha256($0) }
      objects[path]?.attributes[AttributeName.digest] = .text(digest)
    }
    let weights = Digest.weights(digestEntries)
    objects[Layout.root]?.attributes[AttributeName.weightsDigest] = .text(weights)
    // The step that made these weights is the last one of the history.
    if let last = objects.keys.filter({ $0.hasPrefix(Layout.provenance + "/") }).max() {
      objects[last]?.attributes[AttributeName.weightsDigest] = .text(weights)
    }
    sealContent()
  }

  /// Gives the root the digest of all content.
  mutating func sealContent() {
    let content = Digest.content(digestEntries)
    objects[Layout.root]?.attributes[AttributeName.contentDigest] = .text(content)
  }

  private var digestEntries: [DigestEntry] {
    inOrder.map { path, object in
      switch object.kind {
      case .group: DigestEntry(path: path, kind: .group, attributes: object.attributes)
      case .dataset(let tensor):
        DigestEntry(
          path: path,
          kind: .dataset(dtype: tensor.dtype.rawValue, shape: tensor.shape.dimensions),
          attributes: object.attributes)
      case .hardLink(let target):
        DigestEntry(path: path, kind: .hardLink(to: target), attributes: [:])
      }
    }
  }
}

extension Checkpoint {
  /// The digest of the function that the model computes, as its file would have it.
  public var weightsDigest: String {
    var outline = Outline()
    outline.addGroup(Layout.root)
    addModel(to: &outline)
    outline.seal()
    guard
      case .text(let digest)? = outline.objects[Layout.root]?.attributes[
        AttributeName.weightsDigest]
    else { return "" }
    return digest
  }

  /// The objects of the file that holds this checkpoint, sealed.
  func outline() -> Outline {
    var outline = Outline()
    outline.addGroup(
      Layout.root,
      [
        AttributeName.format: .text(Layout.format),
        AttributeName.formatVersion: .text(Layout.version),
        AttributeName.producer: .text(UnrollVersion.producer),
      ])
    addModel(to: &outline)
    addVocabulary(to: &outline)
    addProvenance(to: &outline)
    optimizer?.add(to: &outline)
    training?.add(to: &outline)
    outline.seal()
    return outline
  }

  private func addModel(to outline: inout Outline) {
    outline.addGroup(
      Layout.model,
      [
        AttributeName.kind: .text("recurrent_language_model"),
        AttributeName.input: .text("embedding"),
        AttributeName.tied: .integer(architecture.isTied ? 1 : 0),
        AttributeName.vocabularySize: .integer(Int64(architecture.vocabularySize)),
        AttributeName.embeddingSize: .integer(Int64(architecture.embeddingSize)),
      ])
    outline.addGroup(Layout.embedding)
    outline.addGroup(Layout.layers)
    for (index, layer) in architecture.layers.enumerated() {
      outline.addGroup(Layout.layer(index), layer.attributes)
    }
    outline.addGroup(Layout.output, [AttributeName.kind: .text("softmax")])
    for path in parameters.paths {
      guard let tensor = parameters[path] else { continue }
      outline.addDataset(path.description, tensor)
    }
    if architecture.isTied {
      outline.objects[ParameterPath.outputWeight.description] = Outline.Object(
        kind: .hardLink(to: ParameterPath.embeddingWeight.description))
    }
  }

  private func addVocabulary(to outline: inout Outline) {
    func id(_ id: Int?) -> AttributeValue { .integer(Int64(id ?? -1)) }
    outline.addGroup(
      Layout.vocabulary,
      [
        AttributeName.unit: .text(vocabulary.unit.rawValue),
        AttributeName.size: .integer(Int64(vocabulary.count)),
        AttributeName.unknownID: id(vocabulary.unknownID),
        AttributeName.endOfSentenceID: id(vocabulary.endOfSentenceID),
        AttributeName.beginningOfSentenceID: id(
          tokenizer.sentenceStart == .eos ? vocabulary.endOfSentenceID : nil),
        AttributeName.paddingID: .integer(-1),
      ])
    outline.addDataset(Layout.tokenBytes, Tensor(vocabulary.tokenBytes))
    outline.addDataset(Layout.tokenOffsets, Tensor(vocabulary.tokenOffsets.map { UInt64($0) }))
    outline.addGroup(
      Layout.tokenizer,
      [
        AttributeName.kind: .text(tokenizer.kind.rawValue),
        AttributeName.sentenceStart: .text(tokenizer.sentenceStart.rawValue),
        AttributeName.appendEndOfSentence: .integer(tokenizer.appendsEndOfSentence ? 1 : 0),
      ])
  }

  private func addProvenance(to outline: inout Outline) {
    outline.addGroup(Layout.provenance)
    for (index, entry) in provenance.enumerated() {
      var attributes: [String: AttributeValue] = [
        AttributeName.operation: .text(entry.operation),
        AttributeName.tool: .text(entry.tool),
        AttributeName.arguments: .text(entry.arguments),
        AttributeName.inputs: .text(entry.inputs),
      ]
      if !entry.outcome.isEmpty { attributes[AttributeName.outcome] = .text(entry.outcome) }
      if !entry.weightsDigest.isEmpty {
        attributes[AttributeName.weightsDigest] = .text(entry.weightsDigest)
      }
      outline.addGroup(Layout.provenanceEntry(index), attributes)
    }
  }
}

extension LayerArchitecture {
  /// The attributes of the layer's group.
  fileprivate var attributes: [String: AttributeValue] {
    var attributes: [String: AttributeValue] = [
      AttributeName.cell: .text(cell.rawValue),
      AttributeName.inputSize: .integer(Int64(inputSize)),
      AttributeName.hiddenSize: .integer(Int64(hiddenSize)),
      AttributeName.activation: .text(activation.rawValue),
      AttributeName.bias: .text(bias.rawValue),
    ]
    if cell != .rnn { attributes[AttributeName.gateActivation] = .text("sigmoid") }
    if cell == .gru { attributes[AttributeName.reset] = .text("after") }
    return attributes
  }
}
