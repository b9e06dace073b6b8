// From a file's contents to a checkpoint.

import UnrollHDF5
import UnrollTensors
import UnrollTokenization

extension Contents {
  /// The groups of the recurrent layers, in order.
  var layerGroups: [String] { members(of: Layout.layers).map { "\(Layout.layers)/\($0)" } }

  func readArchitecture() -> Architecture? {
    guard let vocabularySize = integer(Layout.model, AttributeName.vocabularySize),
      let embeddingSize = integer(Layout.model, AttributeName.embeddingSize),
      let tied = integer(Layout.model, AttributeName.tied),
      [vocabularySize, embeddingSize].allSatisfy({ sizeIsUsable($0) })
    else { return nil }
    var layers: [LayerArchitecture] = []
    for group in layerGroups {
      guard let layer = layerArchitecture(group) else { return nil }
      layers.append(layer)
    }
    return Architecture(
      vocabularySize: vocabularySize, embeddingSize: embeddingSize, layers: layers,
      isTied: tied == 1, hasOutputBias: exists(ParameterPath.outputBias.description))
  }

  private func layerArchitecture(_ group: String) -> LayerArchitecture? {
    guard let cell = text(group, AttributeName.cell).flatMap(Cell.init),
      let inputSize = integer(group, AttributeName.inputSize),
      let hiddenSize = integer(group, AttributeName.hiddenSize),
      let activation = text(group, AttributeName.activation).flatMap(Activation.init),
      let bias = text(group, AttributeName.bias).flatMap(LayerBias.init),
      [inputSize, hiddenSize].allSatisfy({ sizeIsUsable($0) })
    else { return nil }
    return LayerArchitecture(
      cell: cell, inputSize: inputSize, hiddenSize: hiddenSize, activation: activation, bias: bias)
  }

  /// Whether products of a few such sizes fit in an `Int`.
  private func sizeIsUsable(_ size: Int) -> Bool { size >= 1 && size <= Layout.maximumSize }

  func readVocabulary() -> Vocabulary? {
    guard let unit = text(Layout.vocabulary, AttributeName.unit).flatMap(TokenUnit.init),
      let bytes = tensor(Layout.tokenBytes)?.withUnsafeBytes({ Array($0) }),
      let offsets = tensor(Layout.tokenOffsets)?.withUnsafeBytes({
        $0.elements(of: UInt64.self) { Int(exactly: $0) ?? -1 }
      }),
      offsets.first == 0, offsets.last == bytes.count,
      zip(offsets, offsets.dropFirst()).allSatisfy({ $0 <= $1 })
    else { return nil }
    var vocabulary = Vocabulary(tokenBytes: bytes, tokenOffsets: offsets, unit: unit)
    vocabulary.unknownID = tokenID(AttributeName.unknownID)
    vocabulary.endOfSentenceID = tokenID(AttributeName.endOfSentenceID)
    return vocabulary
  }

  /// The id of a special token, or `nil` for -1.
  private func tokenID(_ name: String) -> Int? {
    integer(Layout.vocabulary, name).flatMap { $0 < 0 ? nil : $0 }
  }

  /// The tokenizer; `nil` where a part is missing or not allowed.
  var tokenizer: Tokenizer? {
    guard let kind = text(Layout.tokenizer, AttributeName.kind).flatMap(TokenizerKind.init),
      let start = text(Layout.tokenizer, AttributeName.sentenceStart).flatMap(SentenceStart.init),
      let append = integer(Layout.tokenizer, AttributeName.appendEndOfSentence)
    else { return nil }
    return Tokenizer(kind: kind, sentenceStart: start, appendsEndOfSentence: append == 1)
  }

  /// The history of the model, oldest first.
  var provenanceEntries: [ProvenanceEntry] {
    members(of: Layout.provenance).map { name in
      let group = "\(Layout.provenance)/\(name)"
      return ProvenanceEntry(
        operation: text(group, AttributeName.operation) ?? "",
        tool: text(group, AttributeName.tool) ?? "",
        arguments: text(group, AttributeName.arguments) ?? "",
        inputs: text(group, AttributeName.inputs) ?? "",
        outcome: text(group, AttributeName.outcome) ?? "",
        weightsDigest: text(group, AttributeName.weightsDigest) ?? "")
    }
  }
}

extension Checkpoint {
  /// The checkpoint of an examined file; its tensors stay in the mapped file.
  ///
  /// - Throws: `InvalidCheckpoint` if the examination has findings of level error.
  public init(_ examination: Examination) throws {
    guard examination.worstLevel != .error else {
      throw InvalidCheckpoint(findings: examination.findings)
    }
    let contents = examination.contents
    // Each of these follows from the rules; if one does not, a rule is missing, and it is named.
    guard let architecture = contents.architecture, let vocabulary = contents.vocabulary,
      let tokenizer = contents.tokenizer
    else { throw RuleGap(file: contents.path, part: "architecture, vocabulary or tokenizer") }
    var parameters = ParameterTree<Tensor>()
    for (path, _) in architecture.parameters {
      guard let tensor = contents.tensor(path.description) else {
        throw RuleGap(file: contents.path, part: path.description)
      }
      parameters[path] = tensor
    }
    self.init(
      architecture: architecture, parameters: parameters, vocabulary: vocabulary,
      tokenizer: tokenizer, provenance: contents.provenanceEntries)
    if contents.exists(Layout.optimizer) {
      optimizer = try contents.require(contents.optimizer, Layout.optimizer)
    }
    if contents.exists(Layout.training) {
      training = try contents.require(contents.trainingState, Layout.training)
    }
  }

  /// Opens a checkpoint: runs the rules that every opening runs, then maps the tensors.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - makeInventory: Makes the inventory; in this process unless told. See `inventoryInProcess`.
  /// - Throws: `FileError` if the file cannot be read, `InvalidCheckpoint` if it breaks a rule of
  ///   level error.
  public init(
    contentsOf path: String, makeInventory: InventoryMaker = inventoryInProcess
  ) throws {
    try self.init(Examination(of: path, upTo: .header, makeInventory: makeInventory))
  }
}

extension Contents {
  /// A part that follows from the rules.
  fileprivate func require<Part>(_ part: Part?, _ path: String) throws(RuleGap) -> Part {
    guard let part else { throw RuleGap(file: self.path, part: path) }
    return part
  }
}

/// A file that broke no rule and could not be read all the same: a defect of Unroll.
struct RuleGap: Error, CustomStringConvertible {
  let file: String
  let part: String

  var description: String {
    """
    \(file): \(part): expected a readable part, since no rule is broken; found none
      fix: report this file to the developers of unroll: a rule is missing
    """
  }
}
