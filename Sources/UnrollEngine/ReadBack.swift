// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Verifies an export: the file is read again and its model compared with the original.

import UnrollFormat
import UnrollInterchange
import UnrollNeural
import UnrollTensors

/// The result of reading a written file back.
public struct ReadBack: Sendable {
  /// The number of tensors, all bit for bit equal to the written ones.
  public let tensors: Int
  /// The number of tokens whose log-probabilities were compared.
  public let tokens: Int
  /// The largest difference of log-probabilities, in nats: 0 unless the format has another variant
  /// of the model.
  public let largestDifference: Double
}

/// Writes a checkpoint in a foreign format.
///
/// The file gets its name after it was read back, every tensor compared, and the log-probabilities
/// of a few tokens computed by both models in double precision.
///
/// This verifies Unroll's own writer and reader, not how other programs read the file.
///
/// - Parameters:
///   - checkpoint: The model.
///   - format: The format.
///   - path: The output file.
///   - map: The names of the tensors; empty for the format's own names.
///   - replacing: `true` to replace an existing file; otherwise it is preserved.
///   - progress: See `ForeignFormat.export`.
/// - Returns: The result of the comparison.
/// - Throws: The errors of `ForeignFormat.export`; `InterchangeError` if the models differ.
public func export(
  _ checkpoint: Checkpoint, as format: any ForeignFormat.Type, to path: String,
  map: NameMap = NameMap(), replacing: Bool = false, progress: (Int) -> Void = { _ in }
) throws -> ReadBack {
  let held = try format.held(checkpoint, map: map)
  var found = ReadBack(tensors: 0, tokens: 0, largestDifference: 0)
  try format.export(checkpoint, to: path, map: map, replacing: replacing, progress: progress) {
    back in
    let ids = probe(of: checkpoint)
    // The file does not hold the activations of vanilla RNN cells: those of the checkpoint apply to
    // both.
    let there = try referenceLogProbabilities(of: ids, held.parameters, of: held)
    let difference = largestDifference(
      there, try referenceLogProbabilities(of: ids, back.parameters, of: held))
    guard difference == 0 else {
      throw InterchangeError(
        file: path, place: "/model", expected: "the log-probabilities of the checkpoint",
        found: "others, by up to \(difference) nats",
        fix: "nothing was written; this is a defect of unroll")
    }
    // A variant of the model in the format may change the numbers; the difference is reported.
    let isSame = held.architecture == checkpoint.architecture
    found = ReadBack(
      tensors: back.parameters.paths.count, tokens: there.count,
      largestDifference: isSame
        ? 0
        : largestDifference(
          there, try referenceLogProbabilities(of: ids, checkpoint.parameters, of: checkpoint)))
  }
  return found
}

/// Writes a converted checkpoint.
///
/// The file gets its name after it was read back, every tensor compared bit for bit, and the
/// log-probabilities of a few tokens computed by both models in double precision.
///
/// The outcome of the last step of the history states the comparison. It is written before the
/// comparison, since it is part of the file; if the comparison fails, there is no file.
///
/// - Parameters:
///   - checkpoint: The model.
///   - path: The output file.
///   - replacing: `true` to replace an existing file; otherwise it is preserved.
/// - Returns: The result of the comparison.
/// - Throws: The errors of `Checkpoint.write`; `InterchangeError` if the models differ.
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
          try referenceLogProbabilities(of: ids, checkpoint.parameters, of: checkpoint),
          try referenceLogProbabilities(of: ids, back.parameters, of: back))
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
  /// The comparison in words.
  var text: String {
    "read back: \(tensors) tensors equal bit for bit, log-probabilities of \(tokens) tokens equal"
  }
}

/// Returns a few tokens from all over a vocabulary.
private func probe(of checkpoint: Checkpoint) -> [Int] {
  (0..<5).map { $0 * 7 % checkpoint.architecture.vocabularySize }
}

/// Returns the log-probabilities of tokens after the tokens before them.
private func referenceLogProbabilities(
  of ids: [Int], _ parameters: ParameterTree<Tensor>, of model: Checkpoint
) throws -> [Double] {
  try ReferenceModel(architecture: model.architecture, parameters: parameters)
    .tokenLogProbabilities(of: ids)
}

private func largestDifference(_ a: [Double], _ b: [Double]) -> Double {
  zip(a, b).map { $0 == $1 || ($0.isNaN && $1.isNaN) ? 0 : abs($0 - $1) }.max() ?? 0
}
