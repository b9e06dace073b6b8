// Files that are written while the tool works.

import Foundation
import UnrollTensors

/// An open file, which is closed with the last reference to it.
///
/// A class because a descriptor has exactly one end.
final class OpenFile: Sendable {
  let descriptor: Int32
  private let path: String

  /// Takes over an open file.
  ///
  /// - Parameters:
  ///   - descriptor: The file's.
  ///   - path: The path for errors.
  init(descriptor: Int32, path: String) {
    self.descriptor = descriptor
    self.path = path
  }

  /// Opens a file for writing.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - flags: The flags of `open` beside `O_WRONLY` and `O_CLOEXEC`.
  /// - Throws: `FileError` if it cannot be opened.
  convenience init(_ path: String, _ flags: Int32) throws(FileError) {
    let descriptor = open(path, flags | O_WRONLY | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw FileError("open", path: path) }
    self.init(descriptor: descriptor, path: path)
  }

  deinit { close(descriptor) }

  /// Writes bytes.
  ///
  /// - Throws: `FileError` if not all can be written.
  func write(_ bytes: some Sequence<UInt8>) throws(FileError) {
    guard writeAll(Array(bytes), to: descriptor) else { throw FileError("write", path: path) }
  }
}

/// Writes bytes to a descriptor, with as many calls as that takes.
///
/// - Returns: `false`, with `errno`, if not all could be written.
@discardableResult
func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
  var rest = bytes[...]
  while !rest.isEmpty {
    let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    if count < 0 && errno == EINTR { continue }
    guard count > 0 else { return false }
    rest = rest.dropFirst(count)
  }
  return true
}
