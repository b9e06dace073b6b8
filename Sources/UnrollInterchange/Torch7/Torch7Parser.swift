// Parses the binary form of `torch.save` of Lua's Torch.

import UnrollTensors

/// A parser of `torch.save`'s binary form, as Torch's `File.lua` writes it.
///
/// Every object begins with its type as an i32. Tables, objects and functions have an index by
/// which later ones refer to them, so cycles occur. The parser keeps its own stack: graphs of nngraph
/// are nested as deep as they have nodes. Functions are skipped.
struct Torch7Parser {
  /// An error of the file's structure.
  struct Failure: Error {
    let offset: Int
    let expected: String
    let found: String
  }

  /// A value whose parts are not complete yet.
  private enum Frame {
    case table(node: Int, left: Int, key: Torch7Value?)
    case object(node: Int)
    case tensor(node: Int)
    /// The variables that a function captured, which are dropped.
    case function
  }

  /// The numbers that `File.lua` gives the types.
  private enum Kind {
    static let null: Int32 = 0
    static let number: Int32 = 1
    static let text: Int32 = 2
    static let table: Int32 = 3
    static let object: Int32 = 4
    static let boolean: Int32 = 5
    static let function: Int32 = 6
    /// Functions with an index: the second kind is of Torch's first versions.
    static let indexedFunctions: Set<Int32> = [7, 8]
  }

  /// The largest number of entries of all tables.
  private static let mostEntries = 2_000_000
  /// The largest number of dimensions of a tensor.
  private static let mostDimensions = 64
  /// The smallest number of bytes of an entry: a key and a value of 4 bytes or more.
  private static let smallestEntry = 8

  /// The nodes, in order of their beginnings.
  private(set) var nodes: [Torch7Node] = []
  private let bytes: ByteStorage
  /// The number of bytes of a `long`: 8, or 4 in files of 32-bit machines and of Windows.
  private let longSize: Int
  private var position = 0
  private var entryCount = 0
  private var values: [Int32: Torch7Value] = [:]
  private var stack: [Frame] = []

  /// Prepares to parse the bytes of a file.
  init(_ bytes: ByteStorage, longSize: Int) {
    self.bytes = bytes
    self.longSize = longSize
  }

  /// Parses the file, which holds one value.
  ///
  /// - Returns: The value.
  /// - Throws: `Failure` if the file is damaged, or of another kind.
  mutating func parse() throws -> Torch7Value {
    while true {
      var value = try begin()
      while let part = value {
        guard let frame = stack.popLast() else {
          guard position == bytes.count else {
            throw failure("the end of the file", "\(bytes.count - position) more bytes")
          }
          return part
        }
        value = complete(frame, with: part)
      }
    }
  }

  // MARK: - Values

  /// Begins a value; `nil` if its parts follow.
  private mutating func begin() throws -> Torch7Value? {
    let kind = try i32()
    switch kind {
    case Kind.null: return .null
    case Kind.number:
      return .number(Double(bitPattern: UInt64(bitPattern: try integer(Int64.self))))
    case Kind.text: return .text(copy(try textRange()))
    case Kind.boolean: return .boolean(try i32() != 0)
    case Kind.function:
      _ = try textRange()
      stack.append(.function)
      return nil
    default: return try beginShared(kind)
    }
  }

  /// Begins a value with an index, or returns the value that has the index already.
  private mutating func beginShared(_ kind: Int32) throws -> Torch7Value? {
    let isFunction = Kind.indexedFunctions.contains(kind)
    guard isFunction || kind == Kind.table || kind == Kind.object else {
      throw failure("a type from 0 to 8", "\(kind)")
    }
    let index = try i32()
    if let value = values[index] { return value }
    if isFunction {
      values[index] = .function
      _ = try textRange()
      stack.append(.function)
      return nil
    }
    let node = nodes.count
    values[index] = .node(node)
    if kind == Kind.object { return try beginObject(node) }
    nodes.append(Torch7Node())
    let count = try count(of: Self.smallestEntry)
    entryCount += count
    guard entryCount <= Self.mostEntries else {
      throw failure("at most \(Self.mostEntries) entries of tables", "more")
    }
    guard count > 0 else { return .node(node) }
    stack.append(.table(node: node, left: count, key: nil))
    return nil
  }

  private mutating func beginObject(_ node: Int) throws -> Torch7Value? {
    var name = try shortText()
    // Torch's first versions wrote no version before the name.
    if name.hasPrefix("V ") { name = try shortText() }
    if let element = Torch7Element(className: name, longSize: longSize) {
      nodes.append(Torch7Node(className: name))
      if element.isTensor {
        nodes[node].content = try tensor()
        stack.append(.tensor(node: node))
        return nil
      }
      let count = try long()
      let (size, isHuge) = count.multipliedReportingOverflow(by: element.element.size)
      guard count >= 0, !isHuge, size <= bytes.count - position else {
        throw failure("\(count) elements of \(name)", "\(bytes.count - position) bytes")
      }
      nodes[node].content = .storage(
        element: element.element, bytes: position..<position + size)
      position += size
      return .node(node)
    }
    nodes.append(Torch7Node(className: name, content: .object(body: .null)))
    stack.append(.object(node: node))
    return nil
  }

