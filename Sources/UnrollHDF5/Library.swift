// The one way into libhdf5: a lock, silence on stderr, and errors as Swift errors.

import CHDF5
import Foundation
import Synchronization

/// Guards libhdf5, which is not thread-safe on every platform.
///
/// The only global state of this module. The lock is not recursive: a closure given to `h5` makes
/// one call and never calls `h5` itself.
private let library = Mutex(LibraryState())

private struct LibraryState {
  var isPrepared = false

  /// Keeps the library from running its own code at exit, where a full disk kills the process.
  mutating func prepare() {
    guard !isPrepared else { return }
    isPrepared = true
    H5dont_atexit()
    H5open()
  }
}

/// Calls a function of libhdf5.
///
/// - Parameters:
///   - operation: The operation, for the error: `open dataset`.
///   - file: The path of the file, for the error.
///   - object: The path of the object in the file, for the error.
///   - call: The call. A negative result is a failure.
/// - Returns: The result of the call, not negative.
/// - Throws: `HDF5Error` with the innermost entry of the library's error stack.
func h5<Result: SignedInteger & Sendable>(
  _ operation: String, file: String, object: String = "/", _ call: () -> Result
) throws(HDF5Error) -> Result {
  let (result, reason) = library.withLock { state in
    state.prepare()
    // Printing is a setting of each thread, and Swift's tasks change threads.
    H5Eset_auto2(hid_t(H5E_DEFAULT), nil, nil)
    let result = call()
    return (result, result < 0 ? plain(innermostReason()) : "")
  }
  guard result >= 0 else {
    throw HDF5Error(operation: operation, file: file, object: object, reason: reason)
  }
  return result
}

/// Returns the description of the innermost error on the stack of this thread.
private func innermostReason() -> String {
  var reason = "no reason given by libhdf5"
  withUnsafeMutablePointer(to: &reason) { pointer in
    // Downward: from the call that was made to the one that failed, so the last one stays.
    _ = H5Ewalk2(
      hid_t(H5E_DEFAULT), H5E_WALK_DOWNWARD,
      { _, entry, context in
        if let description = entry?.pointee.desc {
          context?.assumingMemoryBound(to: String.self).pointee = String(cString: description)
        }
        return 0
      }, pointer)
  }
  return reason
}

/// Returns a reason without the addresses and times that libhdf5 adds to failures of the system.
///
/// `file write failed: time = ..., error message = 'No space left on device', buf = ...` becomes
/// `file write failed: no space left on device`.
private func plain(_ reason: String) -> String {
  guard let details = reason.range(of: ": time = "),
    let message = reason.firstMatch(of: /error message = '([^']*)'/)
  else { return reason }
  return reason[..<details.lowerBound] + ": " + message.1.lowercased()
}

/// Returns the number of identifiers of files and their parts that are open, for tests.
func openIdentifierCount() -> Int {
  library.withLock { state in
    state.prepare()
    return Int(unroll_open_count())
  }
}

/// An open HDF5 identifier that is closed exactly once.
struct Handle: ~Copyable {
  let id: hid_t
  private let closeFunction: @convention(c) (hid_t) -> herr_t

  /// Takes over an identifier that a call to libhdf5 opened.
  ///
  /// - Parameters:
  ///   - closeFunction: The function that closes it.
  ///   - operation: The operation, for the error.
  ///   - file: The path of the file, for the error.
  ///   - object: The path of the object, for the error.
  ///   - open: The call.
  /// - Throws: `HDF5Error` if the call fails.
  init(
    _ closeFunction: @escaping @convention(c) (hid_t) -> herr_t, _ operation: String, file: String,
    object: String = "/", open: () -> hid_t
  ) throws(HDF5Error) {
    id = try h5(operation, file: file, object: object, open)
    self.closeFunction = closeFunction
  }

  deinit {
    let (id, closeFunction) = (id, closeFunction)
    _ = library.withLock { _ in closeFunction(id) }
  }

  /// Closes now and reports a failure, which `deinit` cannot.
  ///
  /// - Throws: `HDF5Error` if the library cannot close, as on a full disk.
  consuming func close(file: String, object: String = "/") throws(HDF5Error) {
    let (id, closeFunction) = (id, closeFunction)
    discard self
    _ = try h5("close", file: file, object: object) { closeFunction(id) }
  }
}
