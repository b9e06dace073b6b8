// Reads regular expressions as Oniguruma's own syntax has them, which the library tokenizers uses.

/// Reads an expression; what cannot be shown to match as in Oniguruma is an error that names it.
struct ExpressionParser {
  private let scalars: [Unicode.Scalar]
  private var index = 0
  private var depth = 0
  private var ignoresCase = false
  private var isInNegatedLookBehind = false

  private init(_ text: String) { scalars = Array(text.unicodeScalars) }

  /// Reads an expression.
  ///
  /// - Throws: `ExpressionError`.
  static func parse(_ text: String) throws(ExpressionError) -> ExpressionNode {
    guard text.unicodeScalars.count <= 10_000 else {
      throw ExpressionError("\(text.count) characters")
    }
    var parser = ExpressionParser(text)
    let node = try parser.alternatives()
    guard parser.index == parser.scalars.count else {
      throw ExpressionError(invalid: "a closing parenthesis")
    }
    guard node.minimumLength > 0 else { throw ExpressionError("a match of the empty text") }
    return node
  }

  private var next: Unicode.Scalar? { index < scalars.count ? scalars[index] : nil }

  /// Consumes a text if the expression continues with it; returns `true` if so.
  private mutating func take(_ text: String) -> Bool {
    guard scalars[index...].starts(with: text.unicodeScalars) else { return false }
    index += text.unicodeScalars.count
    return true
  }

  // MARK: - Structure

  private mutating func alternatives() throws(ExpressionError) -> ExpressionNode {
    depth += 1
    defer { depth -= 1 }
    guard depth <= 50 else { throw ExpressionError("groups nested more than 50 deep") }
    var parts = [try sequence()]
    while take("|") { parts.append(try sequence()) }
    return parts.count == 1 ? parts[0] : .alternatives(parts)
  }

  private mutating func sequence() throws(ExpressionError) -> ExpressionNode {
    var parts: [ExpressionNode] = []
    while let scalar = next, scalar != "|", scalar != ")" {
      parts.append(try quantified(try atom()))
    }
    if ignoresCase { try refuseLigatures(parts) }
    return parts.count == 1 ? parts[0] : .sequence(parts)
  }

  private mutating func atom() throws(ExpressionError) -> ExpressionNode {
    let scalar = scalars[index]
    index += 1
    switch scalar {
    case "(": return try group()
    case "[": return .set(try folded(try bracketed()))
    case ".": return .set(.complement(.scalar("\n")))
    case "^": return .assertion(.lineStart)
    case "$": return .assertion(.lineEnd)
    case "\\":
      if take("A") { return .assertion(.textStart) }
      if take("z") { return .assertion(.textEnd) }
      return .set(try folded(try escape(isAlone: true)))
    case "{":
      if let interval = try interval(at: index - 1) {
        throw ExpressionError(invalid: "the quantifier {\(interval.text)} of nothing")
      }
      return .set(try folded(.scalar(scalar)))
    case "*", "+", "?": throw ExpressionError(invalid: "the quantifier \(scalar) of nothing")
    default: return .set(try folded(.scalar(scalar)))
    }
  }

  private mutating func group() throws(ExpressionError) -> ExpressionNode {
    let ignoredCase = ignoresCase
    defer { ignoresCase = ignoredCase }
    let looks: [(start: String, direction: ExpressionNode.LookDirection, isNegated: Bool)] = [
      ("?=", .ahead, false), ("?!", .ahead, true), ("?<=", .behind, false), ("?<!", .behind, true),
    ]
    for look in looks where take(look.start) {
      let wasInside = isInNegatedLookBehind
      if look.direction == .behind, look.isNegated { isInNegatedLookBehind = true }
      defer { isInNegatedLookBehind = wasInside }
      let body = try closed()
      if look.direction == .behind { try checkWidth(body) }
      return .look(body, look.direction, isNegated: look.isNegated)
    }
    if take("?:") { return try closed() }
    if take("?>") { return .atomic(try closed()) }
    if take("?i:") {
      ignoresCase = true
      return try closed()
    }
    guard next != "?" else {
      let end = min(scalars.count, index + 4)
      let construct = String(String.UnicodeScalarView(scalars[index..<end]))
      throw ExpressionError("the group (\(construct)")
    }
    guard !isInNegatedLookBehind else {
      throw ExpressionError(invalid: "a group that captures in (?<!)")
    }
    return try closed()
  }

