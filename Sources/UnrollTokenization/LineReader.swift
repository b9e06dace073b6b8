// Text from disk, standard input or a gzip file, one line at a time.

import CZlib
import UnrollTensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// An error of reading or using a text, with its location.
public struct TextError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The file's path, or `-` for standard input.
  public let path: String
  /// The line, counted from 1, or `nil` if the error has no line.
  public let line: Int?
  /// The expectation there.
  public let expected: String
  /// The finding there.
  public let found: String
  /// The next step.
  public let fix: String

  /// Describes an error of a text.
  public init(path: String, line: Int?, expected: String, found: String, fix: String) {
    self.path = path
    self.line = line
    self.expected = expected
    self.found = found
    self.fix = fix
  }

  /// Location, expectation, the value found, and the fix.
  public var description: String {
    let place = line.map { ": line \($0)" } ?? ""
    return
      "\(printable(path))\(place): expected \(expected); found \(excerpt(found))\n  fix: \(fix)"
  }
}

/// One line of a text.
public struct TextLine: Sendable {
  /// The bytes without the end of the line.
  public var bytes: [UInt8]
  /// The number of bytes that end the line: 0 for a last line that has no end.
  public var terminatorCount: Int
  /// The number of the line, counted from 1.
  public var number: Int

  /// Creates a line.
  package init(bytes: [UInt8], terminatorCount: Int, number: Int) {
    self.bytes = bytes
    self.terminatorCount = terminatorCount
    self.number = number
  }

  /// The ranges of the words in the bytes: the parts between white space.
  public var words: [Range<Int>] { bytes.withUnsafeBytes { WhitespaceWords.ranges(in: $0) } }
}

/// The line endings that a reader recognizes.
public enum LineEnds: Sendable {
  /// As Python's universal newlines: at `\n`, `\r` or `\r\n`.
  case universal
  /// At `\n`.
  case lineFeed
  /// After `\n`, which is part of the line.
  case kept
}

/// Reads the lines of a text in order, without holding more than one.
///
/// zlib opens plain files as well as gzip files.
public struct LineReader: ~Copyable {
  /// The path, or `-` for standard input.
  public let path: String
  private let lineEnds: LineEnds
  private let isText: Bool
  private let keepsByteOrderMark: Bool
  private let file: gzFile
  /// The descriptor to read plain text from as it comes; `nil` if zlib reads, which waits for a full buffer.
  private let interactive: CInt?
  /// The size on disk, or `nil` for pipes.
  private let fileSize: Int?
  private var buffer: [UInt8] = []
  private var position = 0
  private var lineNumber = 0
  /// The offset at and behind which no line of the part begins; `nil` for the whole text.
  var end: Int?
  private var hasBegun = false

  private static let bufferSize = 256 * 1024
  /// The longest line that is read: a device or a binary file may have none that ends.
  private static let maximumLineSize = 256 << 20

