// Measures the communication of each step of a training.

import UnrollNeural

/// A group that passes each call on to another one, and records its duration and the bytes that it sends.
///
/// A class because its calls, which change nothing of a group, are recorded.
final class TimedGroup: RankGroup {
  /// The measurements of one step, up to the beginning of the next one.
  struct Lap: Hashable {
    /// The number of the step.
    var step: Int
    /// The seconds of the step.
    var seconds = 0.0
    /// The seconds of its calls, in which this rank may also wait for slower ones.
    var communication = 0.0
    /// The bytes that this rank sends to others.
    var sentBytes = 0

    /// The seconds without the calls.
    var computation: Double { seconds - communication }
  }

  var rank: Int { group.rank }
  var size: Int { group.size }
  /// The steps that have ended.
  private(set) var laps: [Lap] = []
  private let group: any RankGroup
  private var lap: (record: Lap, start: ContinuousClock.Instant)?

  init(_ group: any RankGroup) { self.group = group }

  func begin(step: Int) {
    if lap?.record.step != step {
      endStep()
      lap = (Lap(step: step), .now)
    }
    group.begin(step: step)
  }

  /// Ends the step that was begun last: later calls belong to none.
  func endStep() {
    guard let lap else { return }
    laps.append(lap.record)
    laps[laps.count - 1].seconds = lap.start.duration(to: .now) / .seconds(1)
    self.lap = nil
  }

  private func call(sending bytes: Int, _ body: () throws -> Void) rethrows {
    let start = ContinuousClock.now
    try body()
    lap?.record.communication += start.duration(to: .now) / .seconds(1)
    lap?.record.sentBytes += bytes
  }

  func exchange(
    _ sent: UnsafeRawBufferPointer, counts sentCounts: [Int],
    into received: UnsafeMutableRawBufferPointer, counts receivedCounts: [Int]
  ) throws {
    try call(sending: sentCounts.reduce(0, +) - sentCounts[rank]) {
      try group.exchange(sent, counts: sentCounts, into: received, counts: receivedCounts)
    }
  }

  func gather(
    _ part: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer, counts: [Int]
  ) throws {
    try call(sending: part.count * (size - 1)) { try group.gather(part, into: all, counts: counts) }
  }

  func broadcast(_ bytes: UnsafeMutableRawBufferPointer) throws {
    try call(sending: rank == 0 ? bytes.count * (size - 1) : 0) { try group.broadcast(bytes) }
  }
}
