// Interprets a pickle without running it: names remain names, and calls are recorded.

/// An invalid location in a pickle.
struct PickleError: Error, Equatable {
  let offset: Int
  let opcode: String
  let expected: String
  let found: String
}

/// The stack machine of pickle.
///
/// Each opcode adds at most one node and takes time linear in its own bytes and in the values it
/// pops, so the total work is linear in the size of the pickle.
struct PickleMachine {
  /// The maximum size of a pickle in bytes; those of language models have a few kilobytes.
  static let largestPickle = 64 << 20
  /// The maximum number of values; each takes 130 bytes of memory with its contents.
  static let mostNodes = 1 << 20
  /// The maximum number of opcodes; those without a value fill the memo and the stack.
  static let mostOpcodes = 4 << 20

  private var cursor: ByteCursor
  private var graph = PickleGraph()
  private var stack: [PickleReference] = []
  private var marks: [Int] = []
  private var memo: [Int: PickleReference] = [:]
  private var offset = 0
  private var opcode: PickleOpcode?

  /// Interprets a pickle.
  ///
  /// - Throws: `PickleError`.
  static func graph(of bytes: [UInt8]) throws -> PickleGraph {
    var position = 0
    return try graph(of: bytes, from: &position)
  }

  /// Interprets one of several consecutive pickles.
  ///
  /// - Parameters:
  ///   - bytes: The pickles.
  ///   - position: The start of the pickle. Out: its end.
  /// - Returns: The graph.
  /// - Throws: `PickleError`, with a position relative to all bytes.
  static func graph(of bytes: [UInt8], from position: inout Int) throws -> PickleGraph {
    guard bytes.count <= largestPickle else {
      throw PickleError(
        offset: 0, opcode: "none", expected: "at most \(largestPickle) bytes",
        found: "\(bytes.count)")
    }
    var machine = PickleMachine(cursor: ByteCursor(bytes, from: position))
    machine.graph.reserveCapacity(min(machine.cursor.remaining, mostNodes))
    var opcodeCount = 0
    while try machine.step() {
      opcodeCount += 1
      guard opcodeCount < mostOpcodes else {
        throw machine.error("at most \(mostOpcodes) opcodes", found: "more")
      }
    }
    position = machine.cursor.position
    return machine.graph
  }

  private init(cursor: ByteCursor) { self.cursor = cursor }

  /// Interprets one opcode; returns `false` after STOP.
  private mutating func step() throws -> Bool {
    offset = cursor.position
    opcode = nil
    let byte = try need(cursor.littleEndian(UInt8.self), "an opcode")
    guard let code = PickleOpcode(rawValue: byte) else {
      throw error("an opcode", found: "byte 0x" + String(byte, radix: 16))
    }
    opcode = code
    if code == .stop {
      graph.root = try pop()
      return false
    }
    guard graph.nodes.count < Self.mostNodes else {
      throw error("at most \(Self.mostNodes) values", found: "more")
    }
    let isDone = try scalar(code) || text(code) || container(code) || memory(code) || object(code)
    guard isDone else { throw error("an opcode with a meaning", found: code.name) }
    return true
  }

  // MARK: - Scalars

  private mutating func scalar(_ code: PickleOpcode) throws -> Bool {
    switch code {
    case .none: push(.none)
    case .newtrue: push(.bool(true))
    case .newfalse: push(.bool(false))
    case .binint: push(.int(Int(try number(Int32.self))))
    case .binint1: push(.int(Int(try number(UInt8.self))))
    case .binint2: push(.int(Int(try number(UInt16.self))))
    case .long1: push(integer(try bytes(Int(try number(UInt8.self)))))
    case .long4: push(integer(try bytes(Int(try number(Int32.self)))))
    case .binfloat:
      let bits = try need(cursor.bigEndian(UInt64.self), "8 bytes")
      push(.float(Double(bitPattern: bits)))
    case .int: push(try decimal(booleans: true))
    case .long: push(try decimal(booleans: false))
    case .float: push(.float(try need(Double(try line()), "a decimal number")))
    default: return false
    }
    return true
  }

  /// Returns a little-endian two's complement number of any length.
  private func integer(_ bytes: ArraySlice<UInt8>) -> PickleValue {
    guard bytes.count <= 8 else { return .largeInt(Array(bytes)) }
    let fill: Int = (bytes.last ?? 0) & 0x80 == 0 ? 0 : -1
    return .int(bytes.reversed().reduce(fill) { $0 << 8 | Int($1) })
  }

  /// Reads a decimal line; protocol 0 writes booleans as `00` and `01`, longs with an `L`.
  private mutating func decimal(booleans: Bool) throws -> PickleValue {
    let text = try line()
    if booleans && text == "00" { return .bool(false) }
    if booleans && text == "01" { return .bool(true) }
    let digits = text.hasSuffix("L") ? String(text.dropLast()) : text
    return .int(try need(Int(digits), "a decimal integer of at most 64 bits"))
  }