  /// Opens a text.
  ///
  /// - Parameters:
  ///   - path: The file, or `-` for standard input.
  ///   - lineEnds: The line endings that it recognizes.
  ///   - isText: `true` to refuse UTF-16 and UTF-32; `false` for a file that may hold any bytes.
  ///   - keepsByteOrderMark: `true` to keep a byte-order mark of UTF-8 at the start, as Python's `open` does; it
  ///     is no part of the text.
  ///   - isInteractive: `true` to return each line as soon as its end has come. Gzip data are refused then.
  /// - Throws: `FileError` if it cannot be opened.
  public init(
    path: String, lineEnds: LineEnds = .universal, isText: Bool = true,
    keepsByteOrderMark: Bool = false, isInteractive: Bool = false
  ) throws(FileError) {
    let isStandardInput = path == "-"
    // A directory opens for reading and fails at the first read; say so at once.
    let descriptor = isStandardInput ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError("open", path: path) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      close(descriptor)
      throw FileError("examine", path: path)
    }
    if status.st_mode & S_IFMT == S_IFDIR {
      close(descriptor)
      throw FileError("read", path: path, code: EISDIR)
    }
    guard let file = gzdopen(descriptor, "rb") else {
      close(descriptor)
      throw FileError("open", path: path, code: ENOMEM)
    }
    gzbuffer(file, UInt32(Self.bufferSize))
    self.file = file
    self.path = path
    self.lineEnds = lineEnds
    self.isText = isText
    self.keepsByteOrderMark = keepsByteOrderMark
    interactive = isInteractive ? descriptor : nil
    fileSize = status.st_mode & S_IFMT == S_IFREG && !isInteractive ? Int(status.st_size) : nil
  }

  /// Opens a text that a tokenizer takes: the one way in which all verbs read one.
  ///
  /// - Parameters:
  ///   - path: The file, or `-` for standard input.
  ///   - tokenizer: The tokenizer, which says where lines end and whether the text may be any bytes.
  ///   - isInteractive: `true` to return each line as soon as its end has come. Gzip data are refused then.
  /// - Throws: `FileError` if it cannot be opened.
  public init(
    path: String, for tokenizer: Tokenizer, isInteractive: Bool = false
  ) throws(FileError) {
    try self.init(
      path: path, lineEnds: tokenizer.lineEnds, isText: tokenizer.kind != .byte,
      isInteractive: isInteractive)
  }

  /// Opens a text whose first lines are looked at before it is read: a regular file only, since a pipe, a
  /// terminal or standard input gives each byte once, and a named pipe waits for a second writer.
  ///
  /// - Parameters:
  ///   - path: The file, or `-` for standard input.
  ///   - tokenizer: The tokenizer, which says where lines end and whether the text may be any bytes.
  /// - Returns: `nil` if the text can be read only once, or not at all.
  package static func peeking(into path: String, for tokenizer: Tokenizer) -> LineReader? {
    var status = stat()
    guard path != "-", stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      return nil
    }
    return try? LineReader(path: path, for: tokenizer)
  }

  deinit { gzclose_r(file) }

  /// The share of the file that was read, or `nil` for pipes.
  public var fraction: Double? {
    guard let fileSize, fileSize > 0 else { return nil }
    // The position in plain text is known to the byte, in compressed text to the buffer.
    let place = gzdirect(file) == 1 ? offset : gzoffset(file)
    return min(1, Double(place) / Double(fileSize))
  }

  /// Returns the next line, or `nil` at the end.
  ///
  /// - Throws: `TextError` if the text cannot be read or decompressed.
  public mutating func next() throws(TextError) -> TextLine? {
    if let end, offset >= end { return nil }
    var line: [UInt8] = []
    while true {
      if position == buffer.count, try !refill() {
        guard !line.isEmpty else { return nil }
        return finish(line, terminatorCount: 0)
      }
      guard line.count <= Self.maximumLineSize else {
        throw TextError(
          path: path, line: lineNumber + 1,
          expected: "lines of at most \(Self.maximumLineSize >> 20) MiB", found: "a longer one",
          fix: "give a text that has ends of lines")
      }
      let rest = buffer[position...]
      let isUniversal = lineEnds == .universal
      guard let end = rest.firstIndex(where: { $0 == 0x0A || (isUniversal && $0 == 0x0D) }) else {
        line += rest
        position = buffer.count
        continue
      }
      line += rest[..<end]
      position = end + 1
      if lineEnds == .kept {
        line.append(buffer[end])
        return finish(line, terminatorCount: 0)
      }
      return finish(line, terminatorCount: try terminatorCount(endingWith: buffer[end]))
    }
  }

  /// The number of bytes of plain text before the next line.
  var offset: Int { Int(gztell(file)) - (buffer.count - position) }

  /// `true` if a carriage return ends a line.
  var endsAtReturns: Bool { lineEnds == .universal }

  /// Counts a line that is not read.
  mutating func skipLine() { lineNumber += 1 }

  // MARK: - Bytes behind a line

  /// The size of a plain file; `nil` for pipes and for compressed files.
  package var plainSize: Int? { gzdirect(file) == 1 ? fileSize : nil }

  /// Returns some of the bytes that follow, without consuming them; none at the end.
  ///
  /// - Throws: `TextError` if the file cannot be read or decompressed.
  package mutating func peek(_ count: Int) throws(TextError) -> ArraySlice<UInt8> {
    if position == buffer.count, try !refill() { return [] }
    return buffer[position...].prefix(count)
  }

  /// Reads `count` bytes, fewer only at the end.
  ///
  /// - Throws: `TextError` if the file cannot be read or decompressed.
  package mutating func read(_ count: Int) throws(TextError) -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
      let next = try peek(count - bytes.count)
      if next.isEmpty { break }
      bytes += next
      position += next.count
    }
    return bytes
  }

  /// Reads up to the next byte of a value, which is consumed, or to the end.
  ///
  /// - Returns: The bytes before it; `nil` if it does not come within `limit` bytes.
  /// - Throws: `TextError` if the file cannot be read or decompressed.
  package mutating func read(
    to separator: UInt8, limit: Int
  ) throws(TextError) -> [UInt8]? {
    var bytes: [UInt8] = []
    while bytes.count <= limit {
      let next = try peek(limit + 1 - bytes.count)
      if next.isEmpty { break }
      let end = next.firstIndex(of: separator)
      bytes += next[..<(end ?? next.endIndex)]
      position = end.map { $0 + 1 } ?? next.endIndex
      if end != nil { return bytes }
    }
    return nil
  }

  /// Consumes the `\n` of a `\r\n`, even one in the next buffer.
  private mutating func terminatorCount(endingWith byte: UInt8) throws(TextError) -> Int {
    guard byte == 0x0D else { return 1 }
    if position == buffer.count, try !refill() { return 1 }
    guard buffer[position] == 0x0A else { return 1 }
    position += 1
    return 2
  }

  private mutating func finish(_ bytes: [UInt8], terminatorCount: Int) -> TextLine {
    lineNumber += 1
    let isMarked = !keepsByteOrderMark && lineNumber == 1 && bytes.starts(with: byteOrderMark)
    let bytes = isMarked ? Array(bytes.dropFirst(3)) : bytes
    return TextLine(bytes: bytes, terminatorCount: terminatorCount, number: lineNumber)
  }

  /// Reads the available bytes of a plain text, waiting for some.
  private mutating func readPlain(from descriptor: CInt) throws(TextError) {
    var count = 0
    buffer = [UInt8](unsafeUninitializedCapacity: Self.bufferSize) { bytes, initialized in
      repeat {
        count = readAvailable(descriptor, bytes.baseAddress, bytes.count)
      } while count < 0 && errno == EINTR
      initialized = max(0, count)
    }
    position = 0
    let isCompressed = lineNumber == 0 && buffer.starts(with: [0x1F, 0x8B])
    guard count >= 0, !isCompressed else {
      throw TextError(
        path: path, line: lineNumber + 1, expected: "plain text, line by line",
        found: isCompressed ? "gzip data" : "a read error",
        fix: "decompress it on the way: `gzip -dc FILE.gz | unroll score --flush MODEL -`")
    }
  }

  /// Reads a full buffer of plain text or gzip data, less only at the end.
  private mutating func readBuffer() throws(TextError) {
    let file = file
    var count: CInt = 0
    buffer = [UInt8](unsafeUninitializedCapacity: Self.bufferSize) { bytes, initialized in
      count = gzread(file, bytes.baseAddress, UInt32(bytes.count))
      initialized = max(0, Int(count))
    }
    position = 0
    // zlib reports a truncated gzip file only through `gzerror`.
    var code: CInt = 0
    // zlib knows the descriptor only; the path stands in front of the message anyway.
    let text = gzerror(file, &code).map { String(cString: $0) } ?? ""
    let message = String(text.trimmingPrefix(#/<fd:[0-9]+>: /#))
    guard count >= 0, code == Z_OK || code == Z_STREAM_END else {
      throw TextError(
        path: path, line: lineNumber + 1, expected: "readable text or gzip data",
        found: message.isEmpty ? "a read error" : message,
        fix: "check that the file is whole: `gzip -t` tests a .gz file")
    }
  }

  /// Reads more text; `false` at the end.
  private mutating func refill() throws(TextError) -> Bool {
    if let interactive { try readPlain(from: interactive) } else { try readBuffer() }
    if !hasBegun {
      hasBegun = true
      if isText, let encoding = WideEncoding(of: buffer) { throw encoding.error(path: path) }
    }
    return !buffer.isEmpty
  }
}

/// `read` of the system; methods of that name hide it.
private func readAvailable(
  _ descriptor: CInt, _ bytes: UnsafeMutableRawPointer?, _ count: Int
) -> Int {
  read(descriptor, bytes, count)
}
