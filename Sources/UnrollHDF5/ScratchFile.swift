// A temporary file without a name.

import UnrollTensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A file without a name for decoded bytes; the system removes it when nothing uses it any more.
package final class ScratchFile {
  package let descriptor: Int32
  let path: String
  private var hasName = false

  /// Creates a file of a size, its space reserved.
  package init(byteCount: Int) throws(FileError) {
    let folder = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array("\(folder)/unroll.XXXXXX".utf8CString)
    descriptor = mkstemp(&template)
    path = template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
    guard descriptor >= 0 else { throw FileError("create a temporary file", path: folder) }
    unlink(path)
    #if os(Linux)
      let code = posix_fallocate(descriptor, 0, off_t(byteCount))
    #else
      let code = ftruncate(descriptor, off_t(byteCount)) == 0 ? 0 : errno
    #endif
    guard code == 0 else {
      throw FileError("reserve \(byteCount) bytes for decoded data", path: folder, code: code)
    }
  }

  /// Creates an empty file that libhdf5 can open by its name, which only this process's user can read;
  /// it loses the name with this value at the latest.
  init(beside neighbour: String) throws(FileError) {
    var template = Array("\(neighbour).XXXXXX".utf8CString)
    descriptor = mkstemp(&template)
    path = template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
    guard descriptor >= 0 else { throw FileError("create a temporary file", path: neighbour) }
    hasName = true
  }

  /// Takes away the name that `init(beside:)` gave.
  func removeName() {
    if hasName { unlink(path) }
    hasName = false
  }

  deinit {
    removeName()
    close(descriptor)
  }

  /// Returns the bytes, mapped.
  package func map() throws(FileError) -> MappedFile {
    try MappedFile(descriptor: descriptor, path: path)
  }
}
