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

  /// The digest of the weights, once the outline is sealed.
  var weightsDigest: String {
    guard case .text(let digest)? = objects[Layout.root]?.attributes[AttributeName.weightsDigest]
    else { return "" }
    return digest
  }

  /// Gives every dataset its digest, and the root those of the weights and of all content.
  mutating func seal() {
    sealDatasets()
    sealWeights()
    // The step that made these weights is the last one of the history.
    if let last = objects.keys.filter({ $0.hasPrefix(Layout.provenance + "/") }).max() {
      let digest = weightsDigest
      objects[last]?.attributes[AttributeName.weightsDigest] = .text(digest)
    }
    sealContent()
  }

  /// Gives datasets their digests.
  private mutating func sealDatasets(in root: String = "") {
    let tensors = objects.compactMap { path, object -> (path: String, tensor: Tensor)? in
      guard path.hasPrefix(root), case .dataset(let tensor) = object.kind else { return nil }
      return (path, tensor)
    }
    for (path, digest) in zip(tensors.map(\.path), Digest.sha256(of: tensors.map(\.tensor))) {
      objects[path]?.attributes[AttributeName.digest] = .text(digest)
    }
  }

  /// Gives a dataset its digest.
  mutating func sealDataset(_ path: String) {
    guard case .dataset(let tensor)? = objects[path]?.kind else { return }
    objects[path]?.attributes[AttributeName.digest] = .text(Digest.sha256(of: tensor))
  }

  /// Gives the root the digest of the weights.
  mutating func sealWeights() {
    let digest = Digest.weights(digestEntries)
    objects[Layout.root]?.attributes[AttributeName.weightsDigest] = .text(digest)
  }

  /// Gives the root the digest of all content, and the datasets beside the model theirs.
  mutating func sealContent() {
    for companion in [Layout.card, Layout.selfTest, Layout.extensions] {
      sealDatasets(in: companion + "/")
    }
    sealContentDigest()
  }

  /// Gives the root the digest of all content.
  mutating func sealContentDigest() {
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
    return outline.weightsDigest
  }

  /// Returns the objects of the file that holds this checkpoint, sealed.
  func outline() -> Outline {
    var outline = Outline()
    outline.addGroup(
      Layout.root,
      [
        AttributeName.format: .text(Layout.format),
        AttributeName.formatVersion: .text(Layout.version),
        AttributeName.specification: .text(Layout.specification),
        AttributeName.gateOrder: .text(Layout.gateOrder),
        AttributeName.producer: .text(UnrollVersion.producer),
      ])
    let features = architecture.requiredFeatures
    if !features.isEmpty {
      outline.objects[Layout.root]?.attributes[AttributeName.requiredFeatures] = .texts(features)
    }
    addModel(to: &outline)
    addVocabulary(to: &outline)
    addTokenizer(to: &outline)
    addProvenance(to: &outline)
    optimizer?.add(to: &outline)
    training?.add(to: &outline)
    card?.add(to: &outline)
    outline.seal()
    // Companion data of other weights are left out.
    let weights = outline.weightsDigest
    if let selfTest, selfTest.weightsDigest == weights { selfTest.add(to: &outline) }
    extensions.add(to: &outline, weightsDigest: weights)
    outline.sealContent()
    return outline
  }

  private func addModel(to outline: inout Outline) {
    outline.addGroup(Layout.model, Architecture.fields.attributes(of: architecture))
    if architecture.input == .embedding { outline.addGroup(Layout.embedding) }
    outline.addGroup(Layout.layers)
    for (index, layer) in architecture.layers.enumerated() {
      outline.addGroup(Layout.layer(index), LayerArchitecture.fields.attributes(of: layer))
    }
    outline.addGroup(Layout.output, Architecture.outputFields.attributes(of: architecture))
    if !architecture.tails.isEmpty { outline.addGroup(Layout.tails) }
    for (index, tail) in architecture.tails.enumerated() {
      outline.addGroup(Layout.tail(index), OutputTail.fields.attributes(of: tail))
    }
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
    var attributes: [String: AttributeValue] = [
      AttributeName.unit: .text(vocabulary.unit.rawValue),
      AttributeName.size: .integer(Int64(vocabulary.count)),
    ]
    var ids = vocabulary
    // Lines that start from the end-of-sentence token have it at their beginning.
    if tokenizer.sentenceStart == .eos, ids.beginningOfSentenceID == nil {
      ids.beginningOfSentenceID = ids.endOfSentenceID
    }
    for role in SpecialToken.allCases {
      attributes[role.attribute] = .integer(Int64(ids[role] ?? -1))
    }
    outline.addGroup(Layout.vocabulary, attributes)
    outline.addDataset(Layout.tokenBytes, Tensor(vocabulary.tokenBytes))
    outline.addDataset(Layout.tokenOffsets, Tensor(vocabulary.tokenOffsets.map { UInt64($0) }))
    if let kinds = vocabulary.kinds {
      outline.addDataset(Layout.tokenKind, Tensor(kinds.map(\.rawValue)))
    }
    if let counts = vocabulary.counts { outline.addDataset(Layout.counts, Tensor(counts)) }
    if let scores = vocabulary.scores {
      outline.addDataset(Layout.scores, Tensor(scores, shape: [scores.count]))
    }
  }

  private func addTokenizer(to outline: inout Outline) {
    var attributes: [String: AttributeValue] = [
      AttributeName.kind: .text(tokenizer.kind.rawValue),
      AttributeName.sentenceStart: .text(tokenizer.sentenceStart.rawValue),
      AttributeName.appendEndOfSentence: .integer(tokenizer.appendsEndOfSentence ? 1 : 0),
    ]
    if let space = tokenizer.space { attributes[AttributeName.space] = .text(space) }
    if let definition = tokenizer.definition {
      attributes[AttributeName.definitionFormat] = .text(definition.format)
      outline.addDataset(Layout.tokenizerDefinition, Tensor(definition.bytes))
    }
    outline.addGroup(Layout.tokenizer, attributes)
    if let probe = tokenizer.probe {
      outline.addDataset(Layout.probeText, Tensor(probe.text))
      outline.addDataset(Layout.probeIDs, Tensor(probe.ids))
    }
  }

  private func addProvenance(to outline: inout Outline) {
    outline.addGroup(Layout.provenance)
    for (index, entry) in provenance.enumerated() {
      outline.addGroup(
        Layout.provenanceEntry(index), ProvenanceEntry.fields.attributes(of: entry))
    }
  }
}