  // MARK: - Strings and bytes

  private mutating func text(_ code: PickleOpcode) throws -> Bool {
    switch code {
    case .binunicode: push(.string(try utf8(Int(try number(UInt32.self)))))
    case .shortBinunicode: push(.string(try utf8(Int(try number(UInt8.self)))))
    case .binunicode8: push(.string(try utf8(try length64())))
    case .binstring: push(legacyString(try bytes(Int(try number(Int32.self)))))
    case .shortBinstring: push(legacyString(try bytes(Int(try number(UInt8.self)))))
    case .binbytes: push(.bytes(Array(try bytes(Int(try number(UInt32.self))))))
    case .shortBinbytes: push(.bytes(Array(try bytes(Int(try number(UInt8.self))))))
    case .binbytes8, .bytearray8: push(.bytes(Array(try bytes(try length64()))))
    case .string: push(try quotedString())
    case .unicode: push(.string(try unicodeLine()))
    default: return false
    }
    return true
  }

  /// Returns a Python 2 `str`: text if it is valid, else bytes.
  private func legacyString(_ bytes: ArraySlice<UInt8>) -> PickleValue {
    String(validating: bytes, as: UTF8.self).map { .string($0) } ?? .bytes(Array(bytes))
  }

  private mutating func quotedString() throws -> PickleValue {
    let text = try need(cursor.takeLine(), "a line")
    guard text.count >= 2, let quote = text.first, quote == text.last, [0x22, 0x27].contains(quote)
    else { throw error("a quoted string", found: "other text") }
    let decoded = PickleEscapes.decodeString(text.dropFirst().dropLast())
    return legacyString(try need(decoded, "known escapes in the string")[...])
  }

  private mutating func unicodeLine() throws -> String {
    let text = try need(cursor.takeLine(), "a line")
    return try need(PickleEscapes.decodeUnicode(text), "escapes of Unicode characters")
  }

  // MARK: - Containers

  private mutating func container(_ code: PickleOpcode) throws -> Bool {
    switch code {
    case .mark: marks.append(stack.count)
    case .emptyTuple: push(.tuple)
    case .emptyList: push(.list)
    case .emptyDict: push(.dictionary)
    case .emptySet: push(.set)
    case .tuple: push(.tuple, items: try popToMark())
    case .list: push(.list, items: try popToMark())
    case .frozenset: push(.set, items: try popToMark())
    case .tuple1: push(.tuple, items: try pop(count: 1))
    case .tuple2: push(.tuple, items: try pop(count: 2))
    case .tuple3: push(.tuple, items: try pop(count: 3))
    case .dict:
      let items = try popToMark()
      push(.dictionary)
      try addEntries(items)
    case .append: try addItems(try pop(count: 1), to: .list)
    case .appends: try addItems(try popToMark(), to: .list)
    case .additems: try addItems(try popToMark(), to: .set)
    case .setitem: try addEntries(try pop(count: 2))
    case .setitems: try addEntries(try popToMark())
    default: return false
    }
    return true
  }

  private mutating func addItems(_ items: [PickleReference], to kind: PickleValue) throws {
    let target = try top()
    guard graph[target].value == kind || isObject(target) else {
      throw error("a \(kind) or an object to add items to", found: graph.describe(target))
    }
    graph[target].items.append(contentsOf: items)
  }

  private mutating func addEntries(_ items: [PickleReference]) throws {
    let target = try top()
    guard graph[target].value == .dictionary || isObject(target) else {
      throw error("a dictionary or an object to set items of", found: graph.describe(target))
    }
    guard items.count.isMultiple(of: 2) else {
      throw error("a value for each key", found: "\(items.count) items")
    }
    for index in stride(from: 0, to: items.count, by: 2) {
      graph[target].entries.append((items[index], items[index + 1]))
    }
  }

  private func isObject(_ reference: PickleReference) -> Bool {
    if case .object = graph[reference].value { true } else { false }
  }

  // MARK: - Memo and stack

  private mutating func memory(_ code: PickleOpcode) throws -> Bool {
    switch code {
    case .proto:
      let version = try number(UInt8.self)
      guard version <= 5 else { throw error("protocol 0 to 5", found: "\(version)") }
    case .frame: _ = try length64()
    case .pop: try popOrUnmark()
    case .popMark: _ = try popToMark()
    case .dup: stack.append(try top())
    case .memoize: memo[memo.count] = try top()
    case .put: memo[try need(Int(try line()), "a memo number")] = try top()
    case .binput: memo[Int(try number(UInt8.self))] = try top()
    case .longBinput: memo[Int(try number(UInt32.self))] = try top()
    case .get: try recall(try need(Int(try line()), "a memo number"))
    case .binget: try recall(Int(try number(UInt8.self)))
    case .longBinget: try recall(Int(try number(UInt32.self)))
    default: return false
    }
    return true
  }

