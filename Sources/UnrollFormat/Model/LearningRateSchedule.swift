// The schedule of the learning rate in a training.

import Foundation
import UnrollTensors

/// The shape of a schedule; `spec/FORMAT.md` has the formulas.
public enum ScheduleKind: String, Sendable, Hashable, CaseIterable {
  case constant
  /// Divided where evaluations do not improve.
  case divideOnPlateau = "divide_on_plateau"
  /// Divided after every so many epochs.
  case step
  /// Up in a line, then down in a line.
  case linear
  /// Up in a line, then down along a cosine.
  case cosine
  /// Up and down along cosines, as `torch.optim.lr_scheduler.OneCycleLR`.
  case oneCycle = "one_cycle"
  /// Up and down in lines, as ULMFiT has it.
  case slantedTriangular = "slanted_triangular"

  /// The numbers of the kind and their defaults; 0 for numbers that follow from the length of the
  /// training.
  public var defaults: [ScheduleNumber: Double] {
    switch self {
    case .constant: [:]
    case .divideOnPlateau: [.factor: 4, .patience: 0, .rollback: 0]
    case .step: [.factor: 4, .every: 1]
    case .linear, .cosine: [.warmUp: 0, .total: 0, .final: 0]
    // PyTorch's pct_start 0.3, div_factor 25 and final_div_factor 10,000.
    case .oneCycle: [.warmUp: 0, .total: 0, .start: 0.04, .final: 0.000004]
    case .slantedTriangular: [.warmUp: 0, .total: 0, .ratio: 32]
    }
  }

  /// The default share of the training during which the learning rate increases.
  public var warmUpShare: Double {
    switch self {
    case .oneCycle: 0.3
    case .slantedTriangular: 0.1
    default: 0
    }
  }
}

/// A number that a schedule depends on.
public enum ScheduleNumber: String, Sendable, Hashable, CaseIterable {
  /// The divisor of the learning rate.
  case factor
  /// The number of evaluations without improvement that are tolerated.
  case patience
  /// 1 if the best weights so far are taken up again when the learning rate is divided.
  case rollback
  /// Epochs.
  case every
  /// The steps that go up.
  case warmUp = "warm_up"
  /// The steps until the end of the schedule.
  case total
  /// The start, as a share of the learning rate.
  case start
  /// The end, as a share of the learning rate.
  case final
  /// The learning rate over its lowest value.
  case ratio

  /// `true` if a value is in the domain.
  public func allows(_ value: Double) -> Bool {
    guard value.isFinite, value >= 0 else { return false }
    switch self {
    case .factor, .ratio: return value >= 1
    case .every: return value >= 1 && value == value.rounded()
    case .patience, .warmUp, .total: return value == value.rounded() && value <= 0x1p53
    case .rollback: return value <= 1 && value == value.rounded()
    case .start, .final: return value <= 1
    }
  }

  /// The domain in words.
  public var domain: String {
    switch self {
    case .factor, .ratio: "a finite number of at least 1"
    case .every: "a whole number of at least 1"
    case .patience, .warmUp, .total: "a whole number of at least 0"
    case .rollback: "0 or 1"
    case .start, .final: "a number of at least 0 and at most 1"
    }
  }
}

/// The schedule of the learning rate in a training.
public struct LearningRateSchedule: Sendable, Hashable {
  /// The shape.
  public var kind: ScheduleKind
  /// The numbers of the shape.
  public var numbers: [ScheduleNumber: Double]

  /// Creates a schedule with defaults for missing numbers.
  public init(_ kind: ScheduleKind, _ numbers: [ScheduleNumber: Double] = [:]) {
    self.kind = kind
    self.numbers = kind.defaults.merging(numbers) { $1 }
  }

  /// A number; 0 where the kind does not have it.
  public subscript(number: ScheduleNumber) -> Double {
    get { numbers[number] ?? 0 }
    set { numbers[number] = newValue }
  }

  /// Returns the factor of the groups' learning rates in a step.
  ///
  /// - Parameters:
  ///   - step: The number of the step, counted from 1.
  ///   - epoch: The epochs that were completed.
  /// - Returns: A number of at least 0.
  public func multiplier(step: Int, epoch: Int) -> Double {
    let (t, up, total) = (Double(step), self[.warmUp], self[.total])
    switch kind {
    case .constant, .divideOnPlateau: return 1
    case .step:
      return Elementary.power(self[.factor], -(Double(epoch) / self[.every]).rounded(.down))
    case .linear, .cosine:
      if t <= up { return t / up }
      let left = max(0, min(1, (total - t) / max(1, total - up)))
      let share = kind == .linear ? left : (1 - Elementary.cosineOfPi(left)) / 2
      return self[.final] + (1 - self[.final]) * share
    case .oneCycle:
      let (peak, end) = (up - 1, total - 1)
      if t - 1 <= peak { return Self.cosine(self[.start], 1, peak > 0 ? (t - 1) / peak : 1) }
      return Self.cosine(1, self[.final], end > peak ? min(1, (t - 1 - peak) / (end - peak)) : 1)
    case .slantedTriangular:
      let share = t - 1 < up ? (t - 1) / up : 1 - (t - 1 - up) / max(1, total - up)
      return (1 + max(0, share) * (self[.ratio] - 1)) / self[.ratio]
    }
  }

  /// From one number to another along half a cosine.
  private static func cosine(_ from: Double, _ to: Double, _ share: Double) -> Double {
    to + (from - to) * (1 + Elementary.cosineOfPi(share)) / 2
  }
}
