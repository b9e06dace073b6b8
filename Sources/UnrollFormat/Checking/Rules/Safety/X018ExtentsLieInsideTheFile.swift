// Rule X018.

extension Rule {
  /// The bytes of a dataset MUST lie inside the file.
  static let extentsLieInsideTheFile = Rule(
    id: "X018", level: .error,
    summary: "The bytes of a dataset MUST lie inside the file.",
    why: "Memory is mapped at these places; outside the file there is nothing to map.",
    example: """
      `/model/embedding/weight` has 220 bytes from byte 1,099,511,627,776 of a file of 12,490.
      """,
    fix: "copy or download the file again; it is truncated or damaged"
  ) { contents in
    let size = UInt64(contents.file.count)
    return contents.datasets.compactMap { path, dataset in
      guard let offset = dataset.offset else { return nil }
      let (end, overflow) = offset.addingReportingOverflow(dataset.storageSize)
      guard overflow || end > size else { return nil }
      return Violation(
        object: path, expected: "bytes inside the file's \(size)",
        found: "\(dataset.storageSize) bytes from \(offset)")
    }
  }
}
