// Estimates of trainings that ranks share: measurements, and the formula of docs/how-to/many-machines.md.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollNeural
import UnrollTensors

@testable import UnrollEngine

@Suite("Estimates by ranks") struct RankEstimateTests {
  private typealias Estimates = (work: WorkEstimate, ranks: RankEstimate?, step: Int)

  /// Estimates a training on R ranks, as threads, on hosts h0 and h1.
  private func estimate(
    _ scene: TrainingScene, ranks: Int,
    measuring length: @Sendable @escaping (_ rank: Int) -> Duration = { _ in .zero },
    change: @Sendable @escaping (_ rank: Int, inout TrainingRun) throws -> Void = { _, _ in }
  ) -> [Result<Estimates, any Error>] {
    ThreadGroup.run(ranks) { group in
      var run = try TrainingRun.joining(
        Result { try scene.begin() }, group, host: group.rank == 0 ? "h0" : "h1"
      ).run
      try change(group.rank, &run)
      do {
        let found = try run.estimateOnRanks(
          measuring: length(group.rank), pieceBytes: 1 << 12, memory: { 1000 * (group.rank + 1) })
        return (found.work, found.ranks, run.state.step)
      } catch {
        run.abandon(error)
        throw error
      }
    }
  }

  /// T = 1 s, D = 100 MB and 800 Mb/s, or 100 MB/s: with R = 2 a rank sends 100 MB in 1 s, with R = 4 150 MB in 1.5 s.
  @Test("Predictions follow T + 2 D (R - 1) / R / bandwidth, with the streams of each rank")
  func formula() throws {
    let estimate = RankEstimate(
      ranks: 2, hosts: 2, computation: 1, communication: 0.25, sentBytes: 0, bandwidth: 8e8,
      memory: 0, predictions: 1400, traffic: StepTraffic(denseBytes: 100_000_000))
    let predicted = estimate.predicted
    #expect(predicted.map(\.ranks) == [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024])
    let (two, four) = (predicted[0], predicted[1])
    #expect(two.seconds == 2 && two.efficiency == 0.5)
    #expect(two.predictions == 1400 && two.speed == 700)
    #expect(four.seconds == 2.5 && four.efficiency == 0.4)
    #expect(four.predictions == 2800 && four.speed == 1120)
    // 200 MB (1 - 1/1024) in 1.998 s.
    #expect(abs(predicted[9].seconds - 2.998_046_875) < 1e-9)
    #expect(estimate.communicationShare == 0.2 && !estimate.isOfSharedMemory)
    // The bytes need 1 s of it.
    #expect(estimate.unpredicted == 0)
    var three = estimate
    three.communication = 1.25
    #expect(three.unpredicted == 0.25)
    (three.ranks, three.hosts) = (3, 1)
    #expect(three.predicted.prefix(3).map(\.ranks) == [2, 3, 4] && three.isOfSharedMemory)
    #expect(three.predicted[1].predictions == 1400)
  }

  @Test("Rows of an embedding are sent once as those of a rank and once as those of a step")
  func rows() {
    var traffic = StepTraffic(denseBytes: 1000, tokens: [1: 10, 2: 18, 4: 30])
    #expect(traffic.bytes(ranks: 1) == 0)
    #expect(traffic.bytes(ranks: 4) == 2 * 1000 * 3 / 4)
    traffic.tables = [StepTraffic.Table(rowBytes: 100, rows: 50)]
    #expect(traffic.bytes(ranks: 2) == (2000 + 100 * (10 + 18)) / 2)
    #expect(traffic.bytes(ranks: 4) == (2000 + 100 * (10 + 30)) * 3 / 4)
    // 10 + 25 and 30 + 25, of which there are 50.
    traffic.tables = [StepTraffic.Table(rowBytes: 100, rows: 50, drawn: 25)]
    #expect(traffic.bytes(ranks: 4) == (2000 + 100 * (35 + 50)) * 3 / 4)
  }

  @Test("The bytes and calls of a step are recorded, those outside of steps are not")
  func timedGroup() throws {
    let results = ThreadGroup.run(3) { group in
      let timed = TimedGroup(group)
      _ = try timed.gather([1, 2, 3])
      timed.begin(step: 7)
      timed.begin(step: 7)
      // To ranks 0, 1 and 2.
      let counts = [10, 20, 30]
      let sent = [UInt8](repeating: UInt8(group.rank), count: 60)
      var received = [UInt8](repeating: 9, count: 3 * counts[group.rank])
      let size = received.count / 3
      try sent.withUnsafeBytes { sent in
        try received.withUnsafeMutableBytes {
          try timed.exchange(
            sent, counts: counts, into: $0, counts: Array(repeating: size, count: 3))
        }
      }
      #expect(received == [0, 1, 2].flatMap { [UInt8](repeating: $0, count: size) })
      timed.begin(step: 8)
      var byte: UInt8 = 5
      try withUnsafeMutableBytes(of: &byte) { try timed.broadcast($0) }
      timed.endStep()
      _ = try timed.gather([1, 2, 3])
      timed.endStep()
      return timed.laps
    }
    for (rank, result) in results.enumerated() {
      let laps = try result.get()
      #expect(laps.map(\.step) == [7, 8])
      #expect(laps.map(\.sentBytes) == [60 - 10 * (rank + 1), rank == 0 ? 2 : 0])
      for lap in laps {
        #expect(lap.communication > 0 && lap.communication <= lap.seconds)
        #expect(lap.computation == lap.seconds - lap.communication)
      }
    }
  }

