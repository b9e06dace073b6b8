// The header of an .npy array: a Python dictionary, parsed strictly and never evaluated.

import UnrollTensors

/// The header of an `.npy` file, such as
/// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
struct NPYHeader: Equatable {
  /// A header that breaks a rule of the format.
  struct Problem: Error, Equatable {
    let expected: String
    let found: String
  }

  /// The maximum size of a header, including its preamble, as in NumPy.
  static let largestSize = 10_000 + 12

  private static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)

  /// The type as NumPy writes it, such as `<f4`.
  let type: String
  /// `true` if the first index varies fastest.
  let isFortranOrder: Bool
  /// The dimensions.
  let shape: [Int]
  /// The number of bytes before the data.
  let size: Int

  /// Returns `true` if bytes begin with the signature of `.npy`.
  static func begins(_ bytes: [UInt8]) -> Bool { bytes.starts(with: magic) }

  /// Parses the header of versions 1.0, 2.0 and 3.0.
  ///
  /// - Parameter bytes: The first `largestSize` bytes of a file, or all of them.
  /// - Throws: `Problem` with the expectation.
  init(_ bytes: [UInt8]) throws {
    var cursor = ByteCursor(bytes)
    guard let magic = cursor.take(Self.magic.count), magic.elementsEqual(Self.magic),
      let major = cursor.littleEndian(UInt8.self), let minor = cursor.littleEndian(UInt8.self)
    else { throw Problem(expected: "the signature of an .npy array", found: "other bytes") }
    guard (1...3).contains(major), minor == 0 else {
      throw Problem(expected: "version 1.0, 2.0 or 3.0", found: "\(major).\(minor)")
    }
    let count =
      major == 1
      ? cursor.littleEndian(UInt16.self).map(Int.init)
      : cursor.littleEndian(UInt32.self).map(Int.init)
    guard let count, count <= Self.largestSize - 12, let text = cursor.take(count) else {
      throw Problem(
        expected: "a header of at most \(Self.largestSize - 12) bytes in the array",
        found: count.map { "\($0)" } ?? "none")
    }
    size = cursor.position
    var parser = Parser(text: Array(text))
    (type, isFortranOrder, shape) = try parser.header()
  }

  /// Returns the type and header size of a file with a single array; `nil` for other files and
  /// damaged headers.
  static func ofArray(_ file: MappedFile) -> (type: NumPyType, size: Int)? {
    guard let header = try? NPYHeader(file.copy(0..<largestSize)),
      let type = NumPyType(header.type)
    else { return nil }
    return (type, header.size)
  }

  /// Returns a header of version 1.0 as `numpy.save` writes it.
  ///
  /// - Parameters:
  ///   - type: The type, such as `<f4`.
  ///   - shape: The dimensions.
  /// - Returns: All bytes before the data.
  static func bytes(type: String, shape: [Int]) -> [UInt8] {
    let dimensions = shape.map { "\($0)" }
    let tuple = "(\(dimensions.joined(separator: ", "))\(shape.count == 1 ? "," : ""))"
    var text = "{'descr': '\(type)', 'fortran_order': False, 'shape': \(tuple), }"
    // NumPy reserves space for the first dimension to grow to 21 digits.
    if let first = dimensions.first {
      text += String(repeating: " ", count: max(0, 21 - first.count))
    }
    // The data start at a multiple of 64; a line feed ends the header.
    let padding = (64 - (10 + text.utf8.count + 1) % 64) % 64
    text += String(repeating: " ", count: padding) + "\n"
    var bytes = magic + [1, 0]
    bytes.append(littleEndian: UInt16(text.utf8.count))
    return bytes + Array(text.utf8)
  }
}

// MARK: - The dictionary

/// Parses the form of a Python dictionary that a header may have.
private struct Parser {
  let text: [UInt8]
  private var index = 0

  init(text: [UInt8]) { self.text = text }

  mutating func header() throws -> (type: String, isFortranOrder: Bool, shape: [Int]) {
    var (type, isFortranOrder, shape): (String?, Bool?, [Int]?)
    try take("{")
    while !has("}") {
      let key = try string()
      try take(":")
      switch key {
      case "descr" where type == nil: type = try descriptor()
      case "fortran_order" where isFortranOrder == nil: isFortranOrder = try bool()
      case "shape" where shape == nil: shape = try tuple()
      default: throw problem("each of descr, fortran_order and shape once")
      }
      if !has("}") { try take(",") }
    }
    try take("}")
    guard let type, let isFortranOrder, let shape else {
      throw problem("descr, fortran_order and shape")
    }
    skipSpace()
    guard index == text.count else { throw problem("the end of the header") }
    return (type, isFortranOrder, shape)
  }

  private func problem(_ expected: String) -> NPYHeader.Problem {
    NPYHeader.Problem(expected: expected, found: "other text at byte \(index) of the header")
  }

  private mutating func skipSpace() {
    while index < text.count, [0x20, 0x0A].contains(text[index]) { index += 1 }
  }

  private mutating func has(_ character: Unicode.Scalar) -> Bool {
    skipSpace()
    return index < text.count && text[index] == UInt8(ascii: character)
  }

  private mutating func take(_ character: Unicode.Scalar) throws {
    guard has(character) else { throw problem("\"\(character)\"") }
    index += 1
  }

  /// Parses a string without escapes.
  private mutating func string() throws -> String {
    let quote: Unicode.Scalar = has("\"") ? "\"" : "'"
    try take(quote)
    guard let end = text[index...].firstIndex(of: UInt8(ascii: quote)) else {
      throw problem("the end of a text")
    }
    defer { index = end + 1 }
    return String(decoding: text[index..<end], as: UTF8.self)
  }

  private mutating func descriptor() throws -> String {
    guard !has("[") else {
      throw NPYHeader.Problem(expected: "numbers of one type", found: "an array of records")
    }
    return try string()
  }

  private mutating func bool() throws -> Bool {
    skipSpace()
    for (word, value) in [("True", true), ("False", false)]
    where text[index...].starts(with: word.utf8) {
      index += word.utf8.count
      return value
    }
    throw problem("True or False")
  }

  private mutating func tuple() throws -> [Int] {
    var numbers: [Int] = []
    try take("(")
    while !has(")") {
      numbers.append(try number())
      if !has(")") { try take(",") }
    }
    try take(")")
    return numbers
  }

  /// Parses decimal digits; Python 2 appended an L to some.
  private mutating func number() throws -> Int {
    let digits = text[index...].prefix { (0x30...0x39).contains($0) }
    guard let number = Int(String(decoding: digits, as: UTF8.self)) else {
      throw problem("a dimension of at most 63 bits")
    }
    index = digits.endIndex
    if index < text.count, text[index] == UInt8(ascii: "L") { index += 1 }
    return number
  }
}
