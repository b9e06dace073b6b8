// The parts of a regular expression.

/// A part of a regular expression over Unicode scalars.
indirect enum ExpressionNode: Sendable, Hashable {
  /// One scalar of a set.
  case set(ScalarSet)
  case sequence([ExpressionNode])
  /// The first that matches.
  case alternatives([ExpressionNode])
  case repeated(ExpressionNode, Repetition)
  case look(ExpressionNode, LookDirection, isNegated: Bool)
  /// Its first match, whatever follows.
  case atomic(ExpressionNode)
  case assertion(Assertion)

  /// The direction in which a look-around looks.
  enum LookDirection: Sendable, Hashable {
    case ahead
    case behind
  }

  /// A condition on a place in the text.
  enum Assertion: Sendable, Hashable {
    /// `^`: the start of the text or behind a line feed.
    case lineStart
    /// `$`: the end of the text or before a line feed.
    case lineEnd
    /// `\A`
    case textStart
    /// `\z`
    case textEnd
  }

  /// The number of times that a part is repeated.
  struct Repetition: Sendable, Hashable {
    var minimum: Int
    /// The most; `nil` without limit.
    var maximum: Int?
    var mode = Mode.greedy

    enum Mode: Sendable, Hashable {
      case greedy
      case lazy
      case possessive
    }
  }

  /// The fewest scalars that it matches.
  var minimumLength: Int {
    switch self {
    case .set: 1
    case .sequence(let parts): parts.reduce(0) { $0 + $1.minimumLength }
    case .alternatives(let parts): parts.map(\.minimumLength).min() ?? 0
    case .repeated(let part, let repetition): part.minimumLength * repetition.minimum
    case .atomic(let part): part.minimumLength
    case .look, .assertion: 0
    }
  }

  /// The number of scalars that it matches, if it is always the same.
  var fixedLength: Int? {
    switch self {
    case .set: return 1
    case .sequence(let parts):
      let lengths = parts.compactMap(\.fixedLength)
      return lengths.count == parts.count ? lengths.reduce(0, +) : nil
    case .alternatives(let parts):
      let lengths = Set(parts.map(\.fixedLength))
      return lengths.count == 1 ? lengths.first ?? nil : nil
    case .repeated(let part, let repetition):
      guard repetition.minimum == repetition.maximum else { return nil }
      return part.fixedLength.map { $0 * repetition.minimum }
    case .atomic(let part): return part.fixedLength
    case .look, .assertion: return 0
    }
  }
}

/// A construct of an expression that is not read.
struct ExpressionError: Error, Sendable, Hashable {
  /// The construct as it is written, or in words.
  let construct: String
  /// `true` if Oniguruma refuses it, too; `false` if it may match otherwise there, or is too large.
  var isInvalid = false
}
