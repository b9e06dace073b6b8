// The learning curve on a page: of `train`, `finetune` and `inspect`.

import Foundation
import UnrollReport
import UnrollTensors

extension LearningCurve {
  /// The figures and the table of the evaluations.
  var blocks: [Document.Block] { blocks(retention: []) }

  /// Returns the figures and the table of the evaluations.
  ///
  /// - Parameter retention: The losses of the retention text by step; empty for none.
  /// - Returns: The blocks.
  func blocks(retention: [Figure.Point]) -> [Document.Block] {
    guard !evaluations.isEmpty else { return [.paragraph("There is no evaluation yet.")] }
    let losses: [Document.Block] =
      figure(retention: retention).map { [.figure($0)] } ?? [
        .paragraph("A curve needs two evaluations.")
      ]
    return losses + (learningRates.map { [.figure($0)] } ?? []) + [.table(table)]
  }

  /// The best validation loss and its step, and the last one; empty without evaluations.
  var highlights: [Document.Fact] {
    guard let last = evaluations.last else { return [] }
    let best = evaluations.first(where: \.best)
    let ofBest =
      best.map { best in
        [
          Document.Fact("best validation loss", Self.loss(best.validNLL)),
          Document.Fact("its perplexity", Self.perplexity(best.validPerplexity)),
          Document.Fact("its step", Output.grouped(best.step)),
        ]
      } ?? []
    return ofBest + [
      Document.Fact("last validation loss", Self.loss(last.validNLL)),
      Document.Fact("steps", Output.grouped(last.step)),
    ]
  }

  /// The learning rate by step; `nil` if it does not change.
  private var learningRates: Figure? {
    let points = evaluations.map { Figure.Point(x: Double($0.step), y: $0.learningRate) }
    guard let first = points.first, let last = points.last, first.x < last.x,
      let low = points.map(\.y).min(), let high = points.map(\.y).max(), low < high
    else { return nil }
    return Figure(
      title: "Learning rate",
      summary: "From \(TextLayout.number(first.y)) to \(TextLayout.number(last.y)).",
      x: Figure.Axis(label: "step", range: first.x...last.x),
      y: Figure.Axis(label: "learning rate", range: 0...(high * 1.05)),
      series: [Figure.Series(name: "learning rate", points: points)])
  }

  private var table: Table {
    Table(
      "Evaluations; losses in nats a token",
      [
        .number("epoch"), .number("step"), .number("learning rate"), .number("training loss"),
        .number("validation loss"), .number("perplexity"), .text("best"),
      ],
      evaluations.map { evaluation in
        [
          String(printf: "%.2f", evaluation.epoch), Output.grouped(evaluation.step),
          TextLayout.number(evaluation.learningRate), Self.loss(evaluation.trainNLL),
          Self.loss(evaluation.validNLL), Self.perplexity(evaluation.validPerplexity),
          evaluation.best ? "best" : "",
        ]
      })
  }
}