  private mutating func closed() throws(ExpressionError) -> ExpressionNode {
    let body = try alternatives()
    guard take(")") else { throw ExpressionError(invalid: "a group without an end") }
    return body
  }

  private func checkWidth(_ body: ExpressionNode) throws(ExpressionError) {
    var parts = [body]
    if case .alternatives(let all) = body { parts = all }
    guard parts.allSatisfy({ $0.fixedLength != nil }) else {
      throw ExpressionError("a look-behind of variable width")
    }
  }

  // MARK: - Quantifiers

  private mutating func quantified(
    _ node: ExpressionNode
  ) throws(ExpressionError) -> ExpressionNode {
    guard var repetition = try repetition() else { return node }
    let isInterval = index > 0 && scalars[index - 1] == "}"
    var result: ExpressionNode?
    if take("?") {
      guard !isInterval || repetition.minimum != repetition.maximum else {
        throw ExpressionError("{n}?")
      }
      repetition.mode = .lazy
    } else if next == "+" {
      index += 1
      if isInterval {
        // Oniguruma has no possessive intervals: the plus repeats the whole.
        result = .repeated(
          .repeated(node, repetition), ExpressionNode.Repetition(minimum: 1, maximum: nil))
      } else {
        repetition.mode = .possessive
      }
    }
    let isRepeated = try interval(at: index) != nil
    if let next, isRepeated || "*+?".unicodeScalars.contains(next) {
      throw ExpressionError("a quantifier of a quantifier")
    }
    switch node {
    case .assertion, .look: throw ExpressionError(invalid: "a quantifier of an assertion")
    default: break
    }
    guard node.minimumLength > 0 else {
      throw ExpressionError("a quantifier of a part that matches the empty text")
    }
    return result ?? .repeated(node, repetition)
  }

  private mutating func repetition() throws(ExpressionError) -> ExpressionNode.Repetition? {
    if take("*") { return ExpressionNode.Repetition(minimum: 0, maximum: nil) }
    if take("+") { return ExpressionNode.Repetition(minimum: 1, maximum: nil) }
    if take("?") { return ExpressionNode.Repetition(minimum: 0, maximum: 1) }
    guard let interval = try interval(at: index) else { return nil }
    index = interval.end
    let minimum = interval.numbers[0] ?? 0
    let maximum = interval.numbers.count == 1 ? minimum : interval.numbers[1]
    guard minimum <= 1_000, maximum ?? minimum <= 1_000, maximum ?? minimum >= minimum else {
      throw ExpressionError("{\(interval.text)}")
    }
    return ExpressionNode.Repetition(minimum: minimum, maximum: maximum)
  }

  /// A quantifier in braces.
  private struct Interval {
    let text: String
    /// One number, or two of which one may be left out.
    let numbers: [Int?]
    /// The place behind it.
    let end: Int
  }

  /// The largest number of a quantifier in Oniguruma.
  private static let largestNumber = 100_000

  /// Returns the quantifier in braces at a place; `nil` for braces that are text.
  ///
  /// - Throws: `ExpressionError` for a number that Oniguruma refuses.
  private func interval(at start: Int) throws(ExpressionError) -> Interval? {
    guard start < scalars.count, scalars[start] == "{",
      let end = scalars[start...].firstIndex(of: "}")
    else { return nil }
    let inner = scalars[(start + 1)..<end]
    let parts = inner.split(separator: ",", omittingEmptySubsequences: false)
    guard parts.count <= 2, parts.contains(where: { !$0.isEmpty }),
      parts.allSatisfy({ $0.allSatisfy { ("0"..."9").contains($0) } })
    else { return nil }
    let text = String(String.UnicodeScalarView(inner))
    var numbers: [Int?] = []
    for part in parts {
      let digits = String(String.UnicodeScalarView(part))
      let number = Int(digits)
      guard digits.isEmpty || number.map({ $0 <= Self.largestNumber }) == true else {
        throw ExpressionError(invalid: "{\(text)}")
      }
      numbers.append(number)
    }
    return Interval(text: text, numbers: numbers, end: end + 1)
  }

