// Rule X011.

extension Rule {
  /// All data in chunks MUST decode to at most 16 times the size of the file and 32 MiB more, each
  /// chunk counted with 1 KiB more.
  static let decodedDataIsBounded = Rule(
    id: "X011", level: .error,
    summary: """
      All data in chunks MUST decode to at most 16 times the size of the file and 32 MiB more, \
      each chunk counted with 1 KiB more.
      """,
    why: """
      Deflate makes 1,000 bytes of one, many chunks can claim the same bytes, and a chunk costs its \
      reader as much time as a KiB: a small file would fill the disk and the time of its reader.
      """,
    example: """
      `/optimizer/state/momentum` decodes to 2,147,483,648 zeros, and the file has 2,108,769 bytes.
      """,
    fix: "do not use the file; if it is your own, write it with its data contiguous"
  ) { contents in
    // False sizes have no sum: they are X010's finding.
    guard Rule.sizesAreStored.check(contents).isEmpty else { return [] }
    let size = contents.file.count
    let (multiple, isHuge) = size.multipliedReportingOverflow(by: 16)
    let (bound, overflow) = multiple.addingReportingOverflow(32 << 20)
    guard !isHuge, !overflow else { return [] }
    var left = bound
    for (path, dataset) in contents.datasets where dataset.layout == .chunked {
      // A dataset without a size is X006's finding.
      let data = dataset.declaredByteCount ?? 0
      // No file has more chunks than bytes, whatever its index says.
      let chunks = min(Int(clamping: dataset.chunks?.count ?? 0), size) * chunkOverhead
      let (sum, isTooLarge) = data.addingReportingOverflow(chunks)
      let count = isTooLarge ? Int.max : sum
      guard count > left else {
        left -= count
        continue
      }
      return [
        Violation(
          object: path,
          expected: "at most \(bound) bytes of decoded data and chunks in a file of \(size)",
          found: "\(count) here after \(bound - left) before")
      ]
    }
    return []
  }
}

/// The bytes that a chunk counts for beside its data, for the time that finding it takes.
private let chunkOverhead = 1024
