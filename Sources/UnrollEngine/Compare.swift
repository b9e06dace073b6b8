// Two models side by side: read from any format, and their numbers on a text.

import UnrollFormat
import UnrollInterchange
import UnrollTensors
import UnrollTokenization

/// Two models that are to be compared.
public struct ModelPair: Sendable {
  /// The models.
  public let checkpoints: [Checkpoint]
  /// Whether each file has tokens of its own, and not those of the other one.
  public let areTokensKnown: Bool
  /// Whether both are checkpoints, which alone have a history.
  public let isMetadataKnown: Bool

  /// Reads two models of any format.
  ///
  /// A foreign file without tokens takes those of the other model, or of the options.
  ///
  /// - Parameters:
  ///   - paths: The two files.
  ///   - options: What foreign files do not say.
  ///   - reader: Runs libhdf5.
  /// - Throws: What `convert` throws.
  public init(
    _ paths: [String], options: ConversionOptions, reader: ContainerReader = .inProcess
  ) throws {
    let files = try paths.map { try MappedFile(path: $0) }
    // Checkpoints first: a foreign file may need their tokens.
    var models = try files.map { file in
      try checkpointExamination(of: file, reader: reader).map { try Checkpoint($0) }
    }
    let known = models.compactMap { $0 }.first
    isMetadataKnown = !models.contains { $0 == nil }
    var given = ReadingOptions(
      vocabulary: try options.tokens { _ in }.vocabulary, nonlinearity: options.nonlinearity)
    given.reader = reader
    areTokensKnown = isMetadataKnown || given.vocabulary != nil
    given.vocabulary = given.vocabulary ?? known?.vocabulary
    given.nonlinearity =
      given.nonlinearity ?? known?.architecture.layers.first { $0.cell == .rnn }?.activation
    for (index, file) in files.enumerated() where models[index] == nil {
      models[index] = try foreignFormat(of: file, reader: reader).read(file, options: given)
        .checkpoint
    }
    checkpoints = models.compactMap { $0 }
  }

  /// What is different between them.
  public var difference: ModelDifference {
    ModelDifference(
      checkpoints[0], checkpoints[1], areTokensKnown: areTokensKnown,
      isMetadataKnown: isMetadataKnown)
  }
}

/// How two models differ on a text, whose lines are taken as sentences of their own.
public struct TextDifference: Sendable {
  /// The predictions compared.
  public var predictions = 0
  /// The mean negative log-likelihood of a token in nats, of each model.
  public var nll = [0.0, 0.0]
  /// The mean absolute difference of a log-probability, in nats.
  public var mean = 0.0
  /// The largest absolute difference of a log-probability, in nats.
  public var largest = 0.0

  /// Compares the log-probabilities of a text's tokens.
  ///
  /// - Parameters:
  ///   - models: Two models of the same tokens.
  ///   - path: The text.
  ///   - progress: Called with the number of predictions after each line.
  /// - Throws: `TextError` or `FileError` if the text cannot be used, `NeuralError` if memory is
  ///   short.
  public init(_ models: [LanguageModel], onText path: String, progress: (Int) -> Void) throws {
    var lines = try LineReader(path: path, lineEnds: models[0].encoder.tokenizer.lineEnds)
    while let line = try lines.next() {
      let values = try models.map { model in
        try model.logProbabilities(ofSentence: model.encoder.encode(line, path: path).ids)
      }
      for (x, y) in zip(values[0], values[1]) {
        let difference = abs(Double(x) - Double(y))
        mean += difference
        largest = max(largest, difference.isNaN ? .infinity : difference)
        nll[0] -= Double(x)
        nll[1] -= Double(y)
        predictions += 1
      }
      progress(predictions)
    }
    let count = Double(max(predictions, 1))
    mean /= count
    nll = nll.map { $0 / count }
  }
}
