// The header of a GGUF file: keys with values, and the descriptions of the tensors.

import UnrollTensors

/// The type of a header value; the raw value is the one on disk.
enum GGUFValueType: Int {
  case uint8, int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64,
    float64

  /// The size of a value in bytes; `nil` for types of variable size.
  var size: Int? {
    switch self {
    case .uint8, .int8, .bool: 1
    case .uint16, .int16: 2
    case .uint32, .int32, .float32: 4
    case .uint64, .int64, .float64: 8
    case .string, .array: nil
    }
  }

  /// `true` if values are integers.
  var isInteger: Bool { ![.float32, .float64, .bool, .string, .array].contains(self) }
}

/// A value of the header: its type and location.
///
/// Lists are read on demand.
struct GGUFValue {
  /// The type of the value, or of the elements of a list; `array` for a list of lists.
  let type: GGUFValueType
  /// The number of elements of a list; `nil` for other values.
  let count: Int?
  /// The offset of the value, or of the list's first element.
  let start: Int
}

/// The description of a tensor in the header.
struct GGUFTensorInfo {
  let name: String
  /// The dimensions, slowest first: reversed from the file.
  let sizes: [Int]
  /// The number of the ggml type.
  let type: Int
  /// The offset of the tensor from the start of the data.
  let offset: Int
}

/// The parsed header; every number in it was checked against the size of the file.
///
/// The format is specified at https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2
/// and 3.
struct GGUFHeader {
  /// The maximum number of keys, and of tensors.
  private static let mostEntries = 1 << 16
  /// The maximum length of a key in bytes, from the format; it limits the names of tensors to 64.
  private static let longestKey = (1 << 16) - 1
  private static let longestName = 64
  private static let mostDimensions = 4
  /// The maximum nesting of lists; the format has no limit.
  private static let deepestList = 16
  /// The default alignment.
  private static let usualAlignment = 32

  /// The values by their keys.
  private(set) var values: [String: GGUFValue] = [:]
  /// The tensors, in the order of the file.
  private(set) var tensors: [GGUFTensorInfo] = []
  /// The alignment of tensor data in bytes.
  private(set) var alignment = usualAlignment
  /// The offset of the tensor data.
  private(set) var dataStart = 0

  private let file: MappedFile
  private var position = 0
  private var place = "header"

  /// Parses the header of a file.
  ///
  /// - Throws: `InterchangeError` if it breaks a rule of the format.
  init(_ file: MappedFile) throws {
    self.file = file
    guard GGUFFile.recognizes(file) else { throw error("the signature GGUF", "other bytes") }
    position = 4
    try checkVersion()
    let tensorCount = try count(of: "tensors")
    let valueCount = try count(of: "keys")
    for _ in 0..<valueCount { try readValue() }
    place = "header"
    try readAlignment()
    for _ in 0..<tensorCount { try readTensor() }
    place = "header"
    dataStart = padded(position)
  }

  /// Rounds a number of bytes up to the alignment.
  func padded(_ count: Int) -> Int {
    count / alignment * alignment + (count % alignment == 0 ? 0 : alignment)
  }

  private func error(
    _ expected: String, _ found: String,
    fix: String = "the file is damaged; copy it again or write it again"
  ) -> InterchangeError {
    InterchangeError(file: file.path, place: place, expected: expected, found: found, fix: fix)
  }

  private mutating func checkVersion() throws {
    let version = try u32()
    guard version != 1, version & 0xFFFF != 0 else {
      throw error(
        "version 2 or 3, the lowest byte first",
        version == 1 ? "version 1" : "a file of the other byte order",
        fix:
          "convert it with the gguf package: `gguf-convert-endian FILE little`, or write it again")
    }
    guard version == 2 || version == 3 else { throw error("version 2 or 3", "\(version)") }
  }

  private mutating func count(of what: String) throws -> Int {
    guard let count = try u64(), count <= Self.mostEntries else {
      throw error("at most \(Self.mostEntries) \(what)", "more")
    }
    return count
  }

  // MARK: - Keys and values

  private mutating func readValue() throws {
    place = "header, byte \(position)"
    let key = try string(atMost: Self.longestKey, "a key")
    place = key
    let type = try valueType()
    let value =
      type == .array ? try listHead() : GGUFValue(type: type, count: nil, start: position)
    guard values.updateValue(value, forKey: key) == nil else {
      throw error("this key once", "twice")
    }
    try skip(value)
  }

  private mutating func valueType() throws -> GGUFValueType {
    let number = try u32()
    guard let type = GGUFValueType(rawValue: number) else {
      throw error("a type of values, 0 to 12", "\(number)")
    }
    return type
  }

  /// Reads the type and length of a list.
  private mutating func listHead() throws -> GGUFValue {
    let type = try valueType()
    guard let count = try u64() else { throw error("at most 2^63 elements", "more") }
    return GGUFValue(type: type, count: count, start: position)
  }

