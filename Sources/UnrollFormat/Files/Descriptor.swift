// An open file of the operating system, closed exactly once.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A file descriptor that is closed with this value.
struct Descriptor: ~Copyable {
  let number: CInt

  /// Takes over what `open` returned; `errno` is of interest if it is not open.
  init(_ number: CInt) { self.number = number }

  deinit {
    // Closing must not change the reason for which it is done.
    let code = errno
    if number >= 0 { close(number) }
    errno = code
  }

  var isOpen: Bool { number >= 0 }

  /// Size, owner and so on; `nil` if the system does not tell.
  var status: stat? {
    var status = stat()
    return fstat(number, &status) == 0 ? status : nil
  }

  /// `true` if a path, relative to a folder, leads to this very file and not to a link to it.
  func isFile(at path: String, _ folder: CInt) -> Bool {
    var other = stat()
    guard let status, fstatat(folder, path, &other, AT_SYMLINK_NOFOLLOW) == 0 else { return false }
    return status.st_dev == other.st_dev && status.st_ino == other.st_ino
  }

  /// Waits until all written data is on disk; `false` with `errno` if that fails.
  func synchronize() -> Bool {
    #if canImport(Darwin)
      // There `fsync` leaves the data in the disk's own memory.
      if retrying({ fcntl(number, F_FULLFSYNC) }) == 0 { return true }
    #endif
    return retrying { fsync(number) } == 0
  }

  /// A lock on a file that belongs to the open file, not to the process.
  enum Lock { case shared, exclusive }

  /// Takes a lock unless another process holds a conflicting one; returns 0, or the error number.
  func lock(_ lock: Lock) -> CInt {
    #if os(Linux)
      // Not `flock`, since libhdf5 takes such locks on the file that it writes.
      let setOpenFileLock: CInt = 37  // F_OFD_SETLK, which Swift does not import.
      var region = flock()
      region.l_type = Int16(lock == .shared ? F_RDLCK : F_WRLCK)
      region.l_whence = Int16(SEEK_SET)
      let status = retrying { fcntl(number, setOpenFileLock, &region) }
    #else
      let status = retrying { flock(number, (lock == .shared ? LOCK_SH : LOCK_EX) | LOCK_NB) }
    #endif
    return status == 0 ? 0 : errno
  }
}

/// Retries a system call on EINTR.
func retrying(_ call: () -> CInt) -> CInt {
  while true {
    let result = call()
    guard result < 0, errno == EINTR else { return result }
  }
}
