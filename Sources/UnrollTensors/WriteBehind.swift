// The disk works while a file is written.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Hands the bytes of a file to the disk while more are written, instead of all at the end.
///
/// These are hints to the system, of which nothing depends: errors of the disk come out when the file is
/// synchronized. Other systems than Linux do without.
package final class WriteBehind {
  /// The number of bytes that are handed over at a time; as many are best written at once.
  package static let blockSize = 4 << 20
  /// Negative if the file could not be opened.
  private let descriptor: CInt
  private var handedOver = 0

  /// Creates a hint for an empty file that will be written front to back.
  package init(path: String) { descriptor = open(path, O_WRONLY | O_CLOEXEC) }

  deinit {
    if descriptor >= 0 { close(descriptor) }
  }

  /// Hands over the bytes before an offset, all of which were written.
  package func advance(to position: Int) {
    #if canImport(Glibc)
      while position - handedOver >= Self.blockSize {
        // Linux begins to write dirty pages.
        posix_fadvise(
          descriptor, off_t(handedOver), off_t(Self.blockSize), POSIX_FADV_DONTNEED)
        handedOver += Self.blockSize
      }
    #endif
  }
}
