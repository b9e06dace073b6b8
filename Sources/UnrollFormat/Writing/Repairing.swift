// The repairs of `unroll validate --fix`: only those that follow from the rest of the file.

import UnrollTensors

/// The repair of a violation of a rule, written to another file, from the contents of the file alone.
///
/// Numbers, tokens and sizes are never changed: a tensor that does not have its digest is damaged, and
/// another digest would hide that.
public enum Repair: Sendable {
  /// Writing the content again is enough.
  case rewriting
  /// Digests that are missing, and those of the root, are computed.
  case digests
  /// A copy of the embedding becomes a hard link to it, if the two are the same.
  case tie
  /// Companion data of other weights are left out.
  case omission

  /// The repair as a sentence.
  public var explanation: String {
    switch self {
    case .rewriting: "the content is written again as it is"
    case .digests: "the digest is computed, and the content accepted as it is"
    case .tie: "the copy becomes a hard link, if it is the same in every bit"
    case .omission: "the self-test is left out"
    }
  }
}

extension Examination {
  /// Writes the file's content with every repair that follows from the rest of it.
  ///
  /// The history gets an entry for that. Nothing is written if there is nothing to repair. A digest of the
  /// weights that contradicts them is not repaired: they are not the weights that the file names. Companion
  /// data of other weights are left out: a self-test, and extensions that name other weights.
  ///
  /// - Parameters:
  ///   - path: The file to be.
  ///   - tool: The program that repairs, such as `unroll 0.1.0`.
  ///   - replacing: `true` to replace an existing file.
  /// - Returns: The findings that are repaired.
  /// - Throws: `InvalidCheckpoint` with the errors that cannot be repaired; `FileError` or `HDF5Error` if the
  ///   new file cannot be written.
  public func repair(
    to path: String, tool: String = UnrollVersion.producer, replacing: Bool = false
  ) throws -> [Finding] {
    var others = findings.filter { $0.level == .error && Rule[$0.rule]?.repair == nil }
    // The digest of weights that lack their own digests may be right once these are there.
    let stale = others.filter { $0.rule == Rule.weightsDigestAgrees.id }
    if findings.contains(where: { $0.rule == Rule.datasetsHaveDigests.id }) {
      others.removeAll { $0.rule == Rule.weightsDigestAgrees.id }
    }
    guard others.isEmpty else { throw InvalidCheckpoint(findings: others) }
    let repairable = findings.filter { Rule[$0.rule]?.repair != nil }
    guard !repairable.isEmpty else { return [] }
    var outline = try decodedOutline()
    for finding in repairable {
      guard let repair = Rule[finding.rule]?.repair, outline.apply(repair, at: finding.object)
      else { throw InvalidCheckpoint(findings: [finding]) }
    }
    let stated = outline.weightsDigest
    outline.sealWeights()
    // The weights that the file names had other numbers: that is damage, not a missing digest.
    guard stale.isEmpty || outline.weightsDigest == stated else {
      throw InvalidCheckpoint(findings: stale)
    }
    let isStatedModel =
      outline.weightsDigest == stated || Digest.weights(contents.digestEntries) == stated
    outline.settleCompanions(of: isStatedModel ? stated : outline.weightsDigest)
    let rules = Set(repairable.map(\.rule)).sorted().joined(separator: ", ")
    outline.addHistory("repair", arguments: "rules=\(rules)", of: contents, tool: tool)
    outline.sealContentDigest()
    try outline.writeChecked(to: path, replacing: replacing, profile: profile)
    return repairable
  }
}

extension Outline {
  /// Repairs one object; `false` if that cannot be done.
  fileprivate mutating func apply(_ repair: Repair, at path: String) -> Bool {
    switch repair {
    // The digests of the root are computed when all other objects are final.
    case .digests: sealDataset(path)
    case .tie:
      let embedding = ParameterPath.embeddingWeight.description
      guard case .dataset(let copy)? = objects[path]?.kind,
        case .dataset(let original)? = objects[embedding]?.kind, copy.hasSameBytes(as: original)
      else { return false }
      objects[path] = Object(kind: .hardLink(to: embedding))
    case .rewriting, .omission: break
    }
    return true
  }

  /// Gives companion data of the model the digest of its weights as it is now, and leaves out companion data of
  /// others.
  fileprivate mutating func settleCompanions(of digest: String) {
    let weights = weightsDigest
    for (path, object) in objects
    where path == Layout.selfTest || path.hasPrefix(Layout.extensions + "/") {
      guard case .text(let stated)? = object.attributes[AttributeName.weightsDigest] else {
        continue
      }
      if stated == digest {
        objects[path]?.attributes[AttributeName.weightsDigest] = .text(weights)
      } else {
        objects = objects.filter { $0.key != path && !$0.key.hasPrefix(path + "/") }
      }
    }
  }
}

extension Tensor {
  /// `true` if another tensor has the same type, shape and bits.
  fileprivate func hasSameBytes(as other: Tensor) -> Bool {
    guard dtype == other.dtype, shape == other.shape else { return false }
    return withUnsafeBytes { bytes in other.withUnsafeBytes { bytes.elementsEqual($0) } }
  }
}
