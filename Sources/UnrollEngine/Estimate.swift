// What a piece of work will take, from doing a part of it: the machine, the model and the text decide, and
// no formula knows them as well as they do.

import Foundation
import UnrollFormat
import UnrollNeural
import UnrollTokenization

/// An estimate of the time of an evaluation or a training.
public struct WorkEstimate: Sendable, Hashable {
  /// The predictions, of all epochs.
  public var predictions: Double
  /// The seconds.
  public var seconds: Double
  /// The share of the work that was done to know.
  public var share: Double
}

/// Watches an evaluation for some seconds.
struct EvaluationProbe {
  /// Thrown when enough was seen.
  struct Enough: Error {}

  let length: Duration
  private let start = ContinuousClock.now
  /// The share that was done when it last grew: of compressed text it grows now and then only.
  private var fraction: Double?
  /// The predictions so far.
  private var predictions = 0
  /// When a part of the work was done, how much of it, and the predictions in it.
  private var first: (seconds: Double, fraction: Double, predictions: Int)?
  private var last: (seconds: Double, fraction: Double, predictions: Int)?

  init(length: Duration) { self.length = length }

  /// Takes note of progress.
  ///
  /// - Throws: `Enough` after the length; the part before the first note, with what is done only once,
  ///   does not count.
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

  /// The time of the whole, if it is done.
  var whole: WorkEstimate {
    WorkEstimate(
      predictions: Double(predictions),
      seconds: start.duration(to: .now) / .seconds(1), share: 1)
  }

  /// An estimate of the whole, or `nil` if too little was seen.
  var estimate: WorkEstimate? {
    guard let first, let last, last.fraction > first.fraction else { return nil }
    // The place in a compressed text is ahead of what was read of it: only differences count.
    let rest = (1 - first.fraction) / (last.fraction - first.fraction)
    let all = Double(first.predictions) + rest * Double(last.predictions - first.predictions)
    return WorkEstimate(
      predictions: all, seconds: first.seconds + rest * (last.seconds - first.seconds),
      share: all > 0 ? min(1, Double(last.predictions) / all) : last.fraction)
  }
}

extension LanguageModel {
  /// Says what the perplexity of a text will take, after some seconds of it.
  ///
  /// - Parameters:
  ///   - path: The text: a file. Of a compressed one the place is known by 256 KiB, so that more of it
  ///     may be read.
  ///   - protocol: Which tokens are predicted, and from what.
  ///   - window: The window of the protocol `window`.
  ///   - crossesLines: `true` if the window crosses lines.
  ///   - preparation: Changes of the text before it is cut into tokens.
  ///   - length: The time to measure.
  /// - Returns: The whole work; measured where it was done before the time was up.
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
        found: "one without a known end", fix: "give a file")
    }
  }
}

extension TrainingRun {
  /// Says what the rest of the training will take, after some seconds of it.
  ///
  /// Steps are done, and a part of an evaluation. The run is of no use afterwards, and nothing is written.
  ///
  /// - Parameter length: How long to measure steps, and again an evaluation.
  /// - Returns: The whole work but for the time that saving takes, which the disk decides.
  /// - Throws: The errors of `advance(progress:)`.
  public mutating func estimate(measuring length: Duration = .seconds(2)) throws -> WorkEstimate {
    let evaluation = try secondsOfEvaluation(measuring: length)
    let stepsLeft = stepsLeft
    // The first step plans products and takes memory.
    let warmUp = try timeSteps(count: min(1, stepsLeft), limit: length)
    let steps = try timeSteps(count: stepsLeft - warmUp.count, limit: length)
    let each = steps.count > 0 ? steps.seconds / Double(steps.count) : warmUp.seconds
    let perStep =
      Double(warmUp.predictions + steps.predictions) / Double(max(1, warmUp.count + steps.count))
    // One before the first step, and one after each epoch or at the end.
    let evaluations = (Double(stepsLeft) / Double(max(1, stepsPerEpoch))).rounded(.up) + 1
    return WorkEstimate(
      predictions: Double(stepsLeft) * perStep,
      seconds: warmUp.seconds + Double(max(0, stepsLeft - warmUp.count)) * each
        + evaluations * evaluation,
      share: Double(warmUp.count + steps.count) / Double(max(1, stepsLeft)))
  }

  /// The seconds of an evaluation.
  private mutating func secondsOfEvaluation(measuring length: Duration) throws -> Double {
    var probe = EvaluationProbe(length: length)
    do {
      _ = try evaluate { try probe.add($0) }
      return probe.whole.seconds
    } catch is EvaluationProbe.Enough {
      return probe.estimate?.seconds ?? 0
    }
  }

  /// Does steps until there are no more or the time is up.
  private mutating func timeSteps(
    count: Int, limit: Duration
  ) throws -> (count: Int, predictions: Int, seconds: Double) {
    let start = ContinuousClock.now
    var (done, predictions) = (0, 0)
    while done < count, done == 0 || start.duration(to: .now) < limit {
      // An epoch that ends begins again: its evaluation is counted elsewhere.
      if state.data.cursor >= rows - 1 { state.data.cursor = 0 }
      predictions += try step().predictions
      done += 1
    }
    return (done, predictions, start.duration(to: .now) / .seconds(1))
  }
}
