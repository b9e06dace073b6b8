// The one error of this module.

import UnrollTensors

/// A call to libhdf5 that failed.
public struct HDF5Error: Error, Sendable, Hashable, CustomStringConvertible {
  /// The operation that failed, such as `open dataset`.
  public let operation: String
  /// The file's path.
  public let file: String
  /// The object's path in the file.
  public let object: String
  /// The library's innermost reason.
  public let reason: String

  /// Returns the same error of a file under another name.
  public func naming(_ path: String) -> HDF5Error {
    HDF5Error(operation: operation, file: path, object: object, reason: reason)
  }

  /// File, object, operation and reason in one line.
  public var description: String { "\(printable(file)): \(object): cannot \(operation): \(reason)" }
}
