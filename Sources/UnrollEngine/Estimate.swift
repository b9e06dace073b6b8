// Estimates the time of an evaluation or training by measuring a part of it.

import Foundation
import UnrollFormat
import UnrollNeural
import UnrollTokenization

/// An estimate of the time of an evaluation or a training.
public struct WorkEstimate: Sendable, Hashable {
  /// The number of predictions, over all epochs.
  public var predictions: Double
  /// The seconds.
  public var seconds: Double
  /// The share of the work that was measured.
  public var share: Double
}

/// Measures the progress of an evaluation for a few seconds.
struct EvaluationProbe {
  /// An error that ends the evaluation when the time is up.
  struct Enough: Error {}

  let length: Duration
  private let start = ContinuousClock.now
  /// The share of work done when it last increased: for compressed text it increases in large
  /// steps.
  private var fraction: Double?
  /// The number of predictions so far.
  private var predictions = 0
  /// The first measured increase: time, share of the work, and predictions.
  private var first: (seconds: Double, fraction: Double, predictions: Int)?
  private var last: (seconds: Double, fraction: Double, predictions: Int)?

  init(length: Duration) { self.length = length }

  /// Records progress.
  ///
  /// - Throws: `Enough` when the time is up. The part before the first record, which includes
  ///   setup, does not count.
  mutating func add(_ progress: EvaluationProgress) throws {
    guard let fraction = progress.fraction else { throw Enough() }
    predictions = progress.perplexity.predictions
    defer { self.fraction = fraction }
    guard let before = self.fraction, fraction > before else { return }
    let seconds = start.duration(to: .now) / .seconds(1)
    let sample = (seconds, fraction, predictions)
    guard let first else {
      first = sample
      return
    }
    last = sample
    if seconds - first.seconds > length / .seconds(1) { throw Enough() }
  }

  /// The time of the whole work, if it is done.
  var whole: WorkEstimate {
    WorkEstimate(
      predictions: Double(predictions),
      seconds: start.duration(to: .now) / .seconds(1), share: 1)
  }

  /// The estimate of the whole work, or `nil` if too little was measured.
  var estimate: WorkEstimate? {
    guard let first, let last, last.fraction > first.fraction else { return nil }
    // The position in a compressed file is ahead of the text that was read: only differences count.
    let rest = (1 - first.fraction) / (last.fraction - first.fraction)
    let all = Double(first.predictions) + rest * Double(last.predictions - first.predictions)
    return WorkEstimate(
      predictions: all, seconds: first.seconds + rest * (last.seconds - first.seconds),
      share: all > 0 ? min(1, Double(last.predictions) / all) : last.fraction)
  }
}

extension LanguageModel {
  /// Estimates the time of measuring the perplexity of a text, from a few seconds of it.
  ///
  /// - Parameters:
  ///   - path: The text: a file. The position in a compressed file is known to 256 KiB, so more of
  ///     it may be read.
  ///   - protocol: The tokens that are predicted, and their context.
  ///   - window: The window of the protocol `window`.
  ///   - crossesLines: `true` if the window crosses lines.
  ///   - preparation: Changes of the text before it is cut into tokens.
  ///   - length: The time to measure.
  /// - Returns: An estimate of the whole work, or its measured time if it finished early.
  /// - Throws: The errors of `perplexity(ofText:protocol:progress:)`; `TextError` for a text of unknown size.
  public func estimate(
    ofText path: String, protocol: PerplexityProtocol, window: FixedWindow? = nil,
    crossesLines: Bool = false, preparation: TextPreparation = TextPreparation(),
    measuring length: Duration = .seconds(2)
  ) throws -> WorkEstimate {
    var probe = EvaluationProbe(length: length)
    do {
      _ = try perplexity(
        ofText: path, protocol: `protocol`, window: window, crossesLines: crossesLines,
        preparation: preparation
      ) { try probe.add($0) }
      return probe.whole
    } catch is EvaluationProbe.Enough {
      if let estimate = probe.estimate { return estimate }
      throw TextError(
        path: path, line: nil,
        expected: "a text whose size is known, to estimate from a part of it",
        found: "a stream of unknown length", fix: "give a file")
    }
  }
}

extension TrainingRun {
  /// Estimates the time of the rest of the training, from a few seconds of it.
  ///
  /// Takes steps and runs part of an evaluation. The run cannot be used afterwards; nothing is
  /// written.
  ///
  /// - Parameter length: The time to measure steps, and again to measure an evaluation.
  /// - Returns: An estimate of the whole work without saving, which depends on the disk.
  /// - Throws: The errors of `advance(progress:)`.
  public mutating func estimate(measuring length: Duration = .seconds(2)) throws -> WorkEstimate {
    let evaluation = try secondsOfEvaluation(measuring: length)
    let stepsLeft = stepsLeft
    // The first step plans matrix products and allocates memory.
    let warmUp = try timeSteps(count: min(1, stepsLeft), limit: length)
    let steps = try timeSteps(count: stepsLeft - warmUp.count, limit: length)
    let each = steps.count > 0 ? steps.seconds / Double(steps.count) : warmUp.seconds
    let perStep =
      Double(warmUp.predictions + steps.predictions) / Double(max(1, warmUp.count + steps.count))
    // One evaluation before the first step, and one after each epoch or at the end.
    let evaluations = (Double(stepsLeft) / Double(max(1, stepsPerEpoch))).rounded(.up) + 1
    return WorkEstimate(
      predictions: Double(stepsLeft) * perStep,
      seconds: warmUp.seconds + Double(max(0, stepsLeft - warmUp.count)) * each
        + evaluations * evaluation,
      share: Double(warmUp.count + steps.count) / Double(max(1, stepsLeft)))
  }

  /// Returns the seconds of an evaluation.
  private mutating func secondsOfEvaluation(measuring length: Duration) throws -> Double {
    guard !crew.isShared else { return try secondsOfSharedEvaluation(measuring: length) }
    var probe = EvaluationProbe(length: length)
    do {
      _ = try evaluate { try probe.add($0) }
      return probe.whole.seconds
    } catch is EvaluationProbe.Enough {
      return probe.estimate?.seconds ?? 0
    }
  }

  /// Takes steps until none are left or the time is up; ranks agree on their number.
  private mutating func timeSteps(
    count: Int, limit: Duration
  ) throws -> (count: Int, predictions: Int, seconds: Double) {
    let start = ContinuousClock.now
    var (done, predictions) = (0, 0)
    while done < count {
      let isOver = done > 0 && start.duration(to: .now) >= limit
      guard try !crew.any(.success([isOver]))[0] else { break }
      // Starts the epoch again at its end: evaluations are counted separately.
      if state.data.cursor >= rows - 1 { state.data.cursor = 0 }
      predictions += try step().predictions
      done += 1
    }
    return (done, predictions, start.duration(to: .now) / .seconds(1))
  }
}