  // MARK: - Case

  private func folded(_ set: ScalarSet) throws(ExpressionError) -> ScalarSet {
    guard ignoresCase else { return set }
    guard let folded = set.ignoringCase() else {
      throw ExpressionError("(?i:) of other texts than ASCII")
    }
    return folded
  }

  /// Refuses letters that one scalar folds to, such as `ss`, which Oniguruma finds in `ß` too.
  private func refuseLigatures(_ parts: [ExpressionNode]) throws(ExpressionError) {
    for (first, second) in zip(parts, parts.dropFirst()) {
      for pair in ["ss", "ff", "fi", "fl", "st"] {
        let letters = pair.unicodeScalars.map(\.value)
        guard first.mayEnd(with: letters[0]), second.mayBegin(with: letters[1]) else { continue }
        throw ExpressionError("(?i:\(pair))")
      }
    }
  }

  // MARK: - Sets

  /// Returns the set between brackets; the opening one is behind.
  private mutating func bracketed() throws(ExpressionError) -> ScalarSet {
    depth += 1
    defer { depth -= 1 }
    guard depth <= 50 else { throw ExpressionError("sets nested more than 50 deep") }
    let isNegated = take("^")
    var intersected: [ScalarSet] = []
    var members: [ScalarSet] = []
    var isFirst = true
    while true {
      guard next != nil else { throw ExpressionError(invalid: "a set without an end") }
      if !isFirst, take("]") { break }
      if take("&&") {
        intersected.append(.union(members))
        members = []
      } else {
        members.append(try member())
      }
      isFirst = false
    }
    let set =
      intersected.isEmpty
      ? ScalarSet.union(members) : .intersection(intersected + [.union(members)])
    guard isNegated else { return set }
    guard !ignoresCase else { throw ExpressionError("[^...] in (?i:)") }
    return .complement(set)
  }

  private mutating func member() throws(ExpressionError) -> ScalarSet {
    if take("[:") { throw ExpressionError("[: :]") }
    if take("[") { return try bracketed() }
    let set = try setScalar()
    guard next == "-", index + 1 < scalars.count, scalars[index + 1] != "]" else { return set }
    guard case .range(let range) = set, range.count == 1 else {
      // A class begins no range: only an intersection may follow the sign.
      let isIntersected = scalars[(index + 1)...].starts(with: "&&".unicodeScalars)
      guard isIntersected else { throw ExpressionError(invalid: "a range from a class in a set") }
      return set
    }
    index += 1
    if next == "[" || scalars[index...].starts(with: "&&".unicodeScalars) {
      throw ExpressionError("a range in a set")
    }
    guard case .range(let end) = try setScalar(), end.count == 1,
      range.lowerBound <= end.lowerBound
    else { throw ExpressionError(invalid: "a range in a set") }
    return .range(range.lowerBound...end.lowerBound)
  }

  private mutating func setScalar() throws(ExpressionError) -> ScalarSet {
    let scalar = scalars[index]
    index += 1
    return scalar == "\\" ? try escape(isAlone: false) : .scalar(scalar)
  }

