// Rule S006.

import UnrollHDF5

extension Rule {
  /// A dataset MUST be stored contiguously and unfiltered, or in chunks with Fletcher32.
  static let storageHasAProfile = Rule(
    id: "S006", level: .error,
    summary: """
      A dataset MUST be stored contiguously and unfiltered (live profile), or in chunks of whole \
      rows, of at most 16 MiB, with the filter Fletcher32 (archive profile).
      """,
    why: """
      Contiguous data is mapped into memory where it lies; chunks of whole rows are decoded one \
      after the other in little memory, and their checksums find damage.
      """,
    example: """
      `/model/embedding/weight`, [65, 64], is stored in chunks of [64, 32] with the filter deflate.
      """,
    fix: "write the file again with the tool that made it, its data contiguous"
  ) { contents in
    contents.datasets.compactMap { path, dataset in
      let isLive = dataset.layout == .contiguous && dataset.filters.isEmpty
      let isArchived =
        dataset.layout == .chunked && dataset.rowsPerChunk != nil && dataset.filters.contains(3)
      guard !isLive, !isArchived else { return nil }
      return Violation(
        object: path,
        expected: """
          contiguous, unfiltered storage, or chunks of whole rows, of at most 16 MiB, with Fletcher32
          """,
        found: dataset.storageSummary)
    }
  }
}

extension DatasetDescription {
  /// Layout, chunk and filters in words.
  fileprivate var storageSummary: String {
    let chunk = chunks.map { " of \($0.dimensions.map(String.init).joined(separator: " x "))" }
    let names = filters.map { [1: "deflate", 2: "shuffle", 3: "Fletcher32"][$0] ?? "filter \($0)" }
    return "\(layout.rawValue) storage\(chunk ?? "") with "
      + (names.isEmpty ? "no filter" : names.joined(separator: ", "))
  }
}
