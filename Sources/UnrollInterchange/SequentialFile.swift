// A file that is written sequentially.

import UnrollTensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A file open for writing, closed exactly once.
struct SequentialFile: ~Copyable {
  /// The path, for messages.
  let path: String
  /// The number of bytes written.
  private(set) var position = 0
  private var descriptor: CInt
  private let behind: WriteBehind

  /// Opens an existing file and truncates it.
  ///
  /// - Throws: `FileError` if it cannot be opened.
  init(emptying path: String) throws(FileError) {
    self.path = path
    descriptor = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC)
    behind = WriteBehind(path: path)
    guard descriptor >= 0 else { throw FileError("open", path: path) }
  }

  /// Creates a file, or truncates it.
  ///
  /// - Throws: `FileError` if it cannot be opened, or is a symbolic link.
  init(creating path: String) throws(FileError) {
    self.path = path
    descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o666)
    behind = WriteBehind(path: path)
    guard descriptor >= 0 else { throw FileError("create", path: path) }
  }

  deinit {
    if descriptor >= 0 { _ = systemClose(descriptor) }
  }

  /// Appends bytes.
  ///
  /// - Throws: `FileError`, with `ENOSPC` on a full disk.
  mutating func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
    var rest = bytes
    while !rest.isEmpty {
      let count = systemWrite(
        descriptor, UnsafeRawBufferPointer(rebasing: rest.prefix(WriteBehind.blockSize)))
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw FileError("write", path: path) }
      position += count
      behind.advance(to: position)
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
  }

  /// Appends the bytes of a tensor.
  ///
  /// - Parameters:
  ///   - tensor: The tensor.
  ///   - progress: Called with the number of bytes written since the last call.
  /// - Throws: `FileError`, with `ENOSPC` on a full disk.
  mutating func write(_ tensor: Tensor, progress: (Int) -> Void) throws {
    let blockSize = WriteBehind.blockSize
    try tensor.withUnsafeBytes { bytes in
      for start in stride(from: 0, to: bytes.count, by: blockSize) {
        let block = bytes[start..<min(start + blockSize, bytes.count)]
        try write(UnsafeRawBufferPointer(rebasing: block))
        progress(block.count)
      }
    }
  }

  /// Closes the file; some file systems report a full disk only here.
  ///
  /// - Throws: `FileError` if closing fails.
  mutating func close() throws(FileError) {
    defer { descriptor = -1 }
    guard systemClose(descriptor) == 0 else { throw FileError("close", path: path) }
  }
}

/// The corresponding C function is `close`.
private func systemClose(_ descriptor: CInt) -> CInt { close(descriptor) }

/// The corresponding C function is `write`.
private func systemWrite(_ descriptor: CInt, _ bytes: UnsafeRawBufferPointer) -> Int {
  write(descriptor, bytes.baseAddress, bytes.count)
}
