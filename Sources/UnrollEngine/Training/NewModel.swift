// A new model: sizes, tokens and initial weights.

import Foundation
import UnrollFormat
import UnrollInterchange
import UnrollNeural
import UnrollTensors
import UnrollTokenization

/// The settings of a new model.
public struct NewModel: Sendable {
  /// The cell of all recurrent layers.
  public var cell = Cell.lstm
  /// The activation of the candidate state; `nil` for the cell's first.
  public var activation: Activation?
  /// Embedding size D.
  public var embeddingSize = 200
  /// Hidden size H of each layer.
  public var hiddenSizes = [200, 200]
  /// `true` if the output shares the embedding's weight.
  public var isTied = false
  /// The first token of each tail of an adaptive softmax; none for one softmax over all tokens.
  public var adaptiveCutoffs: [Int] = []
  /// The factor by which the projection of each tail is narrower than that of the one before.
  public var adaptiveFactor = 4.0
  /// Weight initialization.
  public var initialization = Initialization.wordLanguageModel
  /// The sum of the forget gates' biases; `nil` leaves them as initialized.
  public var forgetBias: Double?
  /// Random seed.
  public var seed: UInt32 = 1
  /// The sources of tokens and vectors, as `name=value` for the history.
  public var origins: [String] = []

  /// Creates word_language_model's default model.
  public init() {}

  /// The settings as lines for the history of a model.
  var arguments: String {
    (origins + [
      "cell=\(cell.rawValue)", "activation=\((activation ?? cell.facts.activations[0]).rawValue)",
      "embedding=\(embeddingSize)",
      "hidden=\(hiddenSizes.map(String.init).joined(separator: ","))", "tied=\(isTied ? 1 : 0)",
    ] + adaptiveArguments + [
      "initialization=\(initialization.rawValue)",
      "forget_bias=\(forgetBias.map { "\($0)" } ?? "drawn")", "model_seed=\(seed)",
    ]).joined(separator: "\n")
  }

  private var adaptiveArguments: [String] {
    adaptiveCutoffs.isEmpty
      ? []
      : [
        "adaptive_cutoffs=\(adaptiveCutoffs.map(String.init).joined(separator: ","))",
        "adaptive_factor=\(adaptiveFactor)",
      ]
  }

  /// Returns a model with initialized weights.
  ///
  /// - Parameters:
  ///   - vocabulary: Its tokens.
  ///   - tokenizer: The tokenizer.
  ///   - vectors: Pretrained embeddings of words; they replace initialized rows.
  ///   - memory: The maximum number of bytes of weights and gradients, by default the memory of the
  ///     machine.
  /// - Returns: The model; its history is empty.
  /// - Throws: `EngineError` if sizes do not fit each other, or the memory.
  public func checkpoint(
    vocabulary: Vocabulary, tokenizer: Tokenizer, vectors: WordVectors? = nil,
    memory: UInt64 = ProcessInfo.processInfo.physicalMemory
  ) throws -> Checkpoint {
    func refuse(_ option: String, _ expected: String, _ found: String, _ fix: String) -> Error {
      EngineError(path: option, expected: expected, found: found, fix: fix)
    }
    let last = hiddenSizes.last ?? embeddingSize
    guard !isTied || last == embeddingSize else {
      throw refuse(
        "--tied", "the last layer as wide as the embedding, \(embeddingSize)", "\(last)",
        "give --embedding-size \(last), or another --hidden-size")
    }
    if let activation, !cell.facts.activations.contains(activation) {
      throw refuse(
        "--activation", "\(cell.facts.activations[0].rawValue) for \(cell.rawValue)",
        activation.rawValue, "leave it out")
    }
    guard initialization != .irnn || cell == .rnn else {
      throw refuse(
        "--init irnn", "a vanilla RNN", cell.rawValue, "give --cell rnn")
    }
    var architecture = Architecture(
      vocabularySize: vocabulary.count, embeddingSize: embeddingSize,
      layers: zip([embeddingSize] + hiddenSizes, hiddenSizes).map {
        LayerArchitecture(
          cell: cell, inputSize: $0, hiddenSize: $1,
          activation: activation ?? cell.facts.activations[0], bias: cell.facts.biases[0])
      }, isTied: isTied)
    // As AWD-QRNN has it: only the gates of the first layer see two inputs.
    if cell.facts.hasInputWindow { architecture.layers[0].inputWindow = 2 }
    if !adaptiveCutoffs.isEmpty {
      guard let tails = architecture.tails(cutoffs: adaptiveCutoffs, factor: adaptiveFactor) else {
        throw refuse(
          "--adaptive-cutoffs",
          "ascending numbers from 1 to \(vocabulary.count - 1), few enough that the last projection has a width",
          "\(adaptiveCutoffs.map(String.init).joined(separator: ",")) with --adaptive-factor \(adaptiveFactor)",
          "give the first token of each tail, as 2000,10000, or a smaller factor")
      }
      architecture.tails = tails
    }
    // Each parameter has a weight and a gradient.
    let bytes = architecture.parameters.reduce(0.0) {
      $0 + 8 * $1.shape.dimensions.map(Double.init).reduce(1, *)
    }
    guard bytes <= Double(memory) else {
      throw refuse(
        "--embedding-size and --hidden-size",
        "weights and gradients of at most the \(memory >> 20) MiB of memory of this machine",
        String(printf: "%.0f MiB", bytes / 0x1p20), "give smaller ones")
    }
    var parameters = initialization.parameters(
      of: architecture, seed: seed, forgetBias: forgetBias)
    if let vectors, let drawn = parameters[.embeddingWeight] {
      parameters[.embeddingWeight] = vectors.rows(for: vocabulary, insteadOf: drawn)
    }
    var checkpoint = Checkpoint(
      architecture: architecture, parameters: parameters, vocabulary: vocabulary,
      tokenizer: tokenizer, provenance: [])
    checkpoint.tokenizer.probe = TokenizerProbe(of: checkpoint)
    return checkpoint
  }
}
