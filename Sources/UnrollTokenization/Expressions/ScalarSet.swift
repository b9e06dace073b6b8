// Sets of Unicode scalars, as the classes of regular expressions make them.

/// General categories of scalars and the classes `\s` and `\w`, as bits.
struct ScalarTraits: OptionSet, Sendable, Hashable {
  let rawValue: UInt32

  /// White space, `\s`.
  static let space = ScalarTraits(rawValue: 1 << 30)
  /// Letters, marks, digits and connectors, `\w`.
  static let word = ScalarTraits(rawValue: 1 << 31)

  /// The categories by the names that `\p{...}` has for them.
  private static let categories: [(name: String, category: Unicode.GeneralCategory)] = [
    ("Lu", .uppercaseLetter), ("Ll", .lowercaseLetter), ("Lt", .titlecaseLetter),
    ("Lm", .modifierLetter), ("Lo", .otherLetter), ("Mn", .nonspacingMark),
    ("Mc", .spacingMark), ("Me", .enclosingMark), ("Nd", .decimalNumber), ("Nl", .letterNumber),
    ("No", .otherNumber), ("Pc", .connectorPunctuation), ("Pd", .dashPunctuation),
    ("Ps", .openPunctuation), ("Pe", .closePunctuation), ("Pi", .initialPunctuation),
    ("Pf", .finalPunctuation), ("Po", .otherPunctuation), ("Sm", .mathSymbol),
    ("Sc", .currencySymbol), ("Sk", .modifierSymbol), ("So", .otherSymbol),
    ("Zs", .spaceSeparator), ("Zl", .lineSeparator), ("Zp", .paragraphSeparator),
    ("Cc", .control), ("Cf", .format),
  ]

  init(rawValue: UInt32) { self.rawValue = rawValue }

  /// The traits of a category such as `Lu`, or of all that begin with a letter such as `L`.
  ///
  /// `nil` for other names. Unassigned scalars are in none: which these are differs between versions.
  init?(named name: String) {
    let indices = Self.categories.indices.filter {
      name.count == 1 ? Self.categories[$0].name.hasPrefix(name) : Self.categories[$0].name == name
    }
    guard !indices.isEmpty, name != "C" else { return nil }
    self.init(rawValue: indices.reduce(0) { $0 | 1 << UInt32($1) })
  }

  /// The traits of a scalar.
  init(of scalar: UInt32) {
    self = scalar < 0x10000 ? Self.basicPlane[Int(scalar)] : Self.look(up: scalar)
  }

  private static let basicPlane = (UInt32(0)..<0x10000).map(look)

  private static func look(up value: UInt32) -> ScalarTraits {
    guard let category = Unicode.Scalar(value).flatMap(ScalarClasses.category) else { return [] }
    let index = categories.firstIndex { $0.category == category }
    var traits = ScalarTraits(rawValue: index.map { 1 << UInt32($0) } ?? 0)
    let classes = ScalarClasses(of: value)
    if classes.contains(.space) { traits.insert(.space) }
    // Joiners are words in Rust's expressions, but not in Oniguruma's.
    if classes.contains(.word), !(0x200C...0x200D).contains(value) { traits.insert(.word) }
    return traits
  }
}

/// A set of scalars as an expression writes it.
indirect enum ScalarSet: Sendable, Hashable {
  case range(ClosedRange<UInt32>)
  /// The scalars with one of some traits.
  case traits(ScalarTraits)
  case union([ScalarSet])
  case intersection([ScalarSet])
  case complement(ScalarSet)

  /// Returns the set of one scalar.
  static func scalar(_ scalar: Unicode.Scalar) -> ScalarSet { .range(scalar.value...scalar.value) }

  /// `\w`, which in Oniguruma has the superscripts and fractions of Latin-1 too where it stands alone.
  static func word(isAlone: Bool) -> ScalarSet {
    let word = ScalarSet.traits(.word)
    return isAlone
      ? .union([word, .range(0xB2...0xB3), .range(0xB9...0xB9), .range(0xBC...0xBE)]) : word
  }

  /// `true` if a scalar is in the set.
  func contains(_ scalar: UInt32) -> Bool {
    switch self {
    case .range(let range): range.contains(scalar)
    case .traits(let traits): !ScalarTraits(of: scalar).isDisjoint(with: traits)
    case .union(let sets): sets.contains { $0.contains(scalar) }
    case .intersection(let sets): sets.allSatisfy { $0.contains(scalar) }
    case .complement(let set): !set.contains(scalar)
    }
  }

  /// The number of words of a bitmap.
  static let bitmapSize = 0x10000 / 64

  /// Returns the scalars below U+10000, a bit each.
  func bitmap() -> [UInt64] {
    switch self {
    case .range(let range):
      var bits = [UInt64](repeating: 0, count: Self.bitmapSize)
      for scalar in range.clamped(to: 0...0xFFFF) where range.contains(scalar) {
        bits[Int(scalar >> 6)] |= 1 << UInt64(scalar & 63)
      }
      return bits
    case .traits(let traits):
      var bits = [UInt64](repeating: 0, count: Self.bitmapSize)
      for scalar in UInt32(0)..<0x10000
      where !ScalarTraits(of: scalar).isDisjoint(with: traits) {
        bits[Int(scalar >> 6)] |= 1 << UInt64(scalar & 63)
      }
      return bits
    case .union(let sets):
      return sets.reduce([UInt64](repeating: 0, count: Self.bitmapSize)) { bits, set in
        zip(bits, set.bitmap()).map { $0 | $1 }
      }
    case .intersection(let sets):
      return sets.reduce([UInt64](repeating: .max, count: Self.bitmapSize)) { bits, set in
        zip(bits, set.bitmap()).map { $0 & $1 }
      }
    case .complement(let set): return set.bitmap().map { ~$0 }
    }
  }

  /// Returns the set with the other case of its ASCII letters, as Oniguruma folds them.
  ///
  /// `nil` if it has something else than ASCII: other scalars fold to several.
  func ignoringCase() -> ScalarSet? {
    switch self {
    case .range(let range):
      guard range.upperBound < 0x80 else { return nil }
      var sets = [self]
      for scalar in range {
        let letter = scalar | 0x20
        guard (0x61...0x7A).contains(letter) else { continue }
        sets.append(.range(letter...letter))
        sets.append(.range(letter & ~0x20...letter & ~0x20))
        // The long s and the sign of kelvin.
        if letter == 0x73 { sets.append(.range(0x17F...0x17F)) }
        if letter == 0x6B { sets.append(.range(0x212A...0x212A)) }
      }
      return .union(sets)
    case .union(let sets):
      let folded = sets.compactMap { $0.ignoringCase() }
      return folded.count == sets.count ? .union(folded) : nil
    case .traits, .intersection, .complement: return nil
    }
  }
}
