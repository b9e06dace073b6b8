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
///   - replacing: Whether a file that is there is replaced. If not, it stays.
///   - progress: See `ForeignFormat.export`.
/// - Returns: What was compared.
/// - Throws: What `ForeignFormat.export` throws; `InterchangeError` if the models differ.
public func export(
  _ checkpoint: Checkpoint, as format: any ForeignFormat.Type, to path: String,
  replacing: Bool = false, progress: (Int) -> Void = { _ in }
) throws -> ReadBack {
  let held = try format.held(checkpoint)
  var found = ReadBack(tensors: 0, tokens: 0, largestDifference: 0)
  try format.export(checkpoint, to: path, replacing: replacing, progress: progress) { back in
    let V = checkpoint.architecture.vocabularySize
    let ids = (0..<5).map { $0 * 7 % V }
    // The activations of plain cells are not in the file: those of the checkpoint count for both.
    func values(_ parameters: ParameterTree<Tensor>, of model: Checkpoint) throws -> [Double] {
      try ReferenceModel(architecture: model.architecture, parameters: parameters)
        .logProbabilities(of: ids)
    }
    let there = try values(held.parameters, of: held)
    let difference = largestDifference(there, try values(back.parameters, of: held))
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
        ? 0 : largestDifference(there, try values(checkpoint.parameters, of: checkpoint)))
  }
  return found
}

private func largestDifference(_ a: [Double], _ b: [Double]) -> Double {
  zip(a, b).map { $0 == $1 || ($0.isNaN && $1.isNaN) ? 0 : abs($0 - $1) }.max() ?? 0
}
