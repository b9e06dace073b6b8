// Rule T007.

extension Rule {
  /// The data of a dataset SHOULD start at a multiple of 64 bytes.
  static let dataIsAligned = Rule(
    id: "T007", level: .warning,
    summary: "The data of a dataset SHOULD start at a multiple of 64 bytes.",
    why: "Aligned tensors are used where they are mapped; others may be slower."
  ) { contents in
    contents.datasets.compactMap { path, dataset in
      guard let offset = dataset.offset, offset % UInt64(Layout.alignment) != 0 else { return nil }
      return Violation(
        object: path, expected: "a multiple of \(Layout.alignment)", found: "offset \(offset)",
        fix: "write the file again with `unroll convert`")
    }
  }
}
