// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The self-test of a checkpoint: its creation and replay.

import Foundation
import UnrollFormat
import UnrollNeural
import UnrollTensors

/// Returns the log-probabilities that the engine computes for a self-test's tokens after the first,
/// and bounds of their rounding errors.
///
/// - Parameters:
///   - checkpoint: The model.
///   - selfTest: The tokens, `[N]`; checked by the rules of the format.
/// - Returns: `[N - 1]` natural logarithms, from a zero state, and bounds.
/// - Throws: `NeuralError` if parameters do not fit or memory is short.
public func replay(_ checkpoint: Checkpoint, _ selfTest: SelfTest) throws -> Replay {
  let network = try RecurrentModel(
    architecture: checkpoint.architecture, parameters: checkpoint.parameters)
  let ids = selfTest.tokenIDs.map { Int32(clamping: $0) }
  var state = network.zeroState(columns: 1)
  let hidden = try network.hiddenStates(inputs: Array(ids.dropLast()), state: &state)
  let values = try network.outputLogProbabilities(
    ofTargets: Array(ids.dropFirst()), hiddenStates: hidden)
  let magnitudes = try LogitMagnitudes(
    architecture: checkpoint.architecture, parameters: checkpoint.parameters)
  return Replay(
    logProbabilities: values.map { Double($0) },
    roundings: magnitudes.largest(hiddenStates: hidden).map {
      // The engine computes in f32.
      Replay.rounding(magnitude: $0, terms: magnitudes.terms, unit: Double(Float.ulpOfOne) / 2)
    })
}

extension SelfTest {
  /// The number of tokens of a new self-test.
  private static let tokenCount = 17
  /// Tolerance: f32 differs from double precision by about 1e-6.
  private static let tolerance = 1e-4

  /// Makes a self-test: tokens from all over the vocabulary and their log-probabilities by the
  /// reference model in double precision, which are the same on every machine.
  ///
  /// - Returns: `nil` if the model's output is not finite.
  /// - Throws: `NeuralError` if parameters do not fit the architecture.
  public init?(of checkpoint: Checkpoint) throws {
    let V = checkpoint.architecture.vocabularySize
    // Multiples of the golden ratio: evenly spread and deterministic.
    let ids = (0..<Self.tokenCount).map { k in
      Int(Double(V) * (Double(k) * 0.618_033_988_749_895).truncatingRemainder(dividingBy: 1))
    }
    let model = try ReferenceModel(
      architecture: checkpoint.architecture, parameters: checkpoint.parameters)
    // Rounding to nine decimals removes the effect of the order of additions.
    let values = model.tokenLogProbabilities(of: ids).map { ($0 * 1e9).rounded() / 1e9 }
    guard values.allSatisfy({ $0.isFinite && $0 <= 0 }) else { return nil }
    self.init(
      tokenIDs: ids.map { UInt32($0) }, logProbabilities: values, producer: UnrollVersion.producer,
      arithmetic: "f64", tolerance: Self.tolerance, weightsDigest: checkpoint.weightsDigest)
  }
}
