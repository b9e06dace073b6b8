// Several models beside each other: the result of `unroll report`.

import Foundation
import UnrollFormat
import UnrollReport
import UnrollTensors
import UnrollTokenization

/// A model of a comparison.
struct ComparedModel: Encodable {
  /// A parameter and the root of the sum of its squares.
  struct Norm: Encodable {
    let path: String
    /// `nil` if it is not finite.
    let norm: OrNull<Double>
  }

  let file: String
  let format: String
  let bytes: Int
  let parameterCount: Int
  /// The types of the tensors.
  let dtypes: [String]
  let cells: [String]
  let embeddingSize: Int
  let hiddenSizes: [Int]
  let tied: Bool
  let vocabularySize: Int
  /// `nil`, as is the tokenizer, for a file that does not list its tokens.
  let unit: OrNull<String>
  let tokenizer: OrNull<String>
  let licenses: [String]
  /// The steps that made the weights, the oldest first.
  let history: [String]
  let outcome: OrNull<String>
  let norms: [Norm]
  /// The evaluations of a training; none if the file is no state of one.
  let evaluations: [LearningCurve.Evaluation]
  /// The SHA-256 of the text that they are of.
  let validDigest: OrNull<String>

  /// Creates the description of a model.
  ///
  /// - Parameters:
  ///   - checkpoint: The model.
  ///   - report: Its report by `inspect`.
  init(_ checkpoint: Checkpoint, _ report: ModelReport) {
    file = report.file
    format = report.format
    bytes = report.bytes
    parameterCount = report.parameterCount
    dtypes = Set(report.parameters.map(\.dtype)).sorted()
    cells = report.layers.map(\.cell)
    embeddingSize = report.embeddingSize
    hiddenSizes = report.layers.map(\.hiddenSize)
    tied = report.tied
    vocabularySize = report.vocabularySize
    unit = OrNull(report.unit)
    tokenizer = OrNull(report.tokenizer)
    licenses = report.card[CardField.license.rawValue] ?? []
    history = report.provenance.map(\.operation)
    outcome = OrNull(report.provenance.last.flatMap { $0.outcome.isEmpty ? nil : $0.outcome })
    norms = checkpoint.architecture.parameters.compactMap { path, _ in
      checkpoint.parameters[path].map { Norm(path: path.description, norm: OrNull(Self.norm($0))) }
    }
    evaluations = report.training?.curve?.evaluations ?? []
    validDigest = OrNull(checkpoint.training?.data.validDigest)
  }

  private static func norm(_ tensor: Tensor) -> Double? {
    let norm = tensor.doubles.reduce(0) { $0 + $1 * $1 }.squareRoot()
    return norm.isFinite ? norm : nil
  }
}

/// Several models in the order of the command line.
struct ComparedModels: Encodable {
  let models: [ComparedModel]
  /// `true` if all models have the same tokens; `nil` if a file does not list its own.
  let sameTokens: OrNull<Bool>
  /// `true` if all evaluations are of the same text; `nil` for fewer than two models with evaluations.
  let sameValidationText: OrNull<Bool>

  init(_ models: [ComparedModel], vocabularies: [Vocabulary]) {
    self.models = models
    sameTokens = OrNull(
      vocabularies.contains(where: \.isPlaceholder)
        ? nil : vocabularies.allSatisfy { Self.areEqual($0, vocabularies[0]) })
    let digests = models.filter { !$0.evaluations.isEmpty }.map(\.validDigest.value)
    sameValidationText = OrNull(digests.count > 1 ? Set(digests).count == 1 : nil)
  }

  private static func areEqual(_ one: Vocabulary, _ other: Vocabulary) -> Bool {
    one.count == other.count && (0..<one.count).allSatisfy { one[$0].elementsEqual(other[$0]) }
  }

  /// The reasons why losses of these models cannot be compared as they are.
  var warnings: [String] {
    [
      sameTokens.value == false
        ? "the models have other tokens: losses in nats a token cannot be compared" : nil,
      sameTokens.value == nil
        ? "a file does not list its tokens: losses can be compared only between models of the same tokens"
        : nil,
      sameValidationText.value == false
        ? "the models were validated on other texts: their learning curves cannot be compared"
        : nil,
    ].compactMap { $0 }
  }

  /// The validation losses of all models by step; `nil` if no model has two evaluations.
  var figure: Figure? {
    let series = models.compactMap { model -> Figure.Series? in
      let points = model.evaluations.compactMap { evaluation in
        evaluation.validNLL.map { Figure.Point(x: Double(evaluation.step), y: $0) }
      }
      return points.count > 1 ? Figure.Series(name: printable(model.file), points: points) : nil
    }
    let all = series.flatMap(\.points)
    guard let first = all.map(\.x).min(), let last = all.map(\.x).max(), first < last,
      let low = all.map(\.y).min(), let high = all.map(\.y).max()
    else { return nil }
    let margin = high > low ? (high - low) / 20 : max(abs(high) / 100, 1e-3)
    return Figure(
      title: series.count == 1 ? "Learning curve of \(series[0].name)" : "Learning curves",
      summary: "Validation losses of \(counted(series.count, "model")), from "
        + "\(LearningCurve.loss(low)) to \(LearningCurve.loss(high)).",
      x: Figure.Axis(label: "step", range: first...last),
      y: Figure.Axis(
        label: "validation loss, in nats a token", range: (low - margin)...(high + margin)),
      series: series)
  }
}