  private mutating func skip(_ value: GGUFValue, depth: Int = 1) throws {
    let count = value.count ?? 1
    if let size = value.type.size {
      let (byteCount, overflows) = size.multipliedReportingOverflow(by: count)
      guard !overflows else { throw error("a list in the file", "\(count) elements") }
      return try skip(byteCount)
    }
    guard value.type == .string || depth < Self.deepestList else {
      throw error(
        "at most \(Self.deepestList) lists inside each other", "more",
        fix: "leave the key out when the file is written: no model needs it")
    }
    // A text takes at least 8 bytes and a list 12, so the size of the file bounds this loop.
    var rest = count
    while rest > 0 {
      if value.type == .array {
        try skip(try listHead(), depth: depth + 1)
      } else {
        try skip(try length("a text"))
      }
      rest -= 1
    }
  }

  private mutating func readAlignment() throws {
    let key = "general.alignment"
    guard let value = values[key] else { return }
    place = key
    guard value.type == .uint32, value.count == nil, let number = int(key), number > 0,
      number & (number - 1) == 0, number <= 1 << 20
    else { throw error("a power of two in 32 bits", "another value") }
    alignment = number
    place = "header"
  }

  // MARK: - Tensors

  private mutating func readTensor() throws {
    place = "header, byte \(position)"
    let name = try string(atMost: Self.longestName, "a tensor's name")
    place = name
    let rank = try u32()
    guard rank <= Self.mostDimensions else {
      throw error("at most \(Self.mostDimensions) dimensions", "\(rank)")
    }
    var sizes: [Int] = []
    for _ in 0..<rank {
      guard let size = try u64() else { throw error("dimensions below 2^63", "more") }
      sizes.insert(size, at: 0)
    }
    let type = try u32()
    guard let offset = try u64(), offset % alignment == 0 else {
      throw error("an offset at a multiple of \(alignment)", "another")
    }
    tensors.append(GGUFTensorInfo(name: name, sizes: sizes, type: type, offset: offset))
  }

  // MARK: - Bytes

  private func number(_ width: Int, at place: Int) -> UInt64? {
    guard place >= 0, place <= file.count, width <= file.count - place else { return nil }
    return withExtendedLifetime(file) {
      file.bytes[place..<place + width].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
  }

  private mutating func u32() throws -> Int {
    guard let number = number(4, at: position) else { throw endError }
    position += 4
    return Int(number)
  }

  /// Reads a 64-bit number; returns `nil` if it does not fit in an `Int`.
  private mutating func u64() throws -> Int? {
    guard let number = number(8, at: position) else { throw endError }
    position += 8
    return Int(exactly: number)
  }

  private mutating func length(_ what: String) throws -> Int {
    guard let count = try u64(), count <= file.count - position else {
      throw error("\(what) in the file", "one that is longer")
    }
    return count
  }

  private mutating func skip(_ count: Int) throws {
    guard count <= file.count - position else { throw endError }
    position += count
  }

  private mutating func string(atMost limit: Int, _ what: String) throws -> String {
    let count = try length(what)
    guard count <= limit,
      let text = String(validating: file.copy(position..<position + count), as: UTF8.self)
    else { throw error("\(what) of at most \(limit) bytes of UTF-8", "another") }
    position += count
    return text
  }

  private var endError: InterchangeError { error("more of the header", "the end of the file") }

  // MARK: - Access to values

  /// Returns the text of a key; `nil` if there is none, or if it exceeds a limit.
  func text(_ key: String, atMost limit: Int = .max) -> String? {
    guard let value = values[key], value.type == .string, value.count == nil,
      number(8, at: value.start).map({ $0 <= limit }) == true
    else { return nil }
    return text(at: value.start).flatMap { String(validating: $0.bytes, as: UTF8.self) }
  }

  /// Returns the integer of a key; `nil` if there is none, or if it exceeds 63 bits.
  func int(_ key: String) -> Int? {
    guard let value = values[key], value.count == nil, value.type.isInteger,
      let size = value.type.size, let bits = number(size, at: value.start)
    else { return nil }
    return Int(exactly: bits)
  }

  /// Returns the bytes of a list of texts; `nil` if there is none.
  func texts(_ key: String) -> [[UInt8]]? {
    guard let value = values[key], value.type == .string, let count = value.count else {
      return nil
    }
    var (texts, place): ([[UInt8]], Int) = ([], value.start)
    for _ in 0..<count {
      guard let text = text(at: place) else { return nil }
      texts.append(text.bytes)
      place = text.end
    }
    return texts
  }

  private func text(at place: Int) -> (bytes: [UInt8], end: Int)? {
    guard let count = number(8, at: place).flatMap(Int.init(exactly:)),
      count <= file.count - place - 8
    else { return nil }
    let end = place + 8 + count
    return (file.copy(place + 8..<end), end)
  }
}
