// The report of `inspect` on resumable training state.

import Foundation
import UnrollFormat
import UnrollTensors

/// An optimizer and the progress of its training.
struct TrainingReport: Encodable {
  struct Group: Encodable {
    let parameters: Int
    let steps: Int
    let frozen: Bool
    /// The values by their names in the file.
    let hyperparameters: [String: Double]
    let weightDecayKind: String
    let clip: String?

    init(_ group: ParameterGroup) {
      (parameters, steps, frozen) = (group.parameters.count, group.step, group.isFrozen)
      hyperparameters = Dictionary(
        uniqueKeysWithValues: group.hyperparameters.map { ($0.key.rawValue, $0.value) })
      weightDecayKind = group.weightDecayKind.rawValue
      clip = group.clip?.description
    }
  }

  struct Best: Encodable {
    let step: Int
    let validNLL: Double
    /// `nil` if it overflows.
    let validPerplexity: Double?
  }

  let optimizer: String
  let groups: [Group]
  let slots: [String]
  let step: Int
  /// `nil`, as below, for an optimizer without training state.
  let epoch: Int?
  let cursor: Int?
  let columns: Int?
  let window: Int?
  let evaluations: Int?
  let best: Best?
  let inexactReason: String?

  /// Creates the report of a checkpoint, or `nil` if it has no optimizer.
  init?(_ checkpoint: Checkpoint) {
    guard let optimizer = checkpoint.optimizer else { return nil }
    let training = checkpoint.training
    self.optimizer = optimizer.kind.rawValue
    groups = optimizer.groups.map(Group.init)
    slots = optimizer.slots.keys.sorted().map(\.rawValue)
    step = training?.step ?? optimizer.step
    epoch = training?.epoch
    cursor = training?.data.cursor
    columns = training?.data.columns
    window = training?.data.window
    evaluations = training?.history.count
    best = training?.best.map {
      let perplexity = Elementary.exp($0.validNLL)
      return Best(
        step: $0.step, validNLL: $0.validNLL,
        validPerplexity: perplexity.isFinite ? perplexity : nil)
    }
    inexactReason = training?.inexactReason
  }

  /// The report as text.
  var lines: [String] {
    guard let epoch, let cursor, let columns, let window, let evaluations else {
      return groups.map(groupText) + ["  position    step \(Output.grouped(step)), without a text"]
    }
    let place =
      "step \(Output.grouped(step)), \(Output.grouped(epoch)) epoch(s) done, "
      + "token \(Output.grouped(cursor)) of each stream, batch size \(columns), BPTT length \(window)"
    let evaluated = "\(Output.grouped(evaluations)) time(s)" + (best.map(bestText) ?? "")
    let inexact = inexactReason.map { ["  inexact     \(printable($0))"] } ?? []
    return groups.map(groupText) + ["  position    \(place)", "  evaluated   \(evaluated)"]
      + inexact
  }

  private func groupText(_ group: Group) -> String {
    // Hyperparameters without effect are omitted.
    let numbers = Hyperparameter.allCases.map(\.rawValue).compactMap { name in
      group.hyperparameters[name].flatMap { value in
        value == 0 ? nil : "\(name.replacing("_", with: " ")) \(value)"
      }
    }
    let clip = group.clip.map { "clipped: \($0)" } ?? "not clipped"
    let parts = numbers + [clip, counted(group.parameters, "parameter")]
    return "  \(optimizer.padding(toLength: 12, withPad: " ", startingAt: 0))"
      + (parts + (group.frozen ? ["frozen"] : [])).joined(separator: ", ")
  }

  private func bestText(_ best: Best) -> String {
    String(format: ", best nll %.4f, perplexity %.2f", best.validNLL, Elementary.exp(best.validNLL))
      + " after step \(Output.grouped(best.step))"
  }
}
