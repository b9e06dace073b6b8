// A file that appears whole, or not at all.

import UnrollTensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A file under a temporary name beside its final one.
///
/// Write to `temporaryPath`, then `commit` or `discard`. A process that is killed leaves the
/// temporary file, `.NAME.PID.partial`, which is safe to delete.
package struct AtomicFile {
  /// The path to write to, in the folder of the final one.
  package let temporaryPath: String
  private let path: String
  private let folder: String
  private let replacing: Bool

  /// Creates an empty temporary file.
  ///
  /// - Throws: `FileError`: `EEXIST` if the final path exists and is not to be replaced.
  package init(_ path: String, replacing: Bool) throws(FileError) {
    var status = stat()
    if lstat(path, &status) == 0 {
      guard replacing else { throw FileError("write", path: path, code: EEXIST) }
      guard status.st_mode & S_IFMT == S_IFREG else {
        throw FileError("replace what is no regular file", path: path, code: EINVAL)
      }
    }
    let slash = path.lastIndex(of: "/")
    folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let name = slash.map { path[path.index(after: $0)...] } ?? path[...]
    temporaryPath = "\(folder)/.\(name).\(getpid()).partial"
    self.path = path
    self.replacing = replacing
    let descriptor = open(temporaryPath, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw FileError("create a file in \(folder)", path: path) }
    close(descriptor)
  }

  /// Gives the file its name, after every byte is on disk.
  ///
  /// - Throws: `FileError` if that fails.
  package func commit() throws(FileError) {
    try synchronize(temporaryPath)
    try rename()
    try synchronize(folder)
  }

  /// Removes the temporary file.
  package func discard() { unlink(temporaryPath) }

  private func synchronize(_ path: String) throws(FileError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError("open", path: path) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw FileError("synchronize", path: path) }
  }

  private func rename() throws(FileError) {
    if replacing {
      guard Self.rename(temporaryPath, path) == 0 else { throw FileError("rename to", path: path) }
      return
    }
    // A link fails where a name exists, even one that appeared while this file was written.
    if link(temporaryPath, path) == 0 {
      unlink(temporaryPath)
      return
    }
    guard errno != EEXIST else { throw FileError("write", path: path) }
    // File systems without hard links.
    guard access(path, F_OK) != 0 else { throw FileError("write", path: path, code: EEXIST) }
    guard Self.rename(temporaryPath, path) == 0 else { throw FileError("rename to", path: path) }
  }

  private static func rename(_ from: String, _ to: String) -> CInt {
    #if canImport(Glibc)
      Glibc.rename(from, to)
    #else
      Darwin.rename(from, to)
    #endif
  }
}
