// Texts that grow line by line and do not stay in memory.

import UnrollTensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A text under construction; what does not fit into a small buffer is in a temporary file without a name.
///
/// The parts of a page about a long text are as large as the page: kept in memory, they would be a good part of what a small
/// model needs.
package struct LongText: Sendable {
  /// The number of bytes, in UTF-8.
  package private(set) var byteCount = 0
  private var buffer = ""
  /// The file; `nil` as long as the buffer has the whole text.
  private var file: NamelessFile?
  /// The sizes of the pieces in the file, which are whole characters.
  private var sizes: [Int] = []

  private static let bufferSize = 128 << 10

  /// Creates a text.
  package init(_ text: String = "") {
    (buffer, byteCount) = (text, text.utf8.count)
  }

  package var isEmpty: Bool { byteCount == 0 }

  /// Adds a text at the end.
  ///
  /// - Throws: `FileError` if the temporary file cannot be written.
  package mutating func append(_ text: String) throws(FileError) {
    buffer += text
    byteCount += text.utf8.count
    guard buffer.utf8.count >= Self.bufferSize else { return }
    if file == nil { file = try NamelessFile() }
    try file?.append(buffer)
    sizes.append(buffer.utf8.count)
    buffer.removeAll(keepingCapacity: true)
  }

  /// Writes the text, piece by piece.
  ///
  /// - Parameters:
  ///   - output: The place to write to.
  ///   - change: Returns a piece as it is written.
  /// - Throws: `FileError` if the temporary file cannot be read.
  func write(to output: inout some TextOutputStream, _ change: (String) -> String) throws(FileError)
  {
    var place = 0
    for size in sizes {
      guard let file else { break }
      output.write(change(try file.read(at: place, count: size)))
      place += size
    }
    output.write(change(buffer))
  }
}

/// A temporary file that is removed already, so that nothing of it stays, however the process ends.
///
/// A class because a descriptor has exactly one end.
private final class NamelessFile: Sendable {
  private let descriptor: Int32

  init() throws(FileError) {
    let folder = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var name = Array("\(folder)/unroll.XXXXXX".utf8CString)
    descriptor = mkstemp(&name)
    guard descriptor >= 0 else { throw FileError("create a temporary file", path: folder) }
    unlink(name)
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
  }

  deinit { close(descriptor) }

  func append(_ text: String) throws(FileError) {
    var text = text
    let isWritten = text.withUTF8 { bytes in
      var rest = bytes[...]
      while !rest.isEmpty {
        let count = write(descriptor, UnsafeBufferPointer(rebasing: rest).baseAddress, rest.count)
        if count < 0 && errno == EINTR { continue }
        guard count > 0 else { return false }
        rest = rest.dropFirst(count)
      }
      return true
    }
    guard isWritten else { throw FileError("write", path: "a temporary file") }
  }

  func read(at place: Int, count: Int) throws(FileError) -> String {
    var done = 0
    let text = String(unsafeUninitializedCapacity: count) { bytes in
      while done < count {
        let more = pread(
          descriptor, bytes.baseAddress.map { $0 + done }, count - done, off_t(place + done))
        if more < 0 && errno == EINTR { continue }
        guard more > 0 else { break }
        done += more
      }
      return done
    }
    guard done == count else { throw FileError("read", path: "a temporary file") }
    return text
  }
}