  /// Parses sizes, strides and offset of a tensor; its storage follows.
  private mutating func tensor() throws -> Torch7Node.Content {
    let rank = Int(try i32())
    guard (0...Self.mostDimensions).contains(rank) else {
      throw failure("0 to \(Self.mostDimensions) dimensions", "\(rank)")
    }
    let sizes = try (0..<rank).map { _ in try long() }
    let strides = try (0..<rank).map { _ in try long() }
    let first = try long()
    guard first >= 0, sizes.allSatisfy({ $0 >= 0 }) else {
      throw failure("a tensor's sizes and offset", "negative ones")
    }
    return .tensor(sizes: sizes, strides: strides, offset: max(0, first - 1), storage: .null)
  }

  /// Adds a part to a value; returns the value if that was the last one, else puts it back.
  private mutating func complete(_ frame: Frame, with part: Torch7Value) -> Torch7Value? {
    switch frame {
    case .function: return .function
    case .object(let node):
      nodes[node].content = .object(body: part)
      return .node(node)
    case .tensor(let node):
      guard case .tensor(let sizes, let strides, let offset, _) = nodes[node].content else {
        return .node(node)
      }
      nodes[node].content = .tensor(
        sizes: sizes, strides: strides, offset: offset, storage: part)
      return .node(node)
    case .table(let node, let left, nil):
      stack.append(.table(node: node, left: left, key: part))
      return nil
    case .table(let node, let left, let key?):
      nodes[node].entries.append((key, part))
      guard left > 1 else { return .node(node) }
      stack.append(.table(node: node, left: left - 1, key: nil))
      return nil
    }
  }

  // MARK: - Bytes

  private func copy(_ range: Range<Int>) -> [UInt8] {
    bytes.withUnsafeBytes { Array($0[range]) }
  }

  private func failure(_ expected: String, _ found: String) -> Failure {
    Failure(offset: position, expected: expected, found: found)
  }

  private mutating func integer<Number: FixedWidthInteger>(_ type: Number.Type) throws -> Number {
    let size = MemoryLayout<Number>.size
    guard size <= bytes.count - position else {
      throw failure("\(size) more bytes", "the end of the file")
    }
    defer { position += size }
    return bytes.withUnsafeBytes {
      Number(littleEndian: $0.loadUnaligned(fromByteOffset: position, as: Number.self))
    }
  }

  private mutating func i32() throws -> Int32 { try integer(Int32.self) }

  private mutating func long() throws -> Int {
    longSize == 8 ? Int(try integer(Int64.self)) : Int(try integer(Int32.self))
  }

  /// Returns a number of things that follow, each of a number of bytes at least.
  private mutating func count(of size: Int) throws -> Int {
    let count = Int(try i32())
    guard count >= 0, count <= (bytes.count - position) / size else {
      throw failure(
        "a count of what follows", "\(count), with \(bytes.count - position) bytes left")
    }
    return count
  }

  /// Returns the range of the bytes after their number.
  private mutating func textRange() throws -> Range<Int> {
    let count = try count(of: 1)
    defer { position += count }
    return position..<position + count
  }

  private mutating func shortText() throws -> String {
    let range = try textRange()
    guard range.count <= 200 else {
      throw failure("the name of a class", "\(range.count) bytes")
    }
    return String(decoding: copy(range), as: UTF8.self)
  }
}

/// The class of a tensor or a storage.
struct Torch7Element {
  let element: TorchElement
  let isTensor: Bool

  /// The types by the names of classes; those of the GPU have the same bytes in a file.
  private static let names: [String: String] = [
    "Byte": "uint8", "Char": "int8", "Short": "int16", "Int": "int32", "Float": "float32",
    "Double": "float64", "Half": "float16", "Cuda": "float32",
  ]

  /// Parses a name such as `torch.FloatTensor`; `nil` for other classes.
  init?(className: String, longSize: Int) {
    guard className.hasPrefix("torch.") else { return nil }
    var name = className.dropFirst("torch.".count)
    if name.hasSuffix("Tensor") {
      isTensor = true
      name = name.dropLast("Tensor".count)
    } else if name.hasSuffix("Storage") {
      isTensor = false
      name = name.dropLast("Storage".count)
    } else {
      return nil
    }
    if name.hasPrefix("Cuda"), name != "Cuda" { name = name.dropFirst("Cuda".count) }
    let type = name == "Long" ? "int\(longSize * 8)" : Self.names[String(name)]
    guard let element = type.flatMap(TorchElement.element) else { return nil }
    self.element = element
  }
}
