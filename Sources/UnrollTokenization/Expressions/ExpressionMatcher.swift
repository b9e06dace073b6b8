// The backtracking machine.

/// Matches an expression at indices of a text of UTF-8.
struct ExpressionMatcher {
  private let program: ExpressionProgram
  private let text: UnsafeRawBufferPointer
  private let range: Range<Int>
  private var stack: [Choice] = []
  private var steps: Int
  /// `true` if a match took more steps than are allowed; no more are found then.
  private(set) var isExhausted = false

  /// An alternative to try if the current one fails.
  private struct Choice {
    var instruction: Int
    var index: Int
    /// The index to which a greedy run may still give back scalars; negative for none.
    var low = -1
    /// The number of scalars that a lazy run may still take; negative without limit.
    var room = 0
    var isLazyRun = false
  }

  /// Creates a matcher.
  ///
  /// - Parameters:
  ///   - program: The expression.
  ///   - text: The text.
  ///   - range: The part of it that counts as the whole text.
  init(_ program: ExpressionProgram, in text: UnsafeRawBufferPointer, _ range: Range<Int>) {
    self.program = program
    self.text = text
    self.range = range
    steps = 10_000_000 + 500 * min(range.count, 1 << 40)
  }

  /// Returns the end of the match that begins at an index, if one does.
  mutating func end(at start: Int) -> Int? { match(from: 0, at: start) }

  /// Runs instructions up to `accept`; choices that are older than this call stay.
  private mutating func match(from first: Int, at start: Int) -> Int? {
    let base = stack.count
    defer { stack.removeLast(stack.count - base) }
    var instruction = first
    var index = start
    while true {
      steps -= 1
      guard steps > 0 else {
        isExhausted = true
        return nil
      }
      if case .accept = program.instructions[instruction] { return index }
      if step(&instruction, &index) { continue }
      guard backtrack(to: base, &instruction, &index) else { return nil }
    }
  }

  /// Runs one instruction; `false` if it fails.
  @inline(__always)
  private mutating func step(_ instruction: inout Int, _ index: inout Int) -> Bool {
    switch program.instructions[instruction] {
    case .set(let set):
      guard let end = scalar(set, index) else { return false }
      index = end
      instruction += 1
    case .run(let set, let least, let most, let mode):
      return run(set, least, most, mode, &instruction, &index)
    case .split(let first, let second):
      stack.append(Choice(instruction: second, index: index))
      instruction = first
    case .jump(let target): instruction = target
    case .atomic(let end):
      guard let found = match(from: instruction + 1, at: index) else { return false }
      index = found
      instruction = end
    case .look(let end, let back, let isNegated):
      let found = stepBack(back, index).flatMap { match(from: instruction + 1, at: $0) }
      guard !isExhausted, (found != nil) != isNegated else { return false }
      instruction = end
    case .assertion(let assertion):
      guard holds(assertion, index) else { return false }
      instruction += 1
    case .accept: return true
    }
    return true
  }

  @inline(__always)
  private mutating func run(
    _ set: Int, _ least: Int, _ most: Int, _ mode: ExpressionNode.Repetition.Mode,
    _ instruction: inout Int, _ index: inout Int
  ) -> Bool {
    var count = 0
    while count < least {
      guard let end = scalar(set, index) else { return false }
      index = end
      count += 1
    }
    let low = index
    if mode == .lazy {
      instruction += 1
      let room = most < 0 ? -1 : most - least
      if room != 0 {
        stack.append(
          Choice(instruction: instruction, index: index, room: room, isLazyRun: true))
      }
      return true
    }
    while count != most, let end = scalar(set, index) {
      index = end
      count += 1
    }
    steps -= count
    instruction += 1
    if mode == .greedy, index > low {
      stack.append(Choice(instruction: instruction, index: index, low: low))
    }
    return true
  }

  /// Takes the newest choice; `false` if there is none of this call.
  private mutating func backtrack(
    to base: Int, _ instruction: inout Int, _ index: inout Int
  ) -> Bool {
    while stack.count > base {
      let last = stack.count - 1
      let choice = stack[last]
      if choice.isLazyRun {
        guard case .run(let set, _, _, _) = program.instructions[choice.instruction - 1],
          let end = scalar(set, choice.index)
        else {
          stack.removeLast()
          continue
        }
        stack[last].index = end
        stack[last].room -= choice.room > 0 ? 1 : 0
        if choice.room == 1 { stack.removeLast() }
        instruction = choice.instruction
        index = end
        return true
      }
      guard choice.low >= 0 else {
        stack.removeLast()
        instruction = choice.instruction
        index = choice.index
        return true
      }
      guard choice.index > choice.low, let before = stepBack(1, choice.index) else {
        stack.removeLast()
        continue
      }
      stack[last].index = before
      instruction = choice.instruction
      index = before
      return true
    }
    return false
  }

  /// Returns the index after the scalar at an index, if it is one of a set.
  @inline(__always)
  private func scalar(_ set: Int, _ index: Int) -> Int? {
    guard index < range.upperBound else { return nil }
    let byte = text[index]
    if byte < 0x80 { return program.contains(set, UInt32(byte)) ? index + 1 : nil }
    let (scalar, count) = decodeScalar(text, at: index)
    return program.contains(set, scalar) ? index + count : nil
  }

  /// Returns the index `count` scalars before an index, if there are as many.
  private func stepBack(_ count: Int, _ index: Int) -> Int? {
    var index = index
    for _ in 0..<count {
      guard index > range.lowerBound else { return nil }
      index -= 1
      while index > range.lowerBound, text[index] & 0xC0 == 0x80 { index -= 1 }
    }
    return index
  }

  private func holds(_ assertion: ExpressionNode.Assertion, _ index: Int) -> Bool {
    let lineFeed = UInt8(ascii: "\n")
    switch assertion {
    case .textStart: return index == range.lowerBound
    case .textEnd: return index == range.upperBound
    case .lineStart:
      // Behind a line feed that ends the text there is no line.
      return index == range.lowerBound
        || (text[index - 1] == lineFeed && index < range.upperBound)
    case .lineEnd: return index == range.upperBound || text[index] == lineFeed
    }
  }
}
