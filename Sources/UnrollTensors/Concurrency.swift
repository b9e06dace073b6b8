// Independent work on all cores.

import Dispatch
import Synchronization

/// Calls a closure for each number below a count, several at once, and waits for all.
///
/// - Parameters:
///   - count: The number of calls.
///   - body: The closure; no two calls may touch the same data.
/// - Throws: The error of the failed call with the lowest number, after all calls were made.
package func forEachConcurrently<Failure>(
  _ count: Int, _ body: (Int) throws(Failure) -> Void
) throws(Failure) {
  let failure = Mutex<(index: Int, error: Failure)?>(nil)
  withoutActuallyEscaping(body) { body in
    // The compiler cannot see that calls touch different things.
    nonisolated(unsafe) let body = body
    DispatchQueue.concurrentPerform(iterations: count) { index in
      do throws(Failure) {
        try body(index)
      } catch {
        failure.withLock { if $0.map({ index < $0.index }) ?? true { $0 = (index, error) } }
      }
    }
  }
  if let error = failure.withLock({ $0?.error }) { throw error }
}

/// Returns the results of a closure for the elements of an array, several computed at once.
///
/// - Parameters:
///   - elements: The elements.
///   - body: The closure; no two calls may touch the same data.
/// - Returns: The results in the order of the elements.
/// - Throws: The error of the first element whose call failed.
package func concurrentMap<Element, Result, Failure>(
  _ elements: [Element], _ body: (Element) throws(Failure) -> Result
) throws(Failure) -> [Result] {
  var results = [Result?](repeating: nil, count: elements.count)
  try results.withUnsafeMutableBufferPointer { results throws(Failure) in
    try forEachConcurrently(elements.count) { index throws(Failure) in
      results[index] = try body(elements[index])
    }
  }
  return results.compactMap { $0 }
}
