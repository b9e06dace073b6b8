// A file that appears whole, or not at all.

import UnrollTensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A file under a temporary name beside its final one.
///
/// Write to `temporaryPath`, then `commit` or `discard`. Until `commit` has renamed the file, the
/// final name has the old file or none, whatever happens to the process, the disk or the power; from
/// then on it has the new one. A reader that has the old file open or mapped keeps it.
///
/// A process that is killed leaves the temporary file, `.NAME.PID.partial`. The next one that writes
/// the same file removes it: see `PartialFile`. Of two processes that write one file at once the last
/// wins, or the first if `replacing` is `false`; never a mix.
///
/// A new file has the permissions that the umask leaves. One that replaces another keeps its
/// permissions, owner and group as far as the system allows; while it is written only its owner can
/// read it. Access control lists and extended attributes are not kept. What is no regular file, a
/// symbolic link too, is never replaced.
package struct AtomicFile: ~Copyable {
  /// The path to write to, in the folder of the final one.
  ///
  /// The file exists and must stay the same: empty it, but do not replace it.
  package var temporaryPath: String { partial.path }
  private let path: String
  private let name: String
  private let folder: Descriptor
  private let partial: PartialFile
  private let replacing: Bool
  private let replaced: stat?

  /// Creates an empty temporary file, after removing the temporary files of killed processes.
  ///
  /// - Throws: `FileError`: the errors of `check`, or if the folder cannot be read and written.
  package init(_ path: String, replacing: Bool) throws(FileError) {
    let replaced = try Self.check(path, replacing: replacing)
    let slash = path.utf8.lastIndex(of: UInt8(ascii: "/"))
    let folderPath = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let name = slash.map { String(path[path.utf8.index(after: $0)...]) } ?? path
    // Open from the start, since only what can be opened can be synchronized at the end.
    let folder = Descriptor(retrying { open(folderPath, O_RDONLY | O_DIRECTORY | O_CLOEXEC) })
    guard folder.isOpen else { throw FileError("create a file in \(folderPath)", path: path) }
    let pattern = PartialName(of: name, folder: folder)
    pattern.removeStale(in: folderPath, folder)
    // A private file must not be public while it is written.
    let mode: mode_t = replaced == nil ? 0o666 : 0o600
    partial = try PartialFile(pattern, mode: mode, in: folderPath, folder, for: path)
    self.folder = folder
    self.path = path
    self.name = name
    self.replacing = replacing
    self.replaced = replaced
  }

  /// Checks that a file may be written, as `init` does, without writing anything.
  ///
  /// - Returns: The status of the file that will be replaced, or `nil` if there is none.
  /// - Throws: `FileError`: `EEXIST` if there is a file that is not to be replaced, `EINVAL` if it is
  ///   no regular file, and the system's code if there cannot be one.
  @discardableResult
  package static func check(_ path: String, replacing: Bool) throws(FileError) -> stat? {
    var status = stat()
    guard lstat(path, &status) == 0 else {
      guard errno == ENOENT else { throw FileError("write", path: path) }
      return nil
    }
    guard replacing else { throw FileError("write", path: path, code: EEXIST) }
    switch status.st_mode & S_IFMT {
    case S_IFREG: return status
    case S_IFLNK: throw FileError("replace a symbolic link", path: path, code: EINVAL)
    default: throw FileError("replace what is no regular file", path: path, code: EINVAL)
    }
  }

  /// Gives the file its name, after every byte is on disk.
  ///
  /// - Throws: `FileError` if that fails. If only the synchronization of the folder fails, the file
  ///   has its name but may lose it with the power.
  package func commit() throws(FileError) {
    // A cleaner of temporary files, or a folder that was moved, may have led the writer elsewhere.
    guard partial.isAtItsPath else {
      throw FileError("find its temporary file \(temporaryPath)", path: path, code: ENOENT)
    }
    takeOverPermissions()
    guard partial.descriptor.synchronize() else { throw FileError("synchronize", path: path) }
    try rename()
    // Some file systems have nothing to synchronize in a folder.
    guard folder.synchronize() || errno == EINVAL else {
      throw FileError("synchronize the folder of", path: path)
    }
  }

  /// Gives a file beside an atomic one its name, after every byte is on disk.
  ///
  /// - Parameters:
  ///   - temporary: Its path until then.
  ///   - path: Its path from then on; a file there is replaced.
  /// - Throws: `FileError` if that fails.
  package static func rename(_ temporary: String, to path: String) throws(FileError) {
    let file = Descriptor(retrying { open(temporary, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) })
    guard file.isOpen else { throw FileError("find its temporary file \(temporary)", path: path) }
    guard file.synchronize() else { throw FileError("synchronize", path: path) }
    guard renameat(AT_FDCWD, temporary, AT_FDCWD, path) == 0 else {
      throw FileError("rename to", path: path)
    }
  }

  /// Removes the temporary file.
  package func discard() { unlinkat(folder.number, partial.name, 0) }

  /// Gives the new file the owner, group and permissions of the one that it replaces.
  ///
  /// If the system refuses, the file keeps fewer permissions: that is no reason to lose it.
  private func takeOverPermissions() {
    guard let replaced, let status = partial.descriptor.status else { return }
    var mode = replaced.st_mode & 0o777
    let isOthers = replaced.st_uid != status.st_uid || replaced.st_gid != status.st_gid
    if isOthers, fchown(partial.descriptor.number, replaced.st_uid, replaced.st_gid) != 0,
      fchown(partial.descriptor.number, uid_t.max, replaced.st_gid) != 0
    {
      // The members of another group are to get no more than they had, which is what others had.
      mode = mode & 0o707 | (mode & 0o007) << 3
    }
    fchmod(partial.descriptor.number, mode)
  }

  private func rename() throws(FileError) {
    if replacing {
      guard renameat(folder.number, partial.name, folder.number, name) == 0 else {
        throw FileError("rename to", path: path)
      }
      return
    }
    // A link fails where a name exists, even one that appeared while this file was written.
    if linkat(folder.number, partial.name, folder.number, name, 0) == 0 {
      discard()
      return
    }
    guard errno != EEXIST else { throw FileError("write", path: path) }
    // File systems without hard links.
    try Self.check(path, replacing: false)
    guard renameat(folder.number, partial.name, folder.number, name) == 0 else {
      throw FileError("rename to", path: path)
    }
  }
}