  private mutating func recall(_ key: Int) throws {
    guard let reference = memo[key] else {
      throw error("a memo entry \(key)", found: "none")
    }
    stack.append(reference)
  }

  // MARK: - Objects, as records

  private mutating func object(_ code: PickleOpcode) throws -> Bool {
    switch code {
    case .global:
      let module = try line()
      push(.global(module: module, name: try line()))
    case .stackGlobal:
      let parts = try pop(count: 2)
      let module = try need(graph.string(parts[0]), "a module's name")
      push(.global(module: module, name: try need(graph.string(parts[1]), "a name in a module")))
    case .reduce, .newobj: try construct(callable: try pop(count: 2))
    case .newobjEx:
      // Keyword arguments are stored after the positional ones and not used.
      let parts = try pop(count: 3)
      push(.tuple, items: [parts[1], parts[2]])
      try construct(callable: [parts[0], try pop()])
    case .obj:
      let parts = try popToMark()
      let callable = try need(parts.first, "a class after MARK")
      try construct(callable: [callable, graph.add(tuple(Array(parts.dropFirst())))])
    case .inst:
      let module = try line()
      let callable = PickleNode(value: .global(module: module, name: try line()))
      let arguments = tuple(try popToMark())
      try construct(callable: [graph.add(callable), graph.add(arguments)])
    case .build:
      let state = try pop()
      try build(try top(), state: state)
    case .persid: push(.persistent(graph.add(PickleNode(value: .string(try line())))))
    case .binpersid: push(.persistent(try pop()))
    default: return false
    }
    return true
  }

  private mutating func construct(callable parts: [PickleReference]) throws {
    guard graph[parts[1]].value == .tuple else {
      throw error("a tuple of arguments", found: graph.describe(parts[1]))
    }
    push(.object(callable: parts[0], arguments: parts[1]))
  }

  private mutating func build(_ target: PickleReference, state: PickleReference) throws {
    guard isObject(target), graph[target].state == nil else {
      throw error("an object without state", found: graph.describe(target))
    }
    graph[target].state = state
  }

  private func tuple(_ items: [PickleReference]) -> PickleNode {
    PickleNode(value: .tuple, items: items)
  }

  // MARK: - Primitives

  private mutating func push(_ value: PickleValue, items: [PickleReference] = []) {
    stack.append(graph.add(PickleNode(value: value, items: items)))
  }

  private func top() throws -> PickleReference {
    guard stack.count > marks.last ?? 0, let last = stack.last else {
      throw error("a value on the stack", found: "none")
    }
    return last
  }

  private mutating func pop() throws -> PickleReference {
    let last = try top()
    stack.removeLast()
    return last
  }

  /// Pops the topmost values, the deepest first.
  private mutating func pop(count: Int) throws -> [PickleReference] {
    guard stack.count - (marks.last ?? 0) >= count else {
      throw error("\(count) values on the stack", found: "\(stack.count - (marks.last ?? 0))")
    }
    defer { stack.removeLast(count) }
    return Array(stack.suffix(count))
  }

  private mutating func popToMark() throws -> [PickleReference] {
    guard let mark = marks.popLast() else { throw error("a MARK on the stack", found: "none") }
    defer { stack.removeLast(stack.count - mark) }
    return Array(stack[mark...])
  }

  /// Pops a value, or a MARK if one is on top, as Python does.
  private mutating func popOrUnmark() throws {
    if marks.last == stack.count { marks.removeLast() } else { _ = try pop() }
  }

  private mutating func number<Number: FixedWidthInteger>(_ type: Number.Type) throws -> Number {
    guard let number = cursor.littleEndian(type) else {
      throw error("\(MemoryLayout<Number>.size) bytes", found: "\(cursor.remaining)")
    }
    return number
  }

  private mutating func length64() throws -> Int {
    try need(Int(exactly: try number(UInt64.self)), "a length below 2^63")
  }

  private mutating func bytes(_ count: Int) throws -> ArraySlice<UInt8> {
    guard let bytes = cursor.take(count) else {
      throw error("\(count) bytes", found: "\(cursor.remaining)")
    }
    return bytes
  }

  private mutating func utf8(_ count: Int) throws -> String {
    try need(String(validating: try bytes(count), as: UTF8.self), "UTF-8 text")
  }

  private mutating func line() throws -> String {
    let bytes = try need(cursor.takeLine(), "a line")
    return try need(String(validating: bytes, as: UTF8.self), "UTF-8 text")
  }

  private func need<Value>(_ value: Value?, _ expected: String) throws -> Value {
    guard let value else { throw error(expected, found: "none") }
    return value
  }

  private func error(_ expected: String, found: String) -> PickleError {
    PickleError(offset: offset, opcode: opcode?.name ?? "none", expected: expected, found: found)
  }
}
