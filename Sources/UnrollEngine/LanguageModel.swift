// A checkpoint that is ready to run.

import UnrollFormat
import UnrollNeural
import UnrollTensors
import UnrollTokenization

/// A model whose log-probabilities are not numbers.
public struct NotFinite: Error, Sendable, CustomStringConvertible {
  /// The model's path.
  public let path: String

  /// What was expected, what was found, and what to do.
  public var description: String {
    """
    \(path): expected finite log-probabilities; found NaN or infinity
      fix: the weights hold or lead to numbers that are not finite; `unroll validate` checks the file
    """
  }
}

/// A language model: the network and the tokens that it speaks.
public struct LanguageModel: Sendable {
  /// The path that it came from, for messages.
  public let path: String
  /// Turns text into token ids.
  public let encoder: Encoder
  let network: RecurrentModel

  /// Makes a checkpoint ready to run: packs its weights.
  ///
  /// - Throws: `NeuralError` if the weights cannot be packed; `TextError` if the tokenizer
  ///   cannot be used.
  public init(_ checkpoint: Checkpoint, path: String) throws {
    self.path = path
    encoder = try Self.encoder(of: checkpoint, path: path)
    network = try RecurrentModel(
      architecture: checkpoint.architecture, parameters: checkpoint.parameters)
  }

  /// What turns text into a checkpoint's token ids.
  ///
  /// - Throws: `TextError` if the tokenizer needs a token that the vocabulary lacks, or is one that
  ///   this version does not have.
  public static func encoder(of checkpoint: Checkpoint, path: String) throws -> Encoder {
    try Encoder(vocabulary: checkpoint.vocabulary, tokenizer: checkpoint.tokenizer, path: path)
  }

  /// The log-probabilities of a sentence's tokens, each given those before it.
  ///
  /// The state is zero and the first token follows the one that sentences start from.
  ///
  /// - Parameter ids: The tokens, `[T]`.
  /// - Returns: `[T]` natural logarithms, or `[T - 1]` where sentences start from nothing: the first
  ///   token is then not predicted.
  /// - Throws: `NeuralError` if memory is short.
  public func logProbabilities(ofSentence ids: [Int32]) throws -> [Float] {
    var state = network.zeroState(columns: 1)
    let targets = encoder.sentenceStartID == nil ? ids.dropFirst() : ids[...]
    let inputs = ([encoder.sentenceStartID].compactMap { $0 } + ids).prefix(targets.count)
    return try stride(from: 0, to: targets.count, by: Self.window).flatMap { start in
      let end = min(start + Self.window, targets.count)
      return try network.logProbabilities(
        ofTargets: Array(targets.dropFirst(start).prefix(end - start)),
        inputs: Array(inputs[start..<end]), state: &state)
    }
  }

  /// Rows of a window where the length changes nothing but memory and speed.
  static let window = 256
}
