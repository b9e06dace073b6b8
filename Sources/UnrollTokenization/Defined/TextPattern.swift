// Patterns that texts are cut or changed by: literals, classes, and regular expressions, the most usual
// ones as scanners.

/// A pattern and the text that it matches.
enum TextPattern: Sendable {
  /// Some bytes.
  case literal([UInt8])
  /// Each scalar of some classes.
  case scalar(ScalarClasses)
  /// Each of some scalars.
  case scalars(Set<UInt32>)
  /// Runs of at least a number of scalars of some classes.
  case run(ScalarClasses)
  /// Two spaces or more.
  case spaces
  /// `\w+|[^\w\s]+` of the pre-tokenizer Whitespace, whose `\w` is that of Rust.
  case words
  /// GPT-2's pattern.
  case gpt2
  /// The pattern of cl100k and Llama 3, where numbers have at most three digits; with one digit Qwen 2's.
  case cl100k(digits: Int)
  /// Any other regular expression.
  case expression(ExpressionProgram)

  /// The pattern of a regular expression of Oniguruma.
  ///
  /// - Throws: `ExpressionError` that names an unsupported construct.
  init(regex: String) throws(ExpressionError) {
    switch regex {
    case #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#,
      #"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#:
      self = .gpt2
    case Self.cl100kExpression(number: #"\p{N}{1,3}"#): self = .cl100k(digits: 3)
    case Self.cl100kExpression(number: #"\p{N}"#): self = .cl100k(digits: 1)
    case #"\s+"#: self = .run(.space)
    case #"\s"#: self = .scalar(.space)
    case #"\p{N}"#: self = .scalar(.number)
    case " {2,}": self = .spaces
    default: self = .expression(try ExpressionProgram(regex))
    }
  }

  private static func cl100kExpression(number: String) -> String {
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"# + number
      + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
  }

  /// Calls a closure with each match in a range of UTF-8, from left to right.
  ///
  /// - Parameters:
  ///   - text: The text.
  ///   - range: The part of it to look in.
  ///   - body: Called with the bytes of a match.
  /// - Returns: `false` if an expression needed more steps than are allowed, and matches are missing.
  @inline(__always)
  @discardableResult
  func forEachMatch(
    in text: UnsafeRawBufferPointer, _ range: Range<Int>, _ body: (Range<Int>) -> Void
  ) -> Bool {
    if case .expression(let program) = self {
      return Self.forEachMatch(of: program, in: text, range, body)
    }
    let scanner = TextScanner(text: UnsafeRawBufferPointer(rebasing: text[..<range.upperBound]))
    var index = range.lowerBound
    while index < range.upperBound {
      if let end = end(scanner, index) {
        body(index..<end)
        index = end
      } else {
        index = scanner.next(index)
      }
    }
    return true
  }

  private static func forEachMatch(
    of program: ExpressionProgram, in text: UnsafeRawBufferPointer, _ range: Range<Int>,
    _ body: (Range<Int>) -> Void
  ) -> Bool {
    var matcher = ExpressionMatcher(program, in: text, range)
    var index = range.lowerBound
    while index < range.upperBound, !matcher.isExhausted {
      if let end = matcher.end(at: index) {
        body(index..<end)
        index = end
      } else {
        index += decodeScalar(text, at: index).count
      }
    }
    return !matcher.isExhausted
  }

  /// Returns the end of the match that begins at an index, if one does.
  @inline(__always)
  private func end(_ scanner: TextScanner, _ start: Int) -> Int? {
    switch self {
    case .literal(let bytes):
      return !bytes.isEmpty && scanner.text[start...].starts(with: bytes)
        ? start + bytes.count : nil
    case .scalar(let classes): return scanner.scalar(start, in: classes)
    case .scalars(let set):
      let (scalar, count) = decodeScalar(scanner.text, at: start)
      return set.contains(scalar) ? start + count : nil
    case .run(let classes):
      let end = scanner.run(start) { !$0.isDisjoint(with: classes) }
      return end > start ? end : nil
    case .spaces:
      var end = start
      while end < scanner.text.count, scanner.text[end] == 0x20 { end += 1 }
      return end - start > 1 ? end : nil
    case .words:
      if scanner.scalar(start, in: .word) != nil {
        return scanner.run(start) { $0.contains(.word) }
      }
      let end = scanner.run(start) { $0.isDisjoint(with: [.word, .space]) }
      return end > start ? end : nil
    case .gpt2: return scanner.gpt2(start)
    case .cl100k(let digits): return scanner.cl100k(start, digits: digits)
    // Matched without a scanner.
    case .expression: return nil
    }
  }
}

/// Looks at classes of scalars from an index of a text on.
private struct TextScanner {
  let text: UnsafeRawBufferPointer

  /// Returns the index after the scalar at an index.
  @inline(__always)
  func next(_ index: Int) -> Int { index + decodeScalar(text, at: index).count }

  /// Returns the classes of the scalar at an index and the index after it; none at the end of the text.
  @inline(__always)
  func look(_ index: Int) -> (classes: ScalarClasses, end: Int)? {
    guard index < text.count else { return nil }
    let (scalar, count) = decodeScalar(text, at: index)
    return (ScalarClasses(of: scalar), index + count)
  }

  /// Returns the index after the scalar at an index, if it is of one of some classes.
  func scalar(_ index: Int, in classes: ScalarClasses) -> Int? {
    guard let here = look(index), !here.classes.isDisjoint(with: classes) else { return nil }
    return here.end
  }

  /// Returns the end of the longest run of scalars from an index on, of at most `limit`.
  @inline(__always)
  func run(_ start: Int, limit: Int = .max, _ isWanted: (ScalarClasses) -> Bool) -> Int {
    var (index, count) = (start, 0)
    while count < limit, let here = look(index), isWanted(here.classes) {
      index = here.end
      count += 1
    }
    return index
  }

  private static let kinds: ScalarClasses = [.letter, .number, .space]

  @inline(__always)
  private func runOfOthers(_ start: Int) -> Int { run(start) { $0.isDisjoint(with: Self.kinds) } }

  /// Returns the end of the match of the following.
  ///
  /// `'s|'t|'re|'ve|'m|'ll|'d`
  private func contraction(_ start: Int, ignoringCase: Bool) -> Int? {
    guard text[start] == UInt8(ascii: "'"), start + 1 < text.count else { return nil }
    // The long s, U+017F, is an s.
    if ignoringCase, text[(start + 1)...].starts(with: [0xC5, 0xBF]) { return start + 3 }
    func letter(_ index: Int) -> UInt8 {
      guard index < text.count else { return 0 }
      return ignoringCase ? text[index] | 0x20 : text[index]
    }
    switch (letter(start + 1), letter(start + 2)) {
    case (UInt8(ascii: "s"), _), (UInt8(ascii: "t"), _), (UInt8(ascii: "m"), _),
      (UInt8(ascii: "d"), _):
      return start + 2
    case (UInt8(ascii: "r"), UInt8(ascii: "e")), (UInt8(ascii: "v"), UInt8(ascii: "e")),
      (UInt8(ascii: "l"), UInt8(ascii: "l")):
      return start + 3
    default: return nil
    }
  }

  /// `\s+(?!\S)|\s+` where there is white space: all of it but the last scalar, which goes to the word
  /// behind it, unless the text ends here or there is only one.
  private func spaces(_ start: Int) -> Int {
    var (index, last) = (start, start)
    while let here = look(index), here.classes.contains(.space) {
      last = index
      index = here.end
    }
    return index == text.count || last == start ? index : last
  }

  /// Returns the end of the match of the following.
  ///
  /// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
  func gpt2(_ start: Int) -> Int? {
    if let end = contraction(start, ignoringCase: false) { return end }
    let first = text[start] == 0x20 ? start + 1 : start
    guard let here = look(first), !here.classes.contains(.space) else { return spaces(start) }
    if here.classes.contains(.letter) { return run(here.end) { $0.contains(.letter) } }
    if here.classes.contains(.number) { return run(here.end) { $0.contains(.number) } }
    return runOfOthers(here.end)
  }

  /// Returns the end of the match of the following, with at most `digits` digits.
  ///
  /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|`
  /// `\s*[\r\n]+|\s+(?!\S)|\s+`
  func cl100k(_ start: Int, digits: Int) -> Int? {
    if let end = contraction(start, ignoringCase: true) { return end }
    guard let here = look(start) else { return nil }
    if here.classes.contains(.letter) { return run(here.end) { $0.contains(.letter) } }
    if here.classes.contains(.number) {
      return run(start, limit: digits) { $0.contains(.number) }
    }
    if !isLineEnd(start), scalar(here.end, in: .letter) != nil {
      return run(here.end) { $0.contains(.letter) }
    }
    let others = text[start] == 0x20 ? here.end : start
    let end = runOfOthers(others)
    if end > others { return lineEnds(end) }
    return lastLineEnd(start) ?? spaces(start)
  }

  private func isLineEnd(_ index: Int) -> Bool { text[index] == 0x0A || text[index] == 0x0D }

  /// Returns the end of the match of the following.
  ///
  /// `[\r\n]*`
  private func lineEnds(_ start: Int) -> Int {
    var index = start
    while index < text.count, isLineEnd(index) { index += 1 }
    return index
  }

  /// `\s*[\r\n]+`: up to the last end of a line in the white space.
  private func lastLineEnd(_ start: Int) -> Int? {
    let end = run(start) { $0.contains(.space) }
    return (start..<end).last { isLineEnd($0) }.map { $0 + 1 }
  }
}
