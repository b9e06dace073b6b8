// Ranks that work on one training, and what they send each other.

/// The ranks of a training, seen from one of them.
///
/// Only bytes move between ranks: all arithmetic is Unroll's own. Every rank makes the same calls in the same
/// order.
public protocol RankGroup {
  /// The number of this rank, from 0.
  var rank: Int { get }
  /// The number of ranks, R.
  var size: Int { get }

  /// Sends each rank a part of a buffer and receives a part from each.
  ///
  /// - Parameters:
  ///   - sent: The parts for the ranks, one after the other.
  ///   - sentCounts: The bytes of each.
  ///   - received: Out: the parts from the ranks, one after the other.
  ///   - receivedCounts: The bytes of each.
  /// - Throws: An error if the connection fails.
  func exchange(
    _ sent: UnsafeRawBufferPointer, counts sentCounts: [Int],
    into received: UnsafeMutableRawBufferPointer, counts receivedCounts: [Int]
  ) throws

  /// Gathers a part of each rank on every rank.
  ///
  /// - Parameters:
  ///   - part: The part of this rank; it may be in its place in `all`, then at every rank.
  ///   - all: Out: the parts of the ranks, one after the other.
  ///   - counts: The bytes of each.
  /// - Throws: An error if the connection fails.
  func gather(
    _ part: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer, counts: [Int]
  ) throws

  /// Gives every rank the bytes of rank 0.
  ///
  /// - Parameter bytes: At rank 0 the bytes. Out: the bytes of rank 0, as many.
  /// - Throws: An error if the connection fails.
  func broadcast(_ bytes: UnsafeMutableRawBufferPointer) throws

  /// Names the step that the following calls belong to, for messages.
  func begin(step: Int)
}

/// One rank alone.
public struct SoloGroup: RankGroup {
  /// Creates the group.
  public init() {}

  /// The number of this rank: 0.
  public var rank: Int { 0 }
  /// The number of ranks: 1.
  public var size: Int { 1 }

  /// Copies the only part.
  public func exchange(
    _ sent: UnsafeRawBufferPointer, counts sentCounts: [Int],
    into received: UnsafeMutableRawBufferPointer, counts receivedCounts: [Int]
  ) { received.copyMemory(from: sent) }

  /// Copies the only part.
  public func gather(
    _ part: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer, counts: [Int]
  ) { all.copyMemory(from: part) }

  /// Leaves the bytes.
  public func broadcast(_ bytes: UnsafeMutableRawBufferPointer) {}

  /// Does nothing: nobody waits.
  public func begin(step: Int) {}
}

extension RankGroup {
  /// Gathers bytes of each rank, of any number, on every rank.
  ///
  /// - Parameter bytes: The bytes of this rank.
  /// - Returns: The bytes of each rank.
  /// - Throws: An error if the connection fails.
  public func gather(_ bytes: [UInt8]) throws -> [[UInt8]] {
    guard size > 1 else { return [bytes] }
    var counts = [Int](repeating: 0, count: size)
    try withUnsafeBytes(of: bytes.count) { own in
      try counts.withUnsafeMutableBytes {
        try gather(own, into: $0, counts: Array(repeating: MemoryLayout<Int>.size, count: size))
      }
    }
    var all = [UInt8](repeating: 0, count: counts.reduce(0, +))
    try bytes.withUnsafeBytes { bytes in
      try all.withUnsafeMutableBytes { try gather(bytes, into: $0, counts: counts) }
    }
    return Self.split(all, counts)
  }

  /// Sends each rank bytes, of any number, and receives bytes from each.
  ///
  /// - Parameter parts: The bytes for each rank.
  /// - Returns: The bytes from each rank.
  /// - Throws: An error if the connection fails.
  func exchange(_ parts: [[UInt8]]) throws -> [[UInt8]] {
    let word = Array(repeating: MemoryLayout<Int>.size, count: size)
    let counts = parts.map(\.count)
    var receivedCounts = [Int](repeating: 0, count: size)
    try counts.withUnsafeBytes { counts in
      try receivedCounts.withUnsafeMutableBytes {
        try exchange(counts, counts: word, into: $0, counts: word)
      }
    }
    var received = [UInt8](repeating: 0, count: receivedCounts.reduce(0, +))
    try Array(parts.joined()).withUnsafeBytes { sent in
      try received.withUnsafeMutableBytes {
        try exchange(sent, counts: counts, into: $0, counts: receivedCounts)
      }
    }
    return Self.split(received, receivedCounts)
  }

  private static func split(_ all: [UInt8], _ counts: [Int]) -> [[UInt8]] {
    var first = 0
    return counts.map { count in
      defer { first += count }
      return Array(all[first..<first + count])
    }
  }
}