  /// The bytes of a step are those of the formula, but for the losses and the numbers of rows.
  @Test(
    "The bytes that ranks send are those of the formula",
    arguments: [
      ("tied", 2), ("tied", 4), ("untied", 2), ("untied", 3), ("accumulated", 2), ("sampled", 2),
    ])
  func bytes(kind: String, ranks: Int) throws {
    try withTemporaryFolder { folder in
      let isTied = kind == "tied"
      let checkpoint = Checkpoint.small(
        tied: isTied, hidden: isTied ? [40, 32] : [40, 30], embedding: 32)
      var scene = try TrainingScene(folder, checkpoint)
      scene.settings.shards = ranks
      if kind == "accumulated" { scene.settings.accumulation = 2 }
      if kind == "sampled" { scene.settings.sampledSoftmax = 4 }
      let found = try #require(try estimate(scene, ranks: ranks)[0].get().ranks)
      let tables: [String: [Int]] = ["untied": [132], "sampled": [132, 124]]
      let rowsOnly = tables[kind] ?? []
      #expect(found.traffic.tables.map(\.rowBytes) == rowsOnly)
      let all = checkpoint.architecture.parameters.reduce(0) { $0 + ($1.shape.elementCount ?? 0) }
      let rows = found.traffic.tables.reduce(0) { $0 + ($1.rowBytes - 4) * $1.rows }
      #expect(found.traffic.denseBytes == 4 * all - rows)
      let difference = found.sentBytes - found.traffic.bytes(ranks: ranks)
      // Samples of a text miss or add up to four rows of each kind.
      let slack = Double(250 * (ranks - 1) + 8 * rowsOnly.reduce(0, +))
      #expect(abs(difference) < slack, "\(found.sentBytes) bytes, slack \(slack)")
      #expect(slack < found.sentBytes / 10)
    }
  }

  @Test("All ranks measure as many steps and find the same; the largest memory is theirs")
  func agreement() throws {
    try withTemporaryFolder { folder in
      var scene = try TrainingScene(folder, .small())
      scene.settings.shards = 3
      scene.settings.maximumSteps = 1000
      // The time of rank 1 is up after the first step that counts; the others would measure for a minute.
      let all = try estimate(scene, ranks: 3, measuring: { $0 == 1 ? .zero : .seconds(60) })
        .map { try $0.get() }
      #expect(all.map(\.step) == [2, 2, 2])
      let found = try #require(all[0].ranks)
      for other in all { #expect(other.ranks == found) }
      #expect(found.ranks == 3 && found.hosts == 2 && found.memory == 3000)
      // Four streams of five tokens.
      #expect(found.predictions == 20 && all[0].work.predictions == 20_000)
      #expect(found.computation > 0 && found.communication > 0 && found.bandwidth > 0)
      #expect(found.predicted.map(\.ranks).prefix(3) == [2, 3, 4])
    }
  }

  @Test("A finished training has a time and no ranks to predict")
  func nothingLeft() throws {
    try withTemporaryFolder { folder in
      var scene = try TrainingScene(folder, .small())
      scene.settings.shards = 2
      let results = estimate(scene, ranks: 2, change: { $1.state.step = 40 })
      for result in results {
        let (work, ranks, step) = try result.get()
        #expect(work.predictions == 0 && ranks == nil && step == 40)
      }
    }
  }

  @Test("An error of one rank ends all, in a step or in the evaluation of rank 0")
  func errors() throws {
    try withTemporaryFolder { folder in
      var scene = try TrainingScene(folder, .small())
      scene.settings.shards = 3
      let stepping = estimate(
        scene, ranks: 3,
        change: { rank, run in
          guard rank == 2 else { return }
          for index in run.carried.layers.indices {
            run.carried.layers[index].h = run.carried.layers[index].h.map { _ in .nan }
          }
        })
      let evaluating = estimate(
        scene, ranks: 3, measuring: { _ in .seconds(60) },
        change: { rank, run in
          guard rank == 0 else { return }
          let broken = run.weights.parameters.map { tensor in
            Tensor((tensor.floats() ?? []).map { _ in Float.nan }, shape: tensor.shape)
          }
          try run.model.replaceParameters(by: broken)
        })
      for (failing, quantity, results) in [
        (2, "loss", stepping), (0, "validation loss", evaluating),
      ] {
        for (rank, result) in results.enumerated() {
          if rank == failing {
            let error = #expect(throws: Diverged.self) { try result.get() }
            #expect(error?.quantity == quantity)
          } else {
            #expect(throws: RankFailure.self) { try result.get() }
          }
        }
      }
    }
  }
}
