// The learning curve that a checkpoint in training holds.

import Foundation
import UnrollFormat
import UnrollReport
import UnrollTensors

/// The evaluations of a training, oldest first.
struct LearningCurve: Encodable {
  /// An evaluation; a number that is not finite is `nil`.
  struct Evaluation: Encodable {
    let epoch: Double
    let step: Int
    let learningRate: Double
    let trainNLL: Double?
    let validNLL: Double?
    let validPerplexity: Double?
    /// `true` for the best evaluation of the training.
    let best: Bool

    init(_ record: TrainingRecord, isBest: Bool) {
      (epoch, step, best) = (record.epoch, record.step, isBest)
      learningRate = record.learningRate
      trainNLL = record.trainNLL.isFinite ? record.trainNLL : nil
      validNLL = record.validNLL.isFinite ? record.validNLL : nil
      let perplexity = Elementary.exp(record.validNLL)
      validPerplexity = perplexity.isFinite ? perplexity : nil
    }
  }

  let evaluations: [Evaluation]

  /// Creates the curve of a training.
  init(_ training: TrainingState) {
    let history = training.history
    let best = training.best.flatMap { best in
      history.lastIndex { $0.step == best.step && $0.validNLL == best.validNLL }
        ?? history.lastIndex { $0.step == best.step }
    }
    evaluations = history.enumerated().map { Evaluation($1, isBest: $0 == best) }
  }

  func encode(to encoder: any Encoder) throws {
    try evaluations.encode(to: encoder)
  }

  // MARK: Table

  /// The maximum number of rows of the table.
  static let rowLimit = 20

  /// The indices of the evaluations in the table: evenly chosen, with the first, the best and the last.
  var shown: [Int] {
    Array(evaluations.indices).evenly(
      Self.rowLimit, keeping: evaluations.firstIndex(where: \.best))
  }

  /// The section of the report, without its title.
  var lines: [String] {
    let areWhole = evaluations.allSatisfy { $0.epoch == $0.epoch.rounded() }
    let rows = shown.map { index in
      let evaluation = evaluations[index]
      return [
        String(printf: areWhole ? "%.0f" : "%.2f", evaluation.epoch),
        Output.grouped(evaluation.step), TextLayout.number(evaluation.learningRate),
        Self.loss(evaluation.trainNLL), Self.loss(evaluation.validNLL),
        Self.perplexity(evaluation.validPerplexity), evaluation.best ? "best" : "",
      ]
    }
    let head = [
      "epoch", "step", "learning rate", "train loss", "validation loss", "perplexity", "",
    ]
    let choice =
      shown.count < evaluations.count
      ? [
        "  \(shown.count) of \(Output.grouped(evaluations.count)) evaluations, evenly chosen, with "
          + "the first, best and last;", "  --json has all",
      ] : []
    return choice + TextLayout.table(head, rows, textColumns: [6]).map { "  " + $0 }
  }

  /// Returns a loss for people; `-` for none.
  static func loss(_ value: Double?) -> String {
    value.map { abs($0) < 1e6 ? String(printf: "%.4f", $0 == 0 ? 0 : $0) : short($0) } ?? "-"
  }

  /// Returns a perplexity for people; `-` for none, as if it is beyond the largest number.
  static func perplexity(_ value: Double?) -> String {
    value.map { $0 < 1e6 ? String(printf: "%.2f", $0) : short($0) } ?? "-"
  }

  private static func short(_ value: Double) -> String { String(printf: "%.3g", value) }

  // MARK: Figure

  /// The losses by step; `nil` for fewer than two evaluations with a finite validation loss.
  var figure: Figure? { figure(retention: []) }

  /// Returns the losses by step, with those of a retention text.
  ///
  /// - Parameter retention: The losses of the retention text by step; empty for none.
  /// - Returns: The figure; `nil` for fewer than two evaluations with a finite validation loss.
  func figure(retention: [Figure.Point]) -> Figure? {
    func points(_ loss: (Evaluation) -> Double?) -> [Figure.Point] {
      evaluations.compactMap { evaluation in
        loss(evaluation).map { Figure.Point(x: Double(evaluation.step), y: $0) }
      }
    }
    let (train, valid) = (points(\.trainNLL), points(\.validNLL))
    let all = (train + valid + retention).map(\.y)
    guard valid.count > 1, let first = valid.first, let last = valid.last, first.x < last.x,
      let low = all.min(), let high = all.max()
    else { return nil }
    let margin = high > low ? (high - low) / 20 : max(abs(high) / 100, 1e-3)
    let best = evaluations.first(where: \.best)
    return Figure(
      title: "Learning curve",
      summary: "Validation loss from \(Self.loss(first.y)) to \(Self.loss(last.y)) over "
        + "\(counted(valid.count, "evaluation"))."
        + (best.map { " The best is at step \(Output.grouped($0.step))." } ?? ""),
      x: Figure.Axis(label: "step", range: first.x...last.x),
      y: Figure.Axis(
        label: "loss, in nats a token", range: (low - margin)...(high + margin)),
      series: [
        Figure.Series(name: "training loss", points: train),
        Figure.Series(name: "validation loss", points: valid),
        Figure.Series(name: "loss of the retention text", points: retention),
      ].filter { !$0.points.isEmpty },
      marks: best.map { [.x(Double($0.step), "best, step \(Output.grouped($0.step))")] } ?? [])
  }
}
