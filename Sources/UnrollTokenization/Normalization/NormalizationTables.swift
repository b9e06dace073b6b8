// The tables of normalization, read from their texts at the first use.

/// Decompositions, compositions and combining classes of code points.
struct NormalizationTables: Sendable {
  static let shared = NormalizationTables()

  /// The decomposition of a code point into others, which may have decompositions themselves.
  struct Mapping: Sendable {
    let isCompatibility: Bool
    let scalars: [UInt32]
  }

  /// Two code points that one stands for.
  struct Pair: Hashable, Sendable {
    let first: UInt32
    let second: UInt32
  }

  /// The decompositions of code points, except Hangul syllables.
  private(set) var mappings: [UInt32: Mapping] = [:]
  /// The code points that pairs compose to, except Hangul syllables.
  private(set) var compositions: [Pair: UInt32] = [:]
  private var classes: [UInt32: UInt8] = [:]

  /// Reads the tables; the tests compare every entry.
  private init() {
    for entry in entries(of: NormalizationData.decompositions) {
      guard let mark = entry.firstIndex(where: { "=!~".utf8.contains($0) }),
        let scalar = UInt32(hexadecimal: entry[..<mark])
      else { continue }
      let parts = entry[mark...].dropFirst().split(separator: UInt8(ascii: "+"))
        .compactMap { UInt32(hexadecimal: $0) }
      mappings[scalar] = Mapping(
        isCompatibility: entry[mark] == UInt8(ascii: "~"), scalars: parts)
      if entry[mark] == UInt8(ascii: "="), parts.count == 2 {
        compositions[Pair(first: parts[0], second: parts[1])] = scalar
      }
    }
    for entry in entries(of: NormalizationData.combiningClasses) {
      let parts = entry.split(separator: UInt8(ascii: ":"))
      let ends = parts.first?.split(separator: UInt8(ascii: "-"))
        .compactMap { UInt32(hexadecimal: $0) }
      guard let first = ends?.first, let last = ends?.last, first <= last, let digits = parts.last,
        let value = UInt8(Substring(digits))
      else { continue }
      for scalar in first...last { classes[scalar] = value }
    }
  }

  /// Returns the canonical combining class of a code point; 0 for a starter.
  func combiningClass(_ scalar: UInt32) -> UInt8 {
    scalar < 0x300 ? 0 : classes[scalar] ?? 0
  }
}

private func entries(of table: String) -> [Substring.UTF8View] {
  table.utf8.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\n") }
}

extension UInt32 {
  fileprivate init?(hexadecimal digits: Substring.UTF8View) {
    self.init(Substring(digits), radix: 16)
  }
}
