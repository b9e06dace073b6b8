// Rule T007.

extension Rule {
  /// The data of a dataset SHOULD start at a multiple of 64 bytes.
  static let dataIsAligned = Rule(
    id: "T007", level: .warning,
    summary: "The data of a dataset SHOULD start at a multiple of 64 bytes.",
    why: "Aligned tensors are used where they are mapped; others may be slower.",
    example: "The data of `/model/layers/00/bias_ih` starts at byte 2,436.",
    fix: Fix.writeAgain,
    repair: .rewriting
  ) { contents in
    contents.datasets.compactMap { path, dataset in
      guard let offset = dataset.offset, offset % UInt64(Layout.alignment) != 0 else { return nil }
      return Violation(
        object: path, expected: "a multiple of \(Layout.alignment)", found: "offset \(offset)")
    }
  }
}