  /// Returns the set of an escape; the backslash is behind.
  private mutating func escape(isAlone: Bool) throws(ExpressionError) -> ScalarSet {
    guard let scalar = next else { throw ExpressionError(invalid: "a backslash at the end") }
    index += 1
    let digits = ScalarTraits(named: "Nd") ?? []
    switch scalar {
    case "s": return .traits(.space)
    case "S": return .complement(.traits(.space))
    case "w": return .word(isAlone: isAlone)
    case "W": return .complement(.word(isAlone: isAlone))
    case "d": return .traits(digits)
    case "D": return .complement(.traits(digits))
    case "n": return .scalar("\n")
    case "r": return .scalar("\r")
    case "t": return .scalar("\t")
    case "f": return .scalar("\u{C}")
    case "v": return .scalar("\u{B}")
    case "p": return try property(isNegated: false)
    case "P": return try property(isNegated: true)
    case "x" where take("{"): return try code(until: "}")
    case "u": return try code(count: 4)
    default:
      let isLetter = scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)
      guard scalar.isASCII, !isLetter else { throw ExpressionError("\\\(scalar)") }
      return .scalar(scalar)
    }
  }

  private mutating func property(isNegated: Bool) throws(ExpressionError) -> ScalarSet {
    guard next == "{", let end = scalars[index...].firstIndex(of: "}") else {
      throw ExpressionError("\\p without braces")
    }
    var name = String(String.UnicodeScalarView(scalars[(index + 1)..<end]))
    index = end + 1
    let isInverted = name.hasPrefix("^")
    if isInverted { name.removeFirst() }
    guard let traits = ScalarTraits(named: name) else {
      throw ExpressionError("\\p{\(name.prefix(40))}")
    }
    return isNegated == isInverted ? .traits(traits) : .complement(.traits(traits))
  }

  private mutating func code(until end: Unicode.Scalar) throws(ExpressionError) -> ScalarSet {
    guard let close = scalars[index...].firstIndex(of: end) else {
      throw ExpressionError("\\x{ without an end")
    }
    defer { index = close + 1 }
    return try scalar(hexadecimal: scalars[index..<close])
  }

  private mutating func code(count: Int) throws(ExpressionError) -> ScalarSet {
    let end = index + count
    guard end <= scalars.count else {
      throw ExpressionError(invalid: "a number of a character of fewer than \(count) digits")
    }
    defer { index = end }
    return try scalar(hexadecimal: scalars[index..<end])
  }

  private func scalar(
    hexadecimal digits: ArraySlice<Unicode.Scalar>
  ) throws(ExpressionError) -> ScalarSet {
    let text = String(String.UnicodeScalarView(digits))
    guard digits.allSatisfy({ $0.properties.isASCIIHexDigit }), let value = UInt32(text, radix: 16),
      let scalar = Unicode.Scalar(value)
    else { throw ExpressionError("the number \(text) of a character") }
    return .scalar(scalar)
  }
}

extension ExpressionError {
  fileprivate init(_ construct: String) { self.construct = construct }

  fileprivate init(invalid construct: String) { self.init(construct: construct, isInvalid: true) }
}

extension ExpressionNode {
  /// `true` if a match may begin with an ASCII letter.
  fileprivate func mayBegin(with letter: UInt32) -> Bool {
    switch self {
    case .set(let set): set.contains(letter)
    case .sequence(let parts): parts.first?.mayBegin(with: letter) ?? true
    case .alternatives(let parts): parts.contains { $0.mayBegin(with: letter) }
    case .repeated(let part, let repetition):
      repetition.minimum == 0 || part.mayBegin(with: letter)
    case .atomic(let part): part.mayBegin(with: letter)
    case .look, .assertion: true
    }
  }

  /// `true` if a match may end with an ASCII letter.
  fileprivate func mayEnd(with letter: UInt32) -> Bool {
    switch self {
    case .set(let set): set.contains(letter)
    case .sequence(let parts): parts.last?.mayEnd(with: letter) ?? true
    case .alternatives(let parts): parts.contains { $0.mayEnd(with: letter) }
    case .repeated(let part, let repetition): repetition.minimum == 0 || part.mayEnd(with: letter)
    case .atomic(let part): part.mayEnd(with: letter)
    case .look, .assertion: true
    }
  }
}
