// Regular expressions as programs of a backtracking machine.

/// An expression that is ready to match.
struct ExpressionProgram: Sendable {
  /// One step of the machine.
  enum Instruction: Sendable {
    /// One scalar of a set.
    case set(Int)
    /// A run of scalars of a set; `most` is negative without limit.
    case run(set: Int, least: Int, most: Int, mode: ExpressionNode.Repetition.Mode)
    /// Goes on at the first place; if that fails, at the second.
    case split(Int, Int)
    case jump(Int)
    /// Matches the instructions up to `end` atomically, then continues there.
    case atomic(end: Int)
    /// Looks for a match of the instructions up to `end`, so many scalars back.
    case look(end: Int, back: Int, isNegated: Bool)
    case assertion(ExpressionNode.Assertion)
    case accept
  }

  private(set) var instructions: [Instruction] = []
  private(set) var sets: [ScalarSet] = []
  /// For each set the bits of the scalars below U+10000.
  private(set) var bitmaps: [UInt64] = []

  private static let mostInstructions = 20_000

  /// Compiles an expression.
  ///
  /// - Throws: `ExpressionError` that names a construct that is not read.
  init(_ text: String) throws(ExpressionError) {
    try add(try ExpressionParser.parse(text))
    instructions.append(.accept)
    bitmaps = sets.flatMap { $0.bitmap() }
  }

  private mutating func number(of set: ScalarSet) -> Int {
    if let index = sets.firstIndex(of: set) { return index }
    sets.append(set)
    return sets.count - 1
  }

  private mutating func add(_ node: ExpressionNode) throws(ExpressionError) {
    guard instructions.count < Self.mostInstructions, sets.count < 500 else {
      throw ExpressionError(construct: "an expression of more than \(Self.mostInstructions) steps")
    }
    switch node {
    case .set(let set): instructions.append(.set(number(of: set)))
    case .sequence(let parts): for part in parts { try add(part) }
    case .alternatives(let parts): try addAlternatives(parts)
    case .repeated(let part, let repetition): try add(part, repetition)
    case .atomic(let part):
      let start = reserve()
      try add(part)
      instructions.append(.accept)
      instructions[start] = .atomic(end: instructions.count)
    case .look(let part, let direction, let isNegated):
      try addLook(part, direction, isNegated: isNegated)
    case .assertion(let assertion): instructions.append(.assertion(assertion))
    }
  }

  /// Adds an instruction that is filled in later.
  private mutating func reserve() -> Int {
    instructions.append(.accept)
    return instructions.count - 1
  }

  private mutating func addAlternatives(_ parts: [ExpressionNode]) throws(ExpressionError) {
    var jumps: [Int] = []
    for part in parts.dropLast() {
      let split = reserve()
      try add(part)
      jumps.append(reserve())
      instructions[split] = .split(split + 1, instructions.count)
    }
    if let last = parts.last { try add(last) }
    for jump in jumps { instructions[jump] = .jump(instructions.count) }
  }

  private mutating func add(
    _ part: ExpressionNode, _ repetition: ExpressionNode.Repetition
  ) throws(ExpressionError) {
    if case .set(let set) = part {
      instructions.append(
        .run(
          set: number(of: set), least: repetition.minimum, most: repetition.maximum ?? -1,
          mode: repetition.mode))
      return
    }
    guard repetition.mode != .possessive else {
      var greedy = repetition
      greedy.mode = .greedy
      return try add(.atomic(.repeated(part, greedy)))
    }
    for _ in 0..<repetition.minimum { try add(part) }
    let isLazy = repetition.mode == .lazy
    func choice(_ body: Int, _ end: Int) -> Instruction {
      isLazy ? .split(end, body) : .split(body, end)
    }
    guard let maximum = repetition.maximum else {
      let start = reserve()
      try add(part)
      instructions.append(.jump(start))
      instructions[start] = choice(start + 1, instructions.count)
      return
    }
    var splits: [Int] = []
    for _ in repetition.minimum..<maximum {
      splits.append(reserve())
      try add(part)
    }
    for split in splits { instructions[split] = choice(split + 1, instructions.count) }
  }

  private mutating func addLook(
    _ part: ExpressionNode, _ direction: ExpressionNode.LookDirection, isNegated: Bool
  ) throws(ExpressionError) {
    guard direction == .behind, case .alternatives(let parts) = part, part.fixedLength == nil else {
      return try addLook(part, back: direction == .behind ? part.fixedLength ?? 0 : 0, isNegated)
    }
    // Behind lies one of several widths, or none of them.
    guard isNegated else {
      return try addAlternatives(parts.map { .look($0, .behind, isNegated: false) })
    }
    for part in parts { try addLook(part, back: part.fixedLength ?? 0, true) }
  }

  private mutating func addLook(
    _ part: ExpressionNode, back: Int, _ isNegated: Bool
  ) throws(ExpressionError) {
    let start = reserve()
    try add(part)
    instructions.append(.accept)
    instructions[start] = .look(end: instructions.count, back: back, isNegated: isNegated)
  }
}

extension ExpressionProgram {
  /// `true` if a scalar is in a set.
  @inline(__always)
  func contains(_ set: Int, _ scalar: UInt32) -> Bool {
    guard scalar < 0x10000 else { return sets[set].contains(scalar) }
    return bitmaps[set * ScalarSet.bitmapSize + Int(scalar >> 6)] >> UInt64(scalar & 63) & 1 != 0
  }
}
