// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The proof of an export: the file is read again, and the model in it says the same.

import UnrollFormat
import UnrollInterchange
import UnrollNeural
import UnrollTensors

/// What was found when a written file was read back.
public struct ReadBack: Sendable {
  /// The tensors, each bit for bit what was written.
  public let tensors: Int
  /// The tokens whose log-probabilities both models gave.
  public let tokens: Int
  /// The largest difference of these, in nats: 0 unless the format has another variant of the model.
  public let largestDifference: Double
}

/// Writes a checkpoint in a foreign format; the file gets its name when it has been read back, every
/// tensor compared, and the log-probabilities of a few tokens by both models, in double precision.
///
/// This proves the way there and back through our own code, not what other programs make of the file.
///
/// - Parameters:
///   - checkpoint: The model.
///   - format: The format.
///   - path: The file to be.
///   - map: The names of the tensors; the format's own if it is empty.
///   - replacing: Whether a file that is there is replaced. If not, it stays.
///   - progress: See `ForeignFormat.export`.
/// - Returns: What was compared.
/// - Throws: What `ForeignFormat.export` throws; `InterchangeError` if the models differ.
public func export(
  _ checkpoint: Checkpoint, as format: any ForeignFormat.Type, to path: String,
  map: NameMap = NameMap(), replacing: Bool = false, progress: (Int) -> Void = { _ in }
) throws -> ReadBack {
  let held = try format.held(checkpoint, map: map)
  var found = ReadBack(tensors: 0, tokens: 0, largestDifference: 0)
  try format.export(checkpoint, to: path, map: map, replacing: replacing, progress: progress) {
    back in
    let ids = probe(of: checkpoint)
    // The activations of plain cells are not in the file: those of the checkpoint count for both.
    let there = try logProbabilities(ids, held.parameters, of: held)
    let difference = largestDifference(there, try logProbabilities(ids, back.parameters, of: held))
    guard difference == 0 else {
      throw InterchangeError(
        file: path, place: "/model", expected: "the log-probabilities of the checkpoint",
        found: "others, by up to \(difference) nats",
        fix: "nothing was written; this is a defect of unroll")
    }
    // Where the format has another variant of the model, this is what that makes.
    let isSame = held.architecture == checkpoint.architecture
    found = ReadBack(
      tensors: back.parameters.paths.count, tokens: there.count,
      largestDifference: isSame
        ? 0
        : largestDifference(
          there, try logProbabilities(ids, checkpoint.parameters, of: checkpoint)))
  }
  return found
}

/// Writes a converted checkpoint; it gets its name when it has been read back, every tensor compared bit for
/// bit, and the log-probabilities of a few tokens by both models, in double precision.
///
/// What was compared stands in the outcome of the last step of its history. It is written before it is
/// known, since it is a part of the file: where it turns out otherwise, there is no file.
///
/// - Parameters:
///   - checkpoint: The model.
///   - path: The file to be.
///   - replacing: Whether a file that is there is replaced. If not, it stays.
/// - Returns: What was compared.
/// - Throws: What `Checkpoint.write` throws; `InterchangeError` if the models differ.
public func writeConverted(
  _ checkpoint: Checkpoint, to path: String, replacing: Bool = false
) throws -> ReadBack {
  let ids = probe(of: checkpoint)
  let claim = ReadBack(
    tensors: checkpoint.parameters.paths.count, tokens: max(0, ids.count - 1), largestDifference: 0)
  var written = checkpoint
  if let last = written.provenance.indices.last { written.provenance[last].outcome = claim.text }
  try written.write(to: path, replacing: replacing) { back in
    func check(_ isSame: Bool, _ place: String, _ what: String) throws {
      guard !isSame else { return }
      throw InterchangeError(
        file: path, place: place, expected: "\(what) that were converted",
        found: "others when the file is read back",
        fix:
          "nothing was written; the disk or the memory may be failing: try another disk; else this is "
          + "a defect of unroll")
    }
    try check(back.architecture == checkpoint.architecture, Layout.model, "the layers and sizes")
    try forEachConcurrently(2) { part in
      if part == 0 {
        for path in checkpoint.parameters.paths {
          let isSame = back.parameters[path].flatMap { read in
            checkpoint.parameters[path].map { $0.isEqual(to: read) { _ in } }
          }
          try check(isSame == true, path.description, "the numbers")
        }
      } else {
        let difference = largestDifference(
          try logProbabilities(ids, checkpoint.parameters, of: checkpoint),
          try logProbabilities(ids, back.parameters, of: back))
        try check(difference == 0, Layout.model, "the log-probabilities")
      }
    }
    try check(
      back.provenance.last?.outcome == claim.text || back.provenance.isEmpty, Layout.provenance,
      "the figures")
  }
  return claim
}

extension ReadBack {
  /// What was compared, in words.
  var text: String {
    "read back: \(tensors) tensors equal bit for bit, log-probabilities of \(tokens) tokens equal"
  }
}

/// A few tokens from all over a vocabulary.
private func probe(of checkpoint: Checkpoint) -> [Int] {
  (0..<5).map { $0 * 7 % checkpoint.architecture.vocabularySize }
}

/// The log-probabilities of tokens after those before them.
private func logProbabilities(
  _ ids: [Int], _ parameters: ParameterTree<Tensor>, of model: Checkpoint
) throws -> [Double] {
  try ReferenceModel(architecture: model.architecture, parameters: parameters)
    .logProbabilities(of: ids)
}

private func largestDifference(_ a: [Double], _ b: [Double]) -> Double {
  zip(a, b).map { $0 == $1 || ($0.isNaN && $1.isNaN) ? 0 : abs($0 - $1) }.max() ?? 0
}
