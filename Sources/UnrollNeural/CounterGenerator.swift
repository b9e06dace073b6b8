// Random numbers by their index in a sequence.

import CUnrollKernels

/// Philox4x32-10 as Swift's random functions take it (Salmon and others 2011, "Parallel random numbers").
///
/// The n-th number of a seed is the same everywhere.
public struct CounterGenerator: RandomNumberGenerator, Sendable {
  private let seed: UInt32
  private let stream: UInt32
  private var counter: UInt64 = 0
  /// One block of the generator; the numbers of it that are left.
  private var block: [UInt32] = [0, 0, 0, 0]
  private var left = 0

  /// Begins a sequence.
  ///
  /// - Parameters:
  ///   - seed: The random seed.
  ///   - stream: The number of the sequence among those of the seed.
  public init(seed: UInt32, stream: UInt32 = 0) { (self.seed, self.stream) = (seed, stream) }

  /// Returns the next 64 bits.
  public mutating func next() -> UInt64 {
    if left == 0 {
      (block[0], block[1]) = (UInt32(truncatingIfNeeded: counter), UInt32(counter >> 32))
      (block[2], block[3]) = (stream, 0)
      unroll_philox(&block, seed, 0x7361_6d70)
      (counter, left) = (counter + 1, 2)
    }
    left -= 1
    return UInt64(block[2 * left + 1]) << 32 | UInt64(block[2 * left])
  }
}
