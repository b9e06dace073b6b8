// Rule X010.

import UnrollHDF5

extension Rule {
  /// The bytes that type and shape declare MUST be the bytes that are stored, or what deflate can
  /// make of them.
  static let sizesAreStored = Rule(
    id: "X010", level: .error,
    summary: """
      The bytes that type and shape of a contiguous dataset declare MUST be the bytes that are \
      stored; those of a dataset in chunks MUST be at most 1,100 times as many, and every chunk \
      MUST be stored.
      """,
    why: "A few bytes can declare terabytes; a reader that believes them runs out of memory.",
    example: """
      `/model/embedding/weight` declares the shape [1099511627776, 256] and stores 220 bytes.
      """,
    fix: "do not use the file: its sizes are false"
  ) { contents in
    contents.datasets.compactMap { path, dataset in
      guard [.contiguous, .chunked].contains(dataset.layout), dataset.externalFileCount == 0,
        case .element = dataset.datatype
      else { return nil }
      guard dataset.dimensions != nil else {
        return bomb(path, "no dimensions", stored: dataset.storageSize)
      }
      guard let declared = dataset.declaredByteCount else {
        return bomb(path, "a shape whose size is beyond 2^63 bytes", stored: dataset.storageSize)
      }
      guard dataset.layout == .contiguous else {
        return dataset.chunkBomb(declared).map { bomb(path, $0, stored: dataset.storageSize) }
      }
      guard UInt64(declared) != dataset.storageSize || dataset.offset == nil else { return nil }
      return bomb(path, "\(declared) bytes declared", stored: dataset.storageSize)
    }
  }
}

extension DatasetDescription {
  /// The most that deflate makes of a byte is 1,032.
  private static let largestRatio: UInt64 = 1_100

  /// Returns what is impossible about the sizes of a chunked dataset; `nil` if they are possible.
  fileprivate func chunkBomb(_ declared: Int) -> String? {
    let (bound, overflow) = storageSize.multipliedReportingOverflow(by: Self.largestRatio)
    guard overflow || UInt64(declared) <= bound else { return "\(declared) bytes declared" }
    guard let chunks, let dimensions, chunks.dimensions.count == dimensions.count,
      !chunks.dimensions.contains(0)
    else { return "chunks of another rank or of nothing" }
    var expected: UInt64 = 1
    for (size, chunk) in zip(dimensions, chunks.dimensions) {
      let (product, overflow) = expected.multipliedReportingOverflow(
        by: size / chunk + (size % chunk == 0 ? 0 : 1))
      guard !overflow else { return "more chunks than can be counted" }
      expected = product
    }
    return expected == chunks.count ? nil : "\(expected) chunks declared and \(chunks.count) there"
  }
}

private func bomb(_ path: String, _ declared: String, stored: UInt64) -> Violation {
  Violation(
    object: path, expected: "as many bytes stored as declared",
    found: "\(declared), \(stored) stored")
}
