// One step of a training.

import UnrollFormat
import UnrollNeural

extension TrainingRun {
  mutating func step() throws -> StepReport {
    let windows = nextWindows
    let row =
      windows.last.map { sentences?.cursor(after: $0, rows: rows) ?? $0.upperBound }
      ?? state.data.cursor
    let predictions = windows.reduce(0) { $0 + $1.count } * state.data.columns
    var next = carried
    let loss = try backpropagate(windows, predictions: predictions, state: &next)
    let owned = optimizer.owned
    let squares =
      try owned?.squares(optimizer.trained, of: model, over: crew.group) ?? [:]
    let norm = optimizer.gradientNorm(of: model, squares: squares)
    guard norm.isFinite else {
      try gatherGradients()
      throw diverged("gradient")
    }
    var multiplier = state.schedule.multiplier(step: state.step + 1, epoch: state.epoch)
    if state.data.windowKind == .random {
      multiplier *= Double(windowLength) / Double(state.data.window)
    }
    let learningRate = learningRate * multiplier
    let trained = optimizer.trained
    optimizer.step(model, gradientNorm: norm, squares: squares, multiplier: multiplier)
    if let owned { try model.gatherParameters(trained, owned: owned, over: crew.group) }
    carried = next
    state.step += 1
    state.tokensSeen += predictions
    state.data.cursor = row
    state.data.totalNLL += loss * Double(predictions)
    return StepReport(
      step: state.step, epoch: state.epoch + 1, loss: loss, gradientNorm: norm,
      learningRate: learningRate, predictions: predictions)
  }

  /// Gathers the gradients of the last step that are divided among ranks.
  func gatherGradients() throws {
    guard let owned = optimizer.owned else { return }
    try model.gatherGradients(optimizer.trained, owned: owned, over: crew.group)
  }

  /// The rows of the windows of the next step.
  private var nextWindows: [Range<Int>] {
    if let sentences { return sentences.next(from: state.data.cursor, count: state.accumulation) }
    var windows: [Range<Int>] = []
    var row = state.data.cursor
    let length = windowLength
    while windows.count < state.accumulation, row < rows - 1 {
      let end = min(row + length, rows - 1)
      windows.append(row..<end)
      row = end
    }
    return windows
  }

  /// The BPTT length of the next step.
  private var windowLength: Int {
    guard state.data.windowKind == .random else { return state.data.window }
    return randomWindow(around: state.data.window, step: state.step, seed: state.seed ?? 0)
  }
}
