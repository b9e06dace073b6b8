// The log of a training: a JSON object for each step and each evaluation.

import Foundation
import UnrollEngine
import UnrollFormat
import UnrollTensors

/// A step in the log.
struct StepLine: Encodable {
  let event = "step"
  let step: Int
  let epoch: Int
  let loss: Double
  let gradientNorm: Double
  let learningRate: Double
  let tokensPerSecond: Double

  /// The values by their names in TensorBoard.
  var scalars: [(String, Double)] {
    [
      ("train/loss", loss), ("train/gradient_norm", gradientNorm),
      ("train/learning_rate", learningRate), ("train/tokens_per_second", tokensPerSecond),
    ]
  }

  init(_ report: StepReport, seconds: Double) {
    step = report.step
    epoch = report.epoch
    loss = report.loss
    gradientNorm = report.gradientNorm
    learningRate = report.learningRate
    tokensPerSecond = Double(report.predictions) / seconds
  }
}

/// The step at which a resumed training continues, in the log.
struct ResumeLine: Encodable {
  let event = "resumed"
  let step: Int
}

/// An evaluation in the log.
struct EvaluationLine: Encodable {
  let event = "evaluation"
  let step: Int
  let epoch: Double
  let learningRate: Double
  let trainNLL: Double?
  let validNLL: Double
  let best: Bool
  var retentionNLL: Double?
  /// The generated text behind the prompt of `--sample`.
  var sample: String?

  /// The values by their names in TensorBoard.
  var scalars: [(String, Double)] {
    [("valid/nll", validNLL), ("valid/perplexity", Elementary.exp(validNLL))]
      + (retentionNLL.map {
        [("retention/nll", $0), ("retention/perplexity", Elementary.exp($0))]
      } ?? [])
  }

  init(_ record: TrainingRecord, isBest: Bool) {
    (step, epoch) = (record.step, record.epoch)
    learningRate = record.learningRate
    trainNLL = record.trainNLL.isNaN ? nil : record.trainNLL
    validNLL = record.validNLL
    best = isBest
  }
}

/// The encoder of log lines.
let trainingEncoder = {
  let encoder = JSONEncoder()
  encoder.keyEncodingStrategy = .convertToSnakeCase
  encoder.outputFormatting = [.sortedKeys]
  return encoder
}()

/// A file of JSON objects, one per line.
struct TrainingLog {
  private let file: OpenFile

  /// Opens the file.
  ///
  /// - Throws: `FileError` if the file cannot be opened, or its last line cannot be ended.
  init(path: String, appending: Bool) throws {
    try makeFolder(OutputOptions.folder(of: path))
    file = try OpenFile(path, O_CREAT | (appending ? O_APPEND : O_TRUNC))
    // A run that was killed may have written a part of a line.
    guard let written = try? MappedFile(path: path), written.count > 0,
      written.copy(written.count - 1..<written.count) != [UInt8(ascii: "\n")]
    else { return }
    try file.write([UInt8(ascii: "\n")])
  }

  /// Appends a line.
  ///
  /// - Throws: `FileError` if the line cannot be written.
  func write(_ line: some Encodable) throws {
    try file.write(try trainingEncoder.encode(line) + [UInt8(ascii: "\n")])
  }
}
