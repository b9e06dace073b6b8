// The steps of a training on its page: losses, gradient norms and clipping.

import UnrollEngine
import UnrollFormat
import UnrollReport
import UnrollTensors

/// The steps of a run so far; neighbors are merged when there are many, so that memory does not grow with them.
struct StepCurve {
  /// Steps that are drawn as one point.
  private struct Bin {
    var first: Int
    var last: Int
    var count = 0
    var loss = 0.0
    var norm = 0.0
    var largestNorm = 0.0

    var middle: Double { (Double(first) + Double(last)) / 2 }

    mutating func add(_ other: Bin) {
      last = other.last
      count += other.count
      loss += other.loss
      norm += other.norm
      largestNorm = max(largestNorm, other.largestNorm)
    }
  }

  private var bins: [Bin] = []
  /// The number of steps of a full bin.
  private var binSize = 1
  private var count = 0
  private var clippedCount = 0

  /// The most bins.
  private static let binLimit = 240

  /// Adds a step.
  ///
  /// - Parameters:
  ///   - step: The step.
  ///   - clip: The clipping of the training.
  mutating func add(_ step: StepReport, _ clip: GradientClip?) {
    count += 1
    if case .globalNorm(let bound) = clip, step.gradientNorm > bound { clippedCount += 1 }
    let bin = Bin(
      first: step.step, last: step.step, count: 1, loss: step.loss, norm: step.gradientNorm,
      largestNorm: step.gradientNorm)
    if let last = bins.indices.last, bins[last].count < binSize {
      bins[last].add(bin)
      return
    }
    if bins.count == Self.binLimit {
      binSize *= 2
      bins = stride(from: 0, to: bins.count, by: 2).map { index in
        var merged = bins[index]
        if index + 1 < bins.count { merged.add(bins[index + 1]) }
        return merged
      }
    }
    bins.append(bin)
  }

  // MARK: Page

  /// The mean training loss by step.
  var losses: [Figure.Point] { bins.map { .init(x: $0.middle, y: $0.loss / Double($0.count)) } }

  /// The section; none without steps.
  ///
  /// - Parameter clip: The clipping of the training.
  /// - Returns: The section.
  func sections(_ clip: GradientClip?) -> [Document.Section] {
    guard let first = bins.first, let last = bins.last else { return [] }
    let merged =
      binSize > 1
      ? " A point is the mean, or the largest norm, of \(counted(binSize, "step"))." : ""
    let since =
      first.first > 1 ? " This run began after step \(Output.grouped(first.first - 1))." : ""
    return [
      Document.Section(
        "Steps",
        [.paragraph(share(clip) + merged + since)]
          + (lossFigure(first, last).map { [.figure($0)] } ?? [])
          + (normFigure(first, last, clip).map { [.figure($0)] } ?? []))
    ]
  }

  private func share(_ clip: GradientClip?) -> String {
    guard case .globalNorm(let bound) = clip else {
      return "Gradients are \(clip.map { "clipped: \($0)" } ?? "not clipped")."
    }
    let percent = String(printf: "%.1f", 100 * Double(clippedCount) / Double(count))
    return
      "\(Output.grouped(clippedCount)) of \(counted(count, "step")) (\(percent) %) had a gradient of a norm above "
      + "\(TextLayout.number(bound)), which --clip reduced to it."
  }

  private func lossFigure(_ first: Bin, _ last: Bin) -> Figure? {
    let points = losses.filter { $0.y.isFinite }
    guard points.count > 1, let low = points.map(\.y).min(), let high = points.map(\.y).max() else {
      return nil
    }
    let margin = high > low ? (high - low) / 20 : max(abs(high) / 100, 1e-3)
    return Figure(
      title: "Training loss of the steps",
      summary:
        "From \(LearningCurve.loss(points[0].y)) to \(LearningCurve.loss(points[points.count - 1].y)).",
      x: Figure.Axis(label: "step", range: Double(first.first)...Double(last.last)),
      y: Figure.Axis(label: "loss, in nats a token", range: (low - margin)...(high + margin)),
      series: [Figure.Series(name: "training loss", points: points)])
  }

  private func normFigure(_ first: Bin, _ last: Bin, _ clip: GradientClip?) -> Figure? {
    let means = bins.map { Figure.Point(x: $0.middle, y: $0.norm / Double($0.count)) }
    let largest = bins.map { Figure.Point(x: $0.middle, y: $0.largestNorm) }
    guard means.count > 1, let high = largest.map(\.y).max(), high > 0 else { return nil }
    var marks: [Figure.Mark] = []
    if case .globalNorm(let bound) = clip {
      marks = [.y(bound, "--clip \(TextLayout.number(bound))")]
    }
    let series =
      binSize > 1
      ? [
        Figure.Series(name: "mean norm", points: means),
        Figure.Series(name: "largest norm", points: largest),
      ] : [Figure.Series(name: "gradient norm", points: means)]
    return Figure(
      title: "Gradient norm of the steps, before clipping",
      summary: String(printf: "Up to %.4g.", high),
      x: Figure.Axis(label: "step", range: Double(first.first)...Double(last.last)),
      y: Figure.Axis(label: "global norm of the gradient", range: 0...(high * 1.05)),
      series: series,
      marks: marks)
  }
}
