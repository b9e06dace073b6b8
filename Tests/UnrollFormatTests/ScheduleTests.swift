// Learning rates in the course of a training, against PyTorch's schedulers.

import Foundation
import TestSupport
import Testing

@testable import UnrollFormat

@Suite("Learning rate schedules") struct ScheduleTests {
  private struct Fixture: Decodable {
    let cases: [String: [Double]]
  }

  private func reference(_ name: String) throws -> [Double] {
    let data = try Data(contentsOf: URL(filePath: Fixtures.path("training/schedules.json")))
    return try #require(try JSONDecoder().decode(Fixture.self, from: data).cases[name])
  }

  @Test(
    "Multipliers of the schedules equal those of PyTorch's schedulers",
    arguments: [
      ("one_cycle", LearningRateSchedule(.oneCycle, [.warmUp: 12, .total: 41])),
      ("step", LearningRateSchedule(.step, [.factor: 4, .every: 2])),
      ("linear", LearningRateSchedule(.linear, [.warmUp: 8, .total: 40, .final: 0.1])),
      ("cosine", LearningRateSchedule(.cosine, [.warmUp: 8, .total: 40, .final: 0.1])),
    ])
  func schedulersOfPyTorch(name: String, schedule: LearningRateSchedule) throws {
    let expected = try reference(name)
    #expect(expected.count == 40)
    for (index, value) in expected.enumerated() {
      let found = schedule.multiplier(step: index + 1, epoch: index / 10)
      #expect(abs(found - value) < 1e-12, "step \(index + 1): \(found), PyTorch \(value)")
    }
  }

  /// The formula of "Universal language model fine-tuning for text classification", section 3.2.
  @Test("The slanted triangular schedule follows the formula of the ULMFiT paper")
  func slantedTriangular() {
    let (total, cutShare, ratio) = (50.0, 0.1, 32.0)
    let schedule = LearningRateSchedule(.slantedTriangular, [.warmUp: 5, .total: total])
    let cut = (total * cutShare).rounded(.down)
    for t in 0..<50 {
      let t = Double(t)
      let p = t < cut ? t / cut : 1 - (t - cut) / (cut * (1 / cutShare - 1))
      let expected = (1 + p * (ratio - 1)) / ratio
      #expect(abs(schedule.multiplier(step: Int(t) + 1, epoch: 0) - expected) < 1e-12)
    }
  }

  @Test(
    "Multipliers lie between 0 and 1 for any warm-up and total length",
    arguments: ScheduleKind.allCases)
  func boundsOfMultipliers(kind: ScheduleKind) {
    for (up, total) in [(0.0, 0.0), (0, 1), (1, 1), (5, 2), (2, 5)] {
      let schedule = LearningRateSchedule(
        kind, kind.defaults[.total] == nil ? [:] : [.warmUp: up, .total: total])
      for step in 1...8 {
        let multiplier = schedule.multiplier(step: step, epoch: step)
        #expect(multiplier.isFinite && multiplier >= 0 && multiplier <= 1)
      }
    }
  }
}
