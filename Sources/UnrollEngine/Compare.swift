// Two models side by side, read from any format.

import UnrollFormat
import UnrollHDF5
import UnrollInterchange
import UnrollTensors
import UnrollTokenization

/// Two models to compare.
public struct ModelPair: Sendable {
  /// The models.
  public let checkpoints: [Checkpoint]
  /// `true` if each file has tokens of its own rather than those of the other file.
  public let areTokensKnown: Bool
  /// `true` if both are checkpoints; other formats have no training history.
  public let isMetadataKnown: Bool

  /// Reads two models of any format.
  ///
  /// A foreign file without tokens takes those of the other model, or of the options.
  ///
  /// - Parameters:
  ///   - paths: The two files.
  ///   - options: Information that foreign files lack.
  ///   - reader: Runs libhdf5.
  /// - Throws: The errors of `convert`.
  public init(
    _ paths: [String], options: ConversionOptions, reader: ContainerReader = .inProcess
  ) throws {
    let files = try paths.map { try MappedFile(path: ModelLocation($0).path) }
    // Checkpoints first: a foreign file may need their tokens.
    var models = try files.map { file in
      try checkpointExamination(of: file, reader: reader).map { try Checkpoint($0) }
    }
    let known = models.compactMap { $0 }.first
    isMetadataKnown = !models.contains { $0 == nil }
    var options = options
    var tokens = KnownTokens(
      tokenizer: Tokenizer(), vocabulary: try options.tokens { _ in }.vocabulary,
      leavesLinesOpen: false)
    areTokensKnown = isMetadataKnown || tokens.vocabulary != nil
    tokens.vocabulary = tokens.vocabulary ?? known?.vocabulary
    options.nonlinearity =
      options.nonlinearity ?? known?.architecture.layers.first { $0.cell == .rnn }?.activation
    for (index, file) in files.enumerated() where models[index] == nil {
      let format = try foreignFormat(of: file, reader: reader)
      models[index] = try format.read(
        file, options: options.readingOptions(of: file, format, tokens: tokens, reader: reader)
      ).checkpoint
    }
    checkpoints = models.compactMap { $0 }
  }

  /// The differences between the two models.
  public var difference: ModelDifference {
    ModelDifference(
      checkpoints[0], checkpoints[1], areTokensKnown: areTokensKnown,
      isMetadataKnown: isMetadataKnown)
  }
}
