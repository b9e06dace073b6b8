// Scores of a model that learns from each line after it was scored.

import UnrollFormat
import UnrollNeural
import UnrollTensors
import UnrollTokenization

/// A model that diverged while it learned from a text.
public struct AdaptationDiverged: Error, Sendable, CustomStringConvertible {
  /// The path of the text.
  public let path: String
  /// The line whose scores or gradient are not finite, from 1.
  public let line: Int
  /// The learning rate.
  public let learningRate: Double

  /// The line, the expectation, the finding, and the next step.
  public var description: String {
    "\(printable(path)): line \(line): expected a finite loss and gradient; found NaN or infinity\n"
      + "  fix: give a learning rate below \(learningRate); `unroll validate` checks the model itself"
  }
}

/// Scores lines with a model that takes a step of gradient descent on each line after it was scored (van
/// Schijndel & Linzen 2018, "A neural model of adaptation in reading").
///
/// Each line starts from a zero state. The optimizer is plain SGD on the mean loss of the line's predicted
/// tokens, through the whole line; gradients are not clipped.
public struct DynamicScoring: AdaptingScorer {
  /// The model before the text, for notes and its tokenizer.
  public let model: LanguageModel
  /// The learning rate.
  public let learningRate: Double
  /// The number of lines that the model has learned from.
  public private(set) var lineCount = 0
  private let source: Checkpoint
  private let learner: TrainableModel
  private var optimizer: Optimizer
  private let precision: Precision

  /// Prepares a model.
  ///
  /// - Parameters:
  ///   - checkpoint: The model; it stays as it is.
  ///   - path: Its path, for messages.
  ///   - learningRate: The learning rate, above 0.
  ///   - precision: The compute precision: f32 or bf16.
  /// - Throws: The errors of `LanguageModel.init`.
  public init(
    _ checkpoint: Checkpoint, path: String, learningRate: Double, precision: Precision = .float32
  ) throws {
    source = checkpoint
    self.learningRate = learningRate
    self.precision = precision
    model = try LanguageModel(checkpoint, path: path, precision: precision)
    learner = try TrainableModel(
      architecture: checkpoint.architecture, parameters: checkpoint.parameters,
      precision: precision)
    optimizer = Optimizer(
      .sgd, [.learningRate: learningRate], for: checkpoint.architecture)
  }

  /// The adaptation in words.
  public var description: String {
    "adapted at test time: a step of SGD after each line, learning rate \(learningRate)"
  }

  /// Scores a text line by line, and learns from each line.
  ///
  /// - Parameters:
  ///   - path: The text: a file, a gzip file, or `-` for standard input.
  ///   - settings: The settings; lines are independent, without windows and other models.
  ///   - body: Called with each line's score, which is that of the model before it, and the share of the text
  ///     that was read.
  /// - Throws: The errors of `LanguageModel.score(text:_:_:)`; `AdaptationDiverged`.
  public mutating func score(
    text path: String, _ settings: ScoreSettings = ScoreSettings(),
    _ body: (SentenceScore, _ fraction: Double?) throws -> Void
  ) throws {
    try score(text: path, settings, of: model, body)
  }

  mutating func predictions(
    ofLine line: Int, _ ids: [Int32], _ figures: PredictionFigures, path: String
  ) throws -> SentencePredictions {
    let found = try current().predictions(ofSentences: [ids], figures)[0]
    let diverged = AdaptationDiverged(path: path, line: line, learningRate: learningRate)
    // The model itself is to blame if it gives such numbers before it has learned anything.
    guard lineCount == 0 || found.logProbabilities.allSatisfy(\.isFinite) else { throw diverged }
    let read = [model.encoder.sentenceStartID].compactMap { $0 } + ids
    let targets = Array(read.dropFirst())
    guard !targets.isEmpty else { return found }
    var state = learner.zeroState(columns: 1)
    let loss = try learner.backpropagate(
      inputs: Array(read.dropLast()), targets: targets, state: &state)
    let norm = optimizer.gradientNorm(of: learner)
    guard loss.isFinite, norm.isFinite else { throw diverged }
    optimizer.step(learner, gradientNorm: norm)
    lineCount += 1
    return found
  }

  /// Returns the model with the weights so far.
  private func current() throws -> LanguageModel {
    guard lineCount > 0 else { return model }
    var current = model
    current.network = try RecurrentModel(
      architecture: source.architecture, parameters: learner.tensors, precision: precision)
    return current
  }

  /// Returns the model as it is after the text, with an entry in its history.
  ///
  /// - Parameter path: The text.
  /// - Returns: The checkpoint.
  /// - Throws: `FileError` if the text cannot be read again for its digest.
  public func adapted(toText path: String) throws -> Checkpoint {
    var checkpoint = source
    checkpoint.optimizer = nil
    checkpoint.training = nil
    checkpoint.parameters = learner.tensors
    checkpoint.provenance.append(
      ProvenanceEntry(
        operation: "adapt", tool: UnrollVersion.producer,
        arguments: "dynamic=\(learningRate)\nlines=\(lineCount)",
        inputs: ProvenanceEntry.input(try MappedFile(path: path))))
    return checkpoint
  }
}
