// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The number of threads of the computation.

import CUnrollKernels
import Synchronization

/// Runs a closure over independent streams of a batch, in one part for each thread if each has enough.
///
/// A thread that keeps its streams through many steps waits for no other at each step, and their states stay in
/// its cache.
///
/// - Parameters:
///   - B: The batch size.
///   - least: The minimum number of streams of a part.
///   - body: Called with each part, from several threads at once.
/// - Throws: The errors of the closure for any part.
func forEachPart(
  of B: Int, atLeast least: Int = 8, _ body: (Range<Int>) throws -> Void
) throws {
  try withoutActuallyEscaping(body) { body in
    var parts = Parts(body: body)
    withUnsafeMutablePointer(to: &parts) { parts in
      unroll_for_columns(
        B, least,
        { context, begin, end in
          guard let parts = context?.assumingMemoryBound(to: Parts.self) else { return }
          do {
            try parts.pointee.body(begin..<end)
          } catch {
            parts.pointee.failure.withLock { $0 = error }
          }
        }, parts)
    }
    if let error = parts.failure.withLock({ $0 }) { throw error }
  }
}

/// The data that the parts of `forEachPart` share.
private struct Parts: ~Copyable {
  let body: (Range<Int>) throws -> Void
  let failure = Mutex<(any Error)?>(nil)
}

/// The threads of matrix products and loops, for the whole process; results do not depend on them.
public enum Threads {
  /// The number of threads; 0 for one on each processor that the process may use.
  public static var count: Int {
    get { Int(unroll_threads()) }
    set { unroll_set_threads(Int32(clamping: newValue)) }
  }

  /// The number of threads that a computation uses now.
  public static var used: Int { Int(unroll_thread_count()) }
}
