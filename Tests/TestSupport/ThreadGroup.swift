// Ranks as threads of one process.

import Dispatch
import Foundation
import Synchronization
import UnrollNeural

/// A group whose ranks are threads: the tests of MPI without MPI.
public final class ThreadGroup: RankGroup, Sendable {
  /// The memory that the ranks share.
  private final class Board: Sendable {
    let size: Int
    private let condition = NSCondition()
    private let state: Mutex<(parts: [[[UInt8]]], arrived: Int, turn: Int, hasLost: Bool)>

    init(size: Int) {
      self.size = size
      state = Mutex((Array(repeating: [], count: size), 0, 0, false))
    }

    /// Records that a rank has ended: nobody may wait for it.
    func leave() {
      condition.lock()
      state.withLock { $0.hasLost = true }
      condition.broadcast()
      condition.unlock()
    }

    /// Waits until all ranks have come.
    private func meet() throws {
      condition.lock()
      defer { condition.unlock() }
      let turn = state.withLock { state in
        state.arrived += 1
        return state.turn
      }
      if state.withLock({ $0.arrived == size }) {
        state.withLock { ($0.arrived, $0.turn) = (0, $0.turn + 1) }
        condition.broadcast()
      }
      while state.withLock({ $0.turn == turn && !$0.hasLost }) { condition.wait() }
      guard state.withLock({ $0.turn != turn }) else { throw Gone() }
    }

    /// Puts the parts of a rank down and takes one from each rank.
    func swap(_ rank: Int, _ parts: [[UInt8]], taking index: Int) throws -> [[UInt8]] {
      state.withLock { $0.parts[rank] = parts }
      try meet()
      let taken = state.withLock { $0.parts.map { $0[min(index, $0.count - 1)] } }
      try meet()
      return taken
    }
  }

  /// The number of this rank.
  public let rank: Int
  /// The number of ranks.
  public var size: Int { board.size }
  private let board: Board

  private init(rank: Int, board: Board) {
    self.rank = rank
    self.board = board
  }

  /// Runs a closure on R threads and waits for all.
  ///
  /// - Parameters:
  ///   - size: R.
  ///   - body: Receives the group as one rank sees it; all ranks make the same calls.
  /// - Returns: The result of each rank.
  public static func run<Value: Sendable>(
    _ size: Int, _ body: @Sendable @escaping (ThreadGroup) throws -> Value
  ) -> [Result<Value, any Error>] {
    let board = Board(size: size)
    let results = Mutex<[Int: Result<Value, any Error>]>([:])
    let threads = DispatchGroup()
    for rank in 0..<size {
      threads.enter()
      let thread = Thread {
        let result = Result { try body(ThreadGroup(rank: rank, board: board)) }
        board.leave()
        results.withLock { $0[rank] = result }
        threads.leave()
      }
      thread.stackSize = 8 << 20
      thread.start()
    }
    threads.wait()
    return results.withLock { results in (0..<size).compactMap { results[$0] } }
  }

  /// Exchanges parts through the memory of the process.
  public func exchange(
    _ sent: UnsafeRawBufferPointer, counts sentCounts: [Int],
    into received: UnsafeMutableRawBufferPointer, counts receivedCounts: [Int]
  ) throws {
    var first = 0
    let parts = sentCounts.map { count in
      defer { first += count }
      return Array(sent[first..<first + count])
    }
    try take(try board.swap(rank, parts, taking: rank), into: received, receivedCounts)
  }

  /// Gathers parts through the memory of the process.
  public func gather(
    _ part: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer, counts: [Int]
  ) throws {
    try take(try board.swap(rank, [Array(part)], taking: 0), into: all, counts)
  }

  /// Copies the bytes of rank 0.
  public func broadcast(_ bytes: UnsafeMutableRawBufferPointer) throws {
    let all = try board.swap(rank, [Array(bytes)], taking: 0)
    try take([all[0]], into: bytes, [bytes.count])
  }

  /// Does nothing: tests have no patience to run out.
  public func begin(step: Int) {}

  /// An error for a rank that waits for one that has ended.
  struct Gone: Error {}

  /// An error for ranks that expect different sizes.
  struct Mismatch: Error {}

  private func take(
    _ parts: [[UInt8]], into bytes: UnsafeMutableRawBufferPointer, _ counts: [Int]
  ) throws {
    guard parts.map(\.count) == counts, bytes.count >= counts.reduce(0, +) else { throw Mismatch() }
    var place = 0
    for part in parts {
      UnsafeMutableRawBufferPointer(rebasing: bytes[place..<place + part.count])
        .copyBytes(from: part)
      place += part.count
    }
  }
}
