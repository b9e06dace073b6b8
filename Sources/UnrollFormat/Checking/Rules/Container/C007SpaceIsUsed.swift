// Rule C007.

import UnrollHDF5

extension Rule {
  /// At most a tenth of the file SHOULD belong to nothing.
  static let spaceIsUsed = Rule(
    id: "C007", level: .note,
    summary: """
      At most a tenth of the file SHOULD be neither data nor, by a generous estimate, metadata.
      """,
    why: "Objects that are removed or replaced with an HDF5 library leave their bytes behind.",
    example: """
      A file of 20,480,000 bytes has data of 10,000,000: an optimizer was removed with h5py.
      """,
    fix: "write the file again with `unroll repack`, and what was removed is gone",
    repair: .rewriting
  ) { contents in
    guard contents.failure == nil, contents.inventory.stoppedAt == nil else { return [] }
    let used = contents.inventory.objects.reduce(UInt64(16 * 1024)) { $0 &+ $1.sizeBound }
    let size = UInt64(contents.file.count)
    guard used < size, size - used > size / 10 else { return [] }
    return [
      Violation(
        object: Layout.root, expected: "at most \(size / 10) bytes that belong to nothing",
        found: "at least \(size - used) of \(size)")
    ]
  }
}

extension InventoryObject {
  /// No fewer bytes than the object has in a file that is written in one go.
  fileprivate var sizeBound: UInt64 {
    var size: UInt64 = 4096
    for value in attributes.values { size += UInt64(value.printed.utf8.count) + 256 }
    guard case .dataset(let dataset) = kind else { return size }
    return size &+ dataset.storageSize &+ UInt64(dataset.chunks?.count ?? 0) &* 256
  }
}
