// What `inspect` shows of a training that can go on.

import Foundation
import UnrollFormat
import UnrollTensors

/// An optimizer and where its training is.
struct TrainingReport: Encodable {
  struct Group: Encodable {
    let parameters: Int
    let learningRate: Double
    let momentum: Double
    let weightDecay: Double
    let clipNorm: Double?
  }

  struct Best: Encodable {
    let step: Int
    let validNLL: Double
    /// `nil` beyond the largest number.
    let validPerplexity: Double?
  }

  let optimizer: String
  let groups: [Group]
  let slots: [String]
  let step: Int
  let epoch: Int
  let cursor: Int
  let columns: Int
  let window: Int
  let evaluations: Int
  let best: Best?
  let inexactReason: String?

  /// The report of a checkpoint, or `nil` if it is not in training.
  init?(_ checkpoint: Checkpoint) {
    guard let optimizer = checkpoint.optimizer, let training = checkpoint.training else {
      return nil
    }
    self.optimizer = optimizer.kind.rawValue
    groups = optimizer.groups.map {
      Group(
        parameters: $0.parameters.count, learningRate: $0.learningRate, momentum: $0.momentum,
        weightDecay: $0.weightDecay, clipNorm: $0.clipNorm)
    }
    slots = optimizer.slots.keys.sorted()
    step = training.step
    epoch = training.epoch
    cursor = training.data.cursor
    columns = training.data.columns
    window = training.data.window
    evaluations = training.history.count
    best = training.best.map {
      let perplexity = exp($0.validNLL)
      return Best(
        step: $0.step, validNLL: $0.validNLL,
        validPerplexity: perplexity.isFinite ? perplexity : nil)
    }
    inexactReason = training.inexactReason
  }

  /// The report for people.
  var lines: [String] {
    let place =
      "step \(Output.grouped(step)), \(Output.grouped(epoch)) epoch(s) done, "
      + "row \(Output.grouped(cursor)) of \(columns) columns, windows of \(window)"
    let evaluated = "\(Output.grouped(evaluations)) time(s)" + (best.map(bestText) ?? "")
    let inexact = inexactReason.map { ["  inexact     \(printable($0))"] } ?? []
    return groups.map(groupText) + ["  place       \(place)", "  evaluated   \(evaluated)"]
      + inexact
  }

  private func groupText(_ group: Group) -> String {
    let clip = group.clipNorm.map { "norm clipped to \($0)" } ?? "not clipped"
    return
      "  \(optimizer)         learning rate \(group.learningRate), momentum \(group.momentum), "
      + "weight decay \(group.weightDecay), \(clip), \(group.parameters) parameter(s)"
  }

  private func bestText(_ best: Best) -> String {
    String(format: ", best nll %.4f, perplexity %.2f", best.validNLL, exp(best.validNLL))
      + " after step \(Output.grouped(best.step))"
  }
}
