// Rule X010.

extension Rule {
  /// The bytes that type and shape of a contiguous dataset declare MUST be the bytes that are
  /// stored.
  static let sizesAreStored = Rule(
    id: "X010", level: .error,
    summary: """
      The bytes that type and shape of a contiguous dataset declare MUST be the bytes that are \
      stored.
      """,
    why: "A few bytes can declare terabytes; a reader that believes them runs out of memory.",
    example: """
      `/model/embedding/weight` declares the shape [1099511627776, 256] and stores 220 bytes.
      """,
    fix: "do not use the file: its sizes are false"
  ) { contents in
    contents.datasets.compactMap { path, dataset in
      guard dataset.layout == .contiguous, dataset.externalFileCount == 0,
        case .element = dataset.datatype
      else { return nil }
      guard dataset.dimensions != nil else {
        return bomb(path, "no dimensions", stored: dataset.storageSize)
      }
      guard let declared = dataset.declaredByteCount else {
        return bomb(path, "a shape whose size is beyond 2^63 bytes", stored: dataset.storageSize)
      }
      guard UInt64(declared) != dataset.storageSize || dataset.offset == nil else { return nil }
      return bomb(path, "\(declared) bytes declared", stored: dataset.storageSize)
    }
  }
}

private func bomb(_ path: String, _ declared: String, stored: UInt64) -> Violation {
  Violation(
    object: path, expected: "as many bytes stored as declared",
    found: "\(declared), \(stored) stored")
}
