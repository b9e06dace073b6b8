// The report of `inspect` on resumable training state.

import Foundation
import UnrollFormat
import UnrollReport
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
    fileprivate let clipText: String?

    private enum CodingKeys: CodingKey {
      case parameters, steps, frozen, hyperparameters, weightDecayKind, clip
    }

    init(_ group: ParameterGroup) {
      (parameters, steps, frozen) = (group.parameters.count, group.step, group.isFrozen)
      hyperparameters = Dictionary(
        uniqueKeysWithValues: group.hyperparameters.map { ($0.key.rawValue, $0.value) })
      weightDecayKind = group.weightDecayKind.rawValue
      (clip, clipText) = (group.clip?.description, group.clip?.text)
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
  let curve: LearningCurve?
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
    curve = training.map(LearningCurve.init)
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
    rows.flatMap {
      TextLayout.wrapped(label($0.name), $0.parts, separator: $0.isSentence ? " " : ", ")
    }
  }

  /// A part of the report under a name.
  struct Row {
    let name: String
    /// The parts between which a line may end.
    let parts: [String]
    /// `true` if the parts are words of a text.
    var isSentence = false

    /// The parts in one line.
    var text: String { parts.joined(separator: isSentence ? " " : ", ") }
  }

  /// The parts of the report.
  var rows: [Row] {
    let optimizer = groups.map { Row(name: self.optimizer, parts: parts(of: $0)) }
    guard let epoch, let cursor, let columns, let window, let evaluations else {
      return optimizer + [
        Row(name: "position", parts: ["step \(Output.grouped(step)), without a text"])
      ]
    }
    let position = Row(
      name: "position",
      parts: [
        "step \(Output.grouped(step))", "\(counted(epoch, "epoch")) done",
        "token \(Output.grouped(cursor)) of each stream", "batch size \(columns)",
        "BPTT length \(window)",
      ])
    let evaluated = Row(
      name: "evaluated", parts: [counted(evaluations, "time")] + (best.map(parts(of:)) ?? []))
    let inexact = inexactReason.map {
      Row(name: "inexact", parts: TextLayout.words(of: printable($0)), isSentence: true)
    }
    return optimizer + [position, evaluated] + [inexact].compactMap { $0 }
  }

  private func label(_ name: String) -> String { "  " + name.rightPadded(to: 12) }

  private func parts(of group: Group) -> [String] {
    // Hyperparameters without effect are omitted.
    let numbers = Hyperparameter.allCases.map(\.rawValue).compactMap { name in
      group.hyperparameters[name].flatMap { value in
        value == 0 ? nil : "\(name.replacing("_", with: " ")) \(TextLayout.number(value))"
      }
    }
    let clip = group.clipText.map { "clipped: \($0)" } ?? "not clipped"
    return numbers + [clip, counted(group.parameters, "parameter")]
      + (group.frozen ? ["frozen"] : [])
  }

  private func parts(of best: Best) -> [String] {
    [
      "best loss \(LearningCurve.loss(best.validNLL))",
      "perplexity \(LearningCurve.perplexity(best.validPerplexity))",
      "after step \(Output.grouped(best.step))",
    ]
  }
}

extension GradientClip {
  /// The clipped quantity and its bound, rounded for people.
  fileprivate var text: String {
    switch self {
    case .globalNorm(let bound): "norm \(TextLayout.number(bound))"
    case .parameterNorm(let bound): "norm of each parameter \(TextLayout.number(bound))"
    case .value(let bound): "value \(TextLayout.number(bound))"
    }
  }
}
