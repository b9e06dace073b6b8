// The first bytes of an HDF5 file, read without libhdf5.

/// The superblock of an HDF5 file: the fields that decide whether the file is read at all.
public struct Superblock: Sendable, Hashable {
  /// The eight bytes that an HDF5 file starts with.
  public static let signature: [UInt8] = [0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A]
  /// The number of bytes at the start of a file that `init` looks at.
  public static let size = 48

  /// The version of the superblock; the format has 2.
  public let version: UInt8
  /// `true` if a writer had the file open and did not close it.
  public let isOpenForWriting: Bool
  /// The end of the file as the superblock states it; `nil` if the version is not 2 or 3.
  public let endOfFile: UInt64?

  /// Reads a superblock from the first bytes of a file, or `nil` if there is no signature.
  ///
  /// Source: HDF5 File Format Specification 3.0, II.A.
  public init?(_ bytes: [UInt8]) {
    guard bytes.starts(with: Self.signature), bytes.count >= 12 else { return nil }
    version = bytes[8]
    let (offsetSize, flags) = (bytes[9], bytes[11])
    guard version == 2 || version == 3, offsetSize == 8, bytes.count >= Self.size else {
      isOpenForWriting = false
      endOfFile = nil
      return
    }
    isOpenForWriting = flags & 0b101 != 0
    endOfFile = bytes[28..<36].reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }
}
