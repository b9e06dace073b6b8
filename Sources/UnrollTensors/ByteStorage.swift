// The location of a tensor's bytes: in memory of our own, or in a mapped file.

/// Immutable bytes, owned or mapped from a file; a mapped value keeps its file mapped.
public enum ByteStorage: Sendable {
  /// Bytes in memory.
  case owned([UInt8])
  /// The bytes of floats in memory, shared with other owners of the array.
  case floats([Float])
  /// A part of a mapped file. The range lies inside the file.
  case mapped(MappedFile, Range<Int>)

  /// Names a part of a mapped file, or `nil` if the part does not lie inside it.
  public init?(_ file: MappedFile, offset: Int, count: Int) {
    guard offset >= 0, count >= 0, offset <= file.count, count <= file.count - offset else {
      return nil
    }
    self = .mapped(file, offset..<offset + count)
  }

  /// The number of bytes.
  public var count: Int {
    switch self {
    case .owned(let bytes): bytes.count
    case .floats(let values): values.count * MemoryLayout<Float>.size
    case .mapped(_, let range): range.count
    }
  }

  /// Calls a closure with the bytes, which are valid only during the call.
  public func withUnsafeBytes<Result>(
    _ body: (UnsafeRawBufferPointer) throws -> Result
  ) rethrows -> Result {
    switch self {
    case .owned(let bytes):
      try bytes.withUnsafeBytes(body)
    case .floats(let values):
      try values.withUnsafeBytes(body)
    case .mapped(let file, let range):
      try withExtendedLifetime(file) {
        try body(UnsafeRawBufferPointer(rebasing: file.bytes[range]))
      }
    }
  }

  /// A part of the bytes; mapped bytes stay mapped.
  package subscript(range: Range<Int>) -> ByteStorage {
    switch self {
    case .owned(let bytes): .owned(Array(bytes[range]))
    case .floats(let values): .floats(Array(values[range.lowerBound / 4..<range.upperBound / 4]))
    case .mapped(let file, let all):
      .mapped(file, all.lowerBound + range.lowerBound..<all.lowerBound + range.upperBound)
    }
  }
}
