// Classes of Unicode scalars, as regular expressions and pre-tokenizers have them.

/// Sets of classes.
struct ScalarClasses: OptionSet, Sendable {
  let rawValue: UInt8

  /// Letters, `\p{L}`.
  static let letter = ScalarClasses(rawValue: 1)
  /// Numbers, `\p{N}`.
  static let number = ScalarClasses(rawValue: 2)
  /// White space, `\s`: the property White_Space.
  static let space = ScalarClasses(rawValue: 4)
  /// The scalars that words are made of, `\w`.
  static let word = ScalarClasses(rawValue: 8)
  /// Punctuation, `\p{P}`, and what ASCII has for it.
  static let punctuation = ScalarClasses(rawValue: 16)
  /// Marks without a width, `\p{Mn}`.
  static let nonspacingMark = ScalarClasses(rawValue: 32)
  /// Marks, `\p{M}`.
  static let mark = ScalarClasses(rawValue: 64)

  /// The classes of a scalar.
  @inline(__always)
  init(of scalar: UInt32) {
    self = scalar < 0x10000 ? Self.basicPlane[Int(scalar)] : Self.look(up: scalar)
  }

  private init(_ classes: [ScalarClasses]) {
    self = classes.reduce(ScalarClasses(rawValue: 0)) { $0.union($1) }
  }

  init(rawValue: UInt8) { self.rawValue = rawValue }

  private static let basicPlane = (UInt32(0)..<0x10000).map { look(up: $0) }

  /// Returns the general category in Unicode 16, which the library tokenizers 0.23.3 has; `nil` for scalars
  /// that are newer or not assigned.
  ///
  /// The standard library has that of its own version.
  static func category(of scalar: Unicode.Scalar) -> Unicode.GeneralCategory? {
    guard let age = scalar.properties.age, age.major <= 16 else { return nil }
    // A letter without case from Unicode 17 on.
    return scalar == "\u{295}" ? .lowercaseLetter : scalar.properties.generalCategory
  }

  private static func look(up value: UInt32) -> ScalarClasses {
    guard let scalar = Unicode.Scalar(value), let category = category(of: scalar) else { return [] }
    let properties = scalar.properties
    var classes: ScalarClasses = properties.isWhitespace ? .space : []
    switch category {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
      classes.formUnion([.letter, .word])
    case .decimalNumber: classes.formUnion([.number, .word])
    case .letterNumber, .otherNumber: classes.insert(.number)
    case .nonspacingMark: classes.formUnion([.nonspacingMark, .mark, .word])
    case .spacingMark, .enclosingMark: classes.formUnion([.mark, .word])
    case .connectorPunctuation: classes.formUnion([.punctuation, .word])
    case .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
      .finalPunctuation, .otherPunctuation:
      classes.insert(.punctuation)
    case .mathSymbol, .currencySymbol, .modifierSymbol:
      if scalar.isASCII { classes.insert(.punctuation) }
    default: break
    }
    if properties.isAlphabetic || properties.isJoinControl { classes.insert(.word) }
    return classes
  }
}
