// Temporary files: their names, their locks, and the removal of abandoned ones.

import UnrollTensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The names of temporary files of one target: `.NAME.PID.partial`, or `.NAME.PID-1.partial` and so
/// on where that is taken, by a thread or by a process of another machine or container.
///
/// If the name would be too long for the file system, the end of NAME is left out. Targets may then share their
/// names of temporary files, but never a file.
struct PartialName {
  private let stem: String
  private static let suffix = ".partial"

  /// Forms the names.
  ///
  /// - Parameters:
  ///   - target: The name of the target without its folder.
  ///   - folder: The folder, whose file system limits the length.
  init(of target: String, folder: borrowing Descriptor) {
    let limit = fpathconf(folder.number, CInt(_PC_NAME_MAX))
    // The longest PID, a number of attempts, and the characters around them.
    let room = (limit > 0 ? Int(limit) : 255) - "..2147483647-99.partial".utf8.count
    var name = target.unicodeScalars[...]
    while String(name).utf8.count > max(room, 1) { name.removeLast() }
    stem = ".\(String(name))."
  }

  /// Returns the name of an attempt to create a file in this process.
  func name(attempt: Int) -> String {
    stem + "\(getpid())" + (attempt == 0 ? "" : "-\(attempt)") + Self.suffix
  }

  /// `true` if a name is one of them, of any process.
  func matches(_ name: String) -> Bool {
    // Bytes, since Swift's strings are equal in more ways than names are.
    let bytes = name.utf8
    guard bytes.starts(with: stem.utf8), bytes.reversed().starts(with: Self.suffix.utf8.reversed())
    else { return false }
    let middle = bytes.dropFirst(stem.utf8.count).dropLast(Self.suffix.utf8.count)
    let numbers = middle.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
    let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
    return numbers.count <= 2
      && numbers.allSatisfy { !$0.isEmpty && $0.allSatisfy(digits.contains) }
  }

  /// Removes the files that match and that no living process holds.
  ///
  /// Only regular files of this user; links are not followed. A failure is no harm: the files stay.
  func removeStale(in path: String, _ folder: borrowing Descriptor) {
    for name in Self.names(in: path) where matches(name) { removeIfStale(name, folder) }
  }

  private func removeIfStale(_ name: String, _ folder: borrowing Descriptor) {
    let flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC
    guard PartialFile.isOwnRegularFile(name, folder) else { return }
    let descriptor = Descriptor(retrying { openat(folder.number, name, flags) })
    // Who gets the lock knows that the writer is dead, whatever its PID is now. Whoever would remove
    // this name and reuse it needs the lock as well, so that it still means this file below.
    guard descriptor.isOpen, descriptor.lock(.exclusive) == 0,
      descriptor.isFile(at: name, folder.number)
    else { return }
    unlinkat(folder.number, name, 0)
  }

  private static func names(in path: String) -> [String] {
    guard let folder = opendir(path) else { return [] }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
      // A name that is not UTF-8 is none of ours.
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 1) { String(validatingCString: $0) }
      }
      if let name { names.append(name) }
    }
    return names
  }
}

/// A temporary file that is locked as long as its writer lives.
///
/// The lock belongs to the open file, so that others, such as libhdf5, may open and close the file by
/// its name without losing it. It is a shared one: readers of the file that lock it, as libhdf5 does,
/// are let in, and only who wants to remove it is kept out.
///
/// On file systems without locks none can be taken, and nothing is ever removed. On those that lock
/// for one machine only, another one may remove a file that is being written: its writer then fails
/// and says so.
struct PartialFile: ~Copyable {
  let path: String
  let name: String
  /// Open from before the first byte on: `fsync` reports the errors since then.
  let descriptor: Descriptor

  /// Creates an empty, locked file.
  ///
  /// - Throws: `FileError` if that fails.
  init(
    _ pattern: PartialName, mode: mode_t, in folderPath: String, _ folder: borrowing Descriptor,
    for target: String
  ) throws(FileError) {
    let flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC
    for attempt in 0..<100 {
      let name = pattern.name(attempt: attempt)
      let descriptor = Descriptor(retrying { openat(folder.number, name, flags, mode) })
      if !descriptor.isOpen {
        guard errno != EEXIST else { continue }
        throw FileError("create a file in \(folderPath)", path: target)
      }
      // One who removes stale files may have found this one before it was locked.
      let code = descriptor.lock(.shared)
      guard code != EAGAIN, code != EACCES, descriptor.isFile(at: name, folder.number) else {
        continue
      }
      path = "\(folderPath)/\(name)"
      self.name = name
      self.descriptor = descriptor
      return
    }
    throw FileError("create a file in \(folderPath)", path: target, code: EEXIST)
  }

  /// `true` if the path still leads to the file that was created.
  var isAtItsPath: Bool { descriptor.isFile(at: path, AT_FDCWD) }

  /// `true` if a name is a regular file that belongs to this process's user.
  static func isOwnRegularFile(_ name: String, _ folder: borrowing Descriptor) -> Bool {
    var status = stat()
    return fstatat(folder.number, name, &status, AT_SYMLINK_NOFOLLOW) == 0
      && status.st_mode & S_IFMT == S_IFREG && status.st_uid == geteuid()
  }
}
