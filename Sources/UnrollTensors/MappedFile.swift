// Read-only access to the bytes of a file through the page cache.

import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// An operation of the operating system on a file that failed.
public struct FileError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The operation that failed, such as `open`.
  public let operation: String
  /// The file's path as the caller gave it.
  public let path: String
  /// The system's error number.
  public let code: Int32

  /// Describes a failed operation; `code` defaults to `errno`.
  public init(_ operation: String, path: String, code: Int32 = errno) {
    self.operation = operation
    self.path = path
    self.code = code
  }

  /// The path, the operation and the system's reason.
  public var description: String {
    "\(printable(path)): cannot \(operation): \(String(cString: strerror(code)).lowercased())"
  }
}

/// The bytes of a regular file, mapped read-only; unmapped when the last reference goes.
///
/// A class because a mapping has identity and exactly one end. The bytes are those on disk: the
/// file must not be truncated while it is mapped (files that Unroll writes are replaced by rename,
/// never changed in place).
public final class MappedFile: Sendable {
  /// The path that was opened.
  public let path: String
  /// The size in bytes.
  public let count: Int
  /// The digests of parts of the file, cached by the code that computes them: large parts are requested more
  /// than once.
  package let digests = Mutex<[Range<Int>: String]>([:])
  private nonisolated(unsafe) let base: UnsafeRawPointer?

  /// Maps a file.
  ///
  /// - Throws: `FileError` if the path cannot be opened or is not a regular file.
  public convenience init(path: String) throws(FileError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw FileError("open", path: path) }
    defer { close(descriptor) }
    try self.init(descriptor: descriptor, path: path)
  }

  /// Maps an open file, which stays open.
  ///
  /// - Throws: `FileError` if it is not a regular file.
  package init(descriptor: Int32, path: String) throws(FileError) {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw FileError("examine", path: path) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      let isDirectory = status.st_mode & S_IFMT == S_IFDIR
      throw isDirectory
        ? FileError("read", path: path, code: EISDIR)
        : FileError("read what is no regular file", path: path, code: EINVAL)
    }
    self.path = path
    count = Int(status.st_size)
    guard count > 0 else {
      base = nil
      return
    }
    guard let pointer = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0),
      pointer != MAP_FAILED
    else { throw FileError("map", path: path) }
    base = UnsafeRawPointer(pointer)
  }

  deinit {
    if let base { munmap(UnsafeMutableRawPointer(mutating: base), count) }
  }

  /// All bytes of the file.
  ///
  /// Valid while this object lives: use it through `ByteStorage`.
  package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

  /// Copies a range of bytes, clamped to the file.
  public func copy(_ range: Range<Int>) -> [UInt8] {
    [UInt8](bytes[range.clamped(to: 0..<count)])
  }
}
