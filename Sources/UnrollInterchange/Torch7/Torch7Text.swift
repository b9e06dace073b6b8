// Turns the ASCII form of `torch.save` of Lua's Torch into its binary form.

import UnrollTensors

/// A reader of Torch's ASCII form, as Torch's `DiskFile.c` writes it.
///
/// It has the same values as the binary form in the same order: numbers as decimal text, those of one array between spaces,
/// each number or array on a line of its own. Texts have their bytes as they are, and end with a line feed.
struct Torch7Text {
  /// A `long` of the binary form that is made.
  static let longSize = 8
  private static let longestNumber = 64

  private let file: MappedFile
  private var position = 0
  /// The binary form so far.
  private var binary: [UInt8] = []
  /// The indices of tables, objects and functions so far.
  private var seen: Set<Int32> = []
  /// The number of values that are to follow.
  private var left = 1

  /// Returns the binary form of a file.
  ///
  /// - Throws: `Torch7Parser.Failure` with a location in the text if it is damaged.
  static func binary(of file: MappedFile) throws -> [UInt8] {
    var text = Torch7Text(file: file)
    while text.left > 0 { try text.addValue() }
    guard text.position == file.count else {
      throw text.failure("the end of the file", "\(file.count - text.position) more bytes")
    }
    return text.binary
  }

  private init(file: MappedFile) { self.file = file }

  // MARK: - Values

  private mutating func addValue() throws {
    left -= 1
    switch try addInt() {
    case 0: break
    case 1: try addNumbers(1, of: "float64")
    case 2: try addText()
    case 5: _ = try addInt()
    case 6: try addFunction()
    case let kind where (3...8).contains(kind): try addShared(kind)
    case let kind: throw failure("a type from 0 to 8", "\(kind)")
    }
  }

  private mutating func addFunction() throws {
    try addText()
    left += 1
  }

  private mutating func addShared(_ kind: Int32) throws {
    let index = try addInt()
    guard seen.insert(index).inserted else { return }
    switch kind {
    case 3: left += 2 * (try addCount())
    case 4: try addObject()
    default: try addFunction()
    }
  }

  private mutating func addObject() throws {
    var name = try addShortText()
    if name.hasPrefix("V ") { name = try addShortText() }
    guard let element = Torch7Element(className: name, longSize: Self.longSize) else {
      left += 1
      return
    }
    guard element.isTensor else { return try addStorage(element.element) }
    let rank = try addCount()
    try addNumbers(rank, of: "int64")
    try addNumbers(rank, of: "int64")
    try addNumbers(1, of: "int64")
    left += 1
  }

  private mutating func addStorage(_ element: TorchElement) throws {
    let count = try number { Int($0) }
    try endLine()
    guard (0...file.count).contains(count) else {
      throw failure("a number of elements", "\(count), with \(file.count - position) bytes left")
    }
    add(Int64(count))
    try addNumbers(count, of: element.name)
  }

  // MARK: - Lines

  private func failure(_ expected: String, _ found: String) -> Torch7Parser.Failure {
    Torch7Parser.Failure(offset: position, expected: expected, found: found)
  }

  private mutating func add(_ value: some FixedWidthInteger) {
    withUnsafeBytes(of: value.littleEndian) { binary += $0 }
  }

  /// Passes the line feed behind a number, an array or a text.
  private mutating func endLine() throws {
    guard position < file.count, file.bytes[position] == UInt8(ascii: "\n") else {
      throw failure(
        "the end of a line", position < file.count ? "other text" : "the end of the file")
    }
    position += 1
  }

  /// Reads a number up to a space or the end of the line.
  private mutating func number<Number>(_ parse: (String) -> Number?) throws -> Number {
    let ends = [UInt8(ascii: " "), UInt8(ascii: "\n")]
    let rest = position..<min(file.count, position + Self.longestNumber)
    let end = rest.first { ends.contains(file.bytes[$0]) } ?? rest.upperBound
    let text = String(decoding: file.copy(position..<end), as: UTF8.self)
    guard let number = parse(text) else { throw failure("a number", "\"\(printable(text))\"") }
    position = end
    return number
  }

  /// Adds a whole number of a line of its own.
  private mutating func addInt() throws -> Int32 {
    let value = try number { Int32($0) }
    try endLine()
    add(value)
    return value
  }

  /// Adds the number of things that follow, each of a byte at least.
  private mutating func addCount() throws -> Int {
    let count = Int(try addInt())
    guard (0...file.count - position).contains(count) else {
      throw failure("a count of what follows", "\(count), with \(file.count - position) bytes left")
    }
    return count
  }

  /// Adds an array of numbers; one without elements has no line.
  private mutating func addNumbers(_ count: Int, of type: String) throws {
    // Bytes are those of the file, not numbers.
    if ["uint8", "int8"].contains(type) { return try addBytes(count) }
    for index in 0..<count {
      if index > 0 {
        guard position < file.count, file.bytes[position] == UInt8(ascii: " ") else {
          throw failure("\(count) numbers in a line", "\(index)")
        }
        position += 1
      }
      switch type {
      case "float64": add(try number { Double($0) }.bitPattern)
      case "float32": add(try number { Float($0) }.bitPattern)
      case "int64": add(try number { Int64($0) })
      case "int32": add(try number { Int32($0) })
      case "int16": add(try number { Int16($0) })
      default:
        throw failure("numbers of another type", "\(type), whose text form is not known")
      }
    }
    if count > 0 { try endLine() }
  }

  /// Adds bytes; none have no line feed.
  private mutating func addBytes(_ count: Int) throws {
    guard count <= file.count - position else {
      throw failure("\(count) bytes", "\(file.count - position)")
    }
    binary += file.copy(position..<position + count)
    position += count
    if count > 0 { try endLine() }
  }

  /// Adds a text and returns its range.
  @discardableResult private mutating func addText() throws -> Range<Int> {
    let count = try addCount()
    let range = position..<position + count
    try addBytes(count)
    return range
  }

  private mutating func addShortText() throws -> String {
    let range = try addText()
    guard range.count <= 200 else { throw failure("the name of a class", "\(range.count) bytes") }
    return String(decoding: file.copy(range), as: UTF8.self)
  }
}
