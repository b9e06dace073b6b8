// Rule V001.

import UnrollTensors

extension Rule {
  /// `token_offsets` MUST be `size` + 1 numbers that start at 0, never decrease, and end at
  /// the length of `token_bytes`.
  static let offsetsLeadThroughTheTokens = Rule(
    id: "V001", level: .error,
    summary: """
      `token_offsets` MUST be `size` + 1 numbers that start at 0, never decrease, and end at \
      the length of `token_bytes`.
      """,
    why: "Offsets cut the bytes into tokens; wrong ones read outside.",
    example: """
      `/vocabulary/token_offsets` holds 0, 3, 2, so that the second token ends before it \
      begins.
      """,
    fix: Fix.convertWithVocabulary
  ) { contents in
    guard let size = contents.integer(Layout.vocabulary, AttributeName.size),
      let bytes = contents.tensor(Layout.tokenBytes),
      let offsets = contents.tensor(Layout.tokenOffsets)
    else { return [] }
    func violation(_ expected: String, _ found: String) -> [Violation] {
      [
        Violation(
          object: Layout.tokenOffsets, expected: expected, found: found)
      ]
    }
    guard offsets.elementCount - 1 == size else {
      return violation("\(size) + 1 numbers", "\(offsets.elementCount)")
    }
    // A vocabulary that could be read has valid offsets.
    guard contents.vocabulary == nil else { return [] }
    let values = offsets.withUnsafeBytes { $0.elements(of: UInt64.self) { $0 } }
    guard values.first == 0, values.last == UInt64(bytes.elementCount) else {
      return violation(
        "numbers from 0 to \(bytes.elementCount)", "\(values.first ?? 0) to \(values.last ?? 0)")
    }
    guard let drop = zip(values, values.dropFirst()).enumerated().first(where: { $1.0 > $1.1 })
    else {
      return []
    }
    return violation(
      "numbers that never decrease", "\(drop.element.0) before \(drop.element.1) at \(drop.offset)")
  }
}
