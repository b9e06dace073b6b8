// From a file's contents to a checkpoint.

import UnrollHDF5
import UnrollTensors
import UnrollTokenization

extension Contents {
  /// The groups of the recurrent layers, in order.
  var layerGroups: [String] { members(of: Layout.layers).map { "\(Layout.layers)/\($0)" } }

  /// The groups of the tails of an adaptive softmax, in order.
  var tailGroups: [String] { members(of: Layout.tails).map { "\(Layout.tails)/\($0)" } }

  func readArchitecture() -> Architecture? {
    let empty = Architecture(vocabularySize: 0, embeddingSize: 0, layers: [], isTied: false)
    guard var architecture = value(Architecture.fields, at: Layout.model, in: empty) else {
      return nil
    }
    for group in layerGroups {
      let empty = LayerArchitecture(cell: .lstm, inputSize: 0, hiddenSize: 0)
      guard let layer = value(LayerArchitecture.fields, at: group, in: empty) else { return nil }
      architecture.layers.append(layer)
    }
    for group in tailGroups {
      let empty = OutputTail(size: 0, projectionSize: 0)
      guard let tail = value(OutputTail.fields, at: group, in: empty) else { return nil }
      architecture.tails.append(tail)
    }
    architecture.hasOutputBias = exists(ParameterPath.outputBias.description)
    architecture.hasOutputProjection = exists(ParameterPath.outputProjection.description)
    return architecture
  }

  func readVocabulary() -> Vocabulary? {
    guard let unit = text(Layout.vocabulary, AttributeName.unit).flatMap(TokenUnit.init),
      let bytes = tensor(Layout.tokenBytes)?.withUnsafeBytes({ Array($0) }),
      let offsets = tensor(Layout.tokenOffsets)?.withUnsafeBytes({
        $0.elements(of: UInt64.self) { Int(exactly: $0) ?? -1 }
      }),
      var vocabulary = Vocabulary(tokenBytes: bytes, tokenOffsets: offsets, unit: unit)
    else { return nil }
    for role in SpecialToken.allCases { vocabulary[role] = tokenID(role.attribute) }
    vocabulary.kinds = numbers(Layout.tokenKind, of: UInt8.self) {
      TokenKind(rawValue: $0) ?? .unused
    }
    vocabulary.counts = numbers(Layout.counts, of: UInt64.self) { $0 }
    vocabulary.scores = numbers(Layout.scores, of: UInt32.self) { Float(bitPattern: $0) }
    return vocabulary
  }

  /// Returns the numbers of a small dataset; `nil` where there is none.
  func numbers<Bits: FixedWidthInteger, Element>(
    _ path: String, of type: Bits.Type, _ transform: (Bits) -> Element
  ) -> [Element]? {
    tensor(path)?.withUnsafeBytes { $0.elements(of: type, transform) }
  }

  /// Returns the id of a special token, or `nil` for -1.
  private func tokenID(_ name: String) -> Int? {
    integer(Layout.vocabulary, name).flatMap { $0 < 0 ? nil : $0 }
  }

  /// The tokenizer; `nil` where a part is missing or not allowed.
  var tokenizer: Tokenizer? {
    guard let kind = text(Layout.tokenizer, AttributeName.kind).flatMap(TokenizerKind.init),
      let start = text(Layout.tokenizer, AttributeName.sentenceStart).flatMap(SentenceStart.init),
      let append = integer(Layout.tokenizer, AttributeName.appendEndOfSentence)
    else { return nil }
    var tokenizer = Tokenizer(kind: kind, sentenceStart: start, appendsEndOfSentence: append == 1)
    tokenizer.space = text(Layout.tokenizer, AttributeName.space)
    if let format = text(Layout.tokenizer, AttributeName.definitionFormat),
      let bytes = numbers(Layout.tokenizerDefinition, of: UInt8.self, { $0 })
    {
      tokenizer.definition = TokenizerDefinition(format: format, bytes: bytes)
    }
    if let text = numbers(Layout.probeText, of: UInt8.self, { $0 }),
      let ids = numbers(Layout.probeIDs, of: UInt32.self, { $0 })
    {
      tokenizer.probe = TokenizerProbe(text: text, ids: ids)
    }
    return tokenizer
  }

  /// The history of the model, oldest first.
  var provenanceEntries: [ProvenanceEntry] {
    members(of: Layout.provenance).map { name in
      let empty = ProvenanceEntry(operation: "", tool: "", arguments: "", inputs: "")
      return value(ProvenanceEntry.fields, at: "\(Layout.provenance)/\(name)", in: empty) ?? empty
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
    let contents = try examination.decodedContents()
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
    card = contents.card
    if contents.exists(Layout.selfTest) {
      selfTest = try contents.require(contents.selfTest, Layout.selfTest)
    }
    extensions = contents.extensions
  }

  /// Opens a checkpoint: runs the rules that every opening runs, then maps the tensors.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - reader: Runs libhdf5; in this process by default. See `ContainerReader.inProcess`.
  /// - Throws: `FileError` if the file cannot be read, `InvalidCheckpoint` if it breaks a rule of
  ///   level error.
  public init(
    contentsOf path: String, reader: ContainerReader = .inProcess
  ) throws {
    try self.init(Examination(of: path, upTo: .header, reader: reader))
  }
}

extension Examination {
  /// Returns the contents with all data decoded.
  ///
  /// - Throws: `InvalidCheckpoint` if something cannot be decoded, `FileError` if there is no room.
  func decodedContents() throws -> Contents {
    var contents = contents
    try contents.decode(with: reader) { _ in true }
    let findings = Rule.filteredDataDecodes.findings(in: contents)
    guard findings.isEmpty else { throw InvalidCheckpoint(findings: findings) }
    return contents
  }
}

extension Contents {
  /// Returns a part that must exist by the rules.
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
    \(printable(file)): \(part): expected a readable part, since no rule is broken; found none
      fix: report this file to the developers of unroll: a rule is missing
    """
  }
}
