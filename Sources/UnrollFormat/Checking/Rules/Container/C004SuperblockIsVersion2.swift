// Rule C004.

import UnrollHDF5

extension Rule {
  /// The superblock MUST be of version 2 and MUST NOT be marked as open for writing.
  static let superblockIsVersion2 = Rule(
    id: "C004", level: .error, cost: .container,
    summary: "The superblock MUST be of version 2 and MUST NOT be marked as open for writing.",
    why: """
      Version 2 has checksums over all metadata; older files have none, and newer ones may be \
      marked as open by a writer that died.
      """,
    example: "The superblock is of version 0, as h5py writes it unless told otherwise.",
    fix: "write the file with libhdf5's version bounds at 1.8, and close it"
  ) { contents in
    guard let superblock = contents.superblock else { return [] }
    if superblock.version == 2, contents.file.count < Superblock.size {
      return [
        Violation(
          object: "/", expected: "a superblock of \(Superblock.size) bytes",
          found: "\(contents.file.count) bytes",
          fix: "copy or download the file again; it is truncated")
      ]
    }
    if superblock.version != 2 || superblock.endOfFile == nil {
      return [
        Violation(
          object: "/", expected: "superblock version 2 with 8-byte offsets",
          found: "version \(superblock.version)",
          fix: "give an Unroll checkpoint; `unroll convert` makes one of an HDF5 file of Keras")
      ]
    }
    guard superblock.isOpenForWriting else { return [] }
    return [
      Violation(
        object: "/", expected: "a file that was closed by its writer",
        found: "the mark of a file open for writing",
        fix: "take an earlier copy: the writer of this one died")
    ]
  }
}
