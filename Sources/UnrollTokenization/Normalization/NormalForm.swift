// The normal forms of Unicode: decomposition, canonical order, composition.

/// A normal form of Unicode, as Unicode Standard Annex #15 defines it.
///
/// The tables are those of Unicode 15.1. The library tokenizers 0.23.3 has those of Unicode 12.0, where
/// the 135 code points with a decomposition that are newer stay as they are.
package enum NormalForm: String, Sendable {
  /// Canonical decomposition, then composition.
  case nfc = "NFC"
  /// Canonical decomposition.
  case nfd = "NFD"
  /// Compatibility decomposition, then composition.
  case nfkc = "NFKC"
  /// Compatibility decomposition.
  case nfkd = "NFKD"

  /// Returns a text in this form.
  package func of(_ text: String) -> String {
    // ASCII is in every form.
    guard text.utf8.contains(where: { $0 >= 0x80 }) else { return text }
    let tables = NormalizationTables.shared
    let isCompatibility = self == .nfkc || self == .nfkd
    var scalars: [UInt32] = []
    scalars.reserveCapacity(text.utf8.count)
    for scalar in text.unicodeScalars {
      tables.decompose(scalar.value, isCompatibility: isCompatibility, into: &scalars)
    }
    tables.order(&scalars)
    if self == .nfc || self == .nfkc { tables.compose(&scalars) }
    return String(decoding: scalars, as: UTF32.self)
  }
}

extension NormalizationTables {
  /// Adds the full decomposition of a code point.
  fileprivate func decompose(
    _ scalar: UInt32, isCompatibility: Bool, into scalars: inout [UInt32]
  ) {
    if let syllable = HangulSyllable(scalar) {
      scalars += syllable.jamo
    } else if scalar >= 0xA0, let mapping = mappings[scalar],
      isCompatibility || !mapping.isCompatibility
    {
      for part in mapping.scalars {
        decompose(part, isCompatibility: isCompatibility, into: &scalars)
      }
    } else {
      scalars.append(scalar)
    }
  }

  /// Sorts each run of code points of classes other than 0 by class; equal classes keep their order.
  fileprivate func order(_ scalars: inout [UInt32]) {
    var start = 0
    while start < scalars.count {
      var end = start
      while end < scalars.count, combiningClass(scalars[end]) != 0 { end += 1 }
      if end - start > 1 {
        let marks = scalars[start..<end].enumerated().map { offset, scalar in
          (key: combiningClass(scalar), offset: offset, scalar: scalar)
        }
        let ordered = marks.sorted { ($0.key, $0.offset) < ($1.key, $1.offset) }
        scalars.replaceSubrange(start..<end, with: ordered.map(\.scalar))
      }
      start = end + 1
    }
  }

  /// Composes each code point with the last starter before it, unless another one blocks it.
  fileprivate func compose(_ scalars: inout [UInt32]) {
    var count = 0
    var starter: Int?
    for scalar in scalars {
      let key = combiningClass(scalar)
      if let starter {
        // Marks between the two are of lower classes; another starter would be the last one itself.
        let isBlocked = count - 1 > starter && combiningClass(scalars[count - 1]) >= key
        if !isBlocked, let composed = composition(of: scalars[starter], scalar) {
          scalars[starter] = composed
          continue
        }
      }
      if key == 0 { starter = count }
      scalars[count] = scalar
      count += 1
    }
    scalars.removeSubrange(count...)
  }

  private func composition(of first: UInt32, _ second: UInt32) -> UInt32? {
    HangulSyllable.composed(first, second) ?? compositions[Pair(first: first, second: second)]
  }
}

/// A Hangul syllable, whose jamo follow from its code point; chapter 3.12 of the Unicode Standard.
private struct HangulSyllable {
  private static let (syllables, leads, vowels, trails): (UInt32, UInt32, UInt32, UInt32) =
    (0xAC00, 0x1100, 0x1161, 0x11A7)
  private static let (leadCount, vowelCount, trailCount): (UInt32, UInt32, UInt32) = (19, 21, 28)
  private static let count = leadCount * vowelCount * trailCount

  private let index: UInt32

  /// Creates the syllable of a code point; `nil` if the code point is none.
  init?(_ scalar: UInt32) {
    guard scalar >= Self.syllables, scalar - Self.syllables < Self.count else { return nil }
    index = scalar - Self.syllables
  }

  /// The two or three jamo.
  var jamo: [UInt32] {
    let (block, trail) = index.quotientAndRemainder(dividingBy: Self.trailCount)
    let (lead, vowel) = block.quotientAndRemainder(dividingBy: Self.vowelCount)
    let start = [Self.leads + lead, Self.vowels + vowel]
    return trail == 0 ? start : start + [Self.trails + trail]
  }

  /// Returns the syllable of a lead and a vowel, or of a syllable without trail and a trail.
  static func composed(_ first: UInt32, _ second: UInt32) -> UInt32? {
    if (leads..<leads + leadCount).contains(first),
      (vowels..<vowels + vowelCount).contains(second)
    {
      return syllables + ((first - leads) * vowelCount + second - vowels) * trailCount
    }
    if let syllable = HangulSyllable(first), syllable.index.isMultiple(of: trailCount),
      (trails + 1..<trails + trailCount).contains(second)
    {
      return first + second - trails
    }
    return nil
  }
}
