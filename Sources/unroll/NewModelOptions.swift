// Options of `train` for the model.

import ArgumentParser
import Foundation
import UnrollEngine
import UnrollFormat
import UnrollInterchange
import UnrollNeural
import UnrollTensors
import UnrollTokenization

/// The sizes and cells of a new model.
struct NewModelOptions: ParsableArguments {
  @Option(help: "Cell of all layers (default: lstm).")
  var cell: Cell?

  @Option(help: "Activation of a vanilla RNN: tanh or relu (default: tanh).")
  var activation: Activation?

  @Option(help: "Width of the embedding (default: 200, or that of --vectors).")
  var embeddingSize: Int?

  @Option(
    help: ArgumentHelp(
      "Width of all layers, or a list of widths, first layer first (default: 200).",
      valueName: "sizes"))
  var hiddenSize: String?

  @Option(help: "Number of layers of one --hidden-size (default: 2).")
  var numLayers: Int?

  @Flag(help: "Tie the output weight to the embedding.")
  var tied = false

  @Option(
    help: ArgumentHelp(
      "Adaptive softmax: the first token of each tail, in a vocabulary by frequency, as 2000,10000.",
      valueName: "tokens"))
  var adaptiveCutoffs: String?

  @Option(
    help: ArgumentHelp(
      "Factor by which each tail's projection is narrower (default: 4).", valueName: "x"))
  var adaptiveFactor: Double?

  @Option(
    name: .customLong("init"),
    help: ArgumentHelp(
      "Weight initialization: word_language_model, pytorch, orthogonal or irnn "
        + "(default: word_language_model)."))
  var initialization: Initialization?

  @Option(
    parsing: .unconditional,
    help: "Initial forget-gate bias of an LSTM (default: as initialized).")
  var forgetBias: Double?

  @Option(
    help: ArgumentHelp(
      "Pretrained embedding: word2vec, GloVe or fastText's .vec, also .gz.",
      valueName: "file"))
  var vectors: String?

  /// The files to read.
  var paths: [String] { [vectors].compactMap { $0 } }

  /// The source of the embedding rows, for the history.
  var origins: [String] { vectors == nil ? [] : ["embedding_rows=vectors"] }

  /// The hidden sizes of the layers; `nil` if no option gives them.
  private var sizes: [Int]? {
    guard hiddenSize != nil || numLayers != nil else { return nil }
    let list = (hiddenSize ?? "200").split(separator: ",", omittingEmptySubsequences: false)
    let sizes = list.map { Int($0) ?? 0 }
    return sizes.count == 1 ? Array(repeating: sizes[0], count: numLayers ?? 2) : sizes
  }

  /// The order of the tokens of a new vocabulary: the tails of an adaptive softmax are for rare ones.
  var vocabularyOrder: VocabularyOrder { adaptiveCutoffs == nil ? .firstSeen : .frequency }

  /// The first tokens of the tails; 0 for what is no number.
  private var cutoffs: [Int] {
    (adaptiveCutoffs?.split(separator: ",", omittingEmptySubsequences: false) ?? []).map {
      Int($0) ?? 0
    }
  }

  private func validateOutput() throws {
    guard cutoffs.allSatisfy({ $0 > 0 }), cutoffs.count <= 16,
      zip(cutoffs, cutoffs.dropFirst()).allSatisfy({ $0 < $1 })
    else {
      throw ValidationError(
        "--adaptive-cutoffs takes at most 16 numbers from 1 on, each larger than the one before, as 2000,10000."
      )
    }
    guard adaptiveFactor == nil || adaptiveCutoffs != nil else {
      throw ValidationError("--adaptive-factor is for a model with --adaptive-cutoffs.")
    }
    guard (1...1000).contains(adaptiveFactor ?? 4) else {
      throw ValidationError("--adaptive-factor is 1 to 1000.")
    }
    guard !tied || adaptiveCutoffs == nil else {
      throw ValidationError(
        "--tied shares one weight of all tokens, which --adaptive-cutoffs divides: leave one out.")
    }
  }

  func validate() throws {
    try validateOutput()
    let limit = 1...1_000_000
    guard (1...100).contains(numLayers ?? 1) else {
      throw ValidationError("--num-layers is 1 to 100.")
    }
    let sizes = sizes ?? []
    guard sizes.allSatisfy(limit.contains) else {
      throw ValidationError("--hidden-size takes numbers from 1 to 1,000,000, as 1150,1150,400.")
    }
    guard sizes.count <= 100 else { throw ValidationError("--hidden-size: at most 100 layers.") }
    guard numLayers == nil || numLayers == sizes.count else {
      throw ValidationError(
        "--num-layers \(numLayers ?? 0) contradicts --hidden-size, which lists \(sizes.count) layers."
      )
    }
    guard limit.contains(embeddingSize ?? 1) else {
      throw ValidationError("--embedding-size is 1 to 1,000,000.")
    }
    guard forgetBias == nil || (cell ?? .lstm).facts.mayHaveProjection else {
      throw ValidationError(
        "--forget-bias is for --cell lstm, not for \(cell?.rawValue ?? "").")
    }
    guard (forgetBias ?? 0).isFinite else { throw ValidationError("--forget-bias is finite.") }
  }

  /// Returns the vectors of the words of a vocabulary, if there is a file of them.
  ///
  /// - Throws: The errors of reading the file; `Refusal` if its vectors differ from the embedding
  ///   size.
  func wordVectors(for vocabulary: Vocabulary) throws -> WordVectors? {
    guard let vectors else { return nil }
    var progress = Progress()
    let found = try WordVectors(contentsOf: vectors, for: vocabulary) { fraction in
      progress.report { _ in
        "reading \(printable(vectors))"
          + (fraction.map { String(printf: ": %.0f %%", 100 * $0) } ?? "")
      }
    }
    progress.finish()
    guard embeddingSize == nil || embeddingSize == found.width else {
      throw Refusal(
        "\(printable(vectors)): expected vectors of \(embeddingSize ?? 0) numbers; found \(found.width)\n"
          + "  fix: leave --embedding-size out, or give other vectors")
    }
    Output.note(
      "note: \(Output.grouped(found.count)) of \(Output.grouped(vocabulary.count)) tokens have a vector"
    )
    return found
  }

  /// Returns the settings of the new model.
  func model(width: Int?, seed: UInt32?) -> NewModel {
    var model = NewModel()
    model.cell = cell ?? model.cell
    model.activation = activation
    model.embeddingSize = embeddingSize ?? width ?? model.embeddingSize
    model.hiddenSizes = sizes ?? model.hiddenSizes
    model.isTied = tied
    model.adaptiveCutoffs = cutoffs
    model.adaptiveFactor = adaptiveFactor ?? model.adaptiveFactor
    model.initialization = initialization ?? model.initialization
    model.forgetBias = forgetBias
    model.seed = seed ?? model.seed
    return model
  }
}
