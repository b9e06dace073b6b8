// A checkpoint that is ready to run.

import UnrollFormat
import UnrollNeural
import UnrollTensors
import UnrollTokenization

/// A language model: the network and the tokens that it speaks.
public struct LanguageModel: Sendable {
  /// The path that it came from, for messages.
  public let path: String
  /// Turns text into token ids.
  public let encoder: Encoder
  let network: RecurrentModel

  /// Makes a checkpoint ready to run: packs its weights.
  ///
  /// - Throws: `NeuralError` if the weights cannot be packed; `TextError` if the vocabulary has no
  ///   end-of-sentence token.
  public init(_ checkpoint: Checkpoint, path: String) throws {
    self.path = path
    encoder = try Encoder(
      vocabulary: checkpoint.vocabulary, tokenizer: checkpoint.tokenizer, path: path)
    network = try RecurrentModel(
      architecture: checkpoint.architecture, parameters: checkpoint.parameters)
  }

  /// The log-probabilities of a sentence's tokens, each given those before it.
  ///
  /// The state is zero and the first token follows an end-of-sentence token.
  ///
  /// - Parameter ids: The tokens, `[T]`.
  /// - Returns: `[T]` natural logarithms.
  /// - Throws: `NeuralError` if memory is short.
  public func logProbabilities(ofSentence ids: [Int32]) throws -> [Float] {
    guard !ids.isEmpty else { return [] }
    var state = network.zeroState(columns: 1)
    return try network.logProbabilities(
      ofTargets: ids, inputs: [encoder.endOfSentenceID] + ids.dropLast(), state: &state)
  }
}
