// Lines: where they end, how they are numbered, and what happens to files that cannot be read.

import Foundation
import TestSupport
import Testing

@testable import UnrollTokenization

@Suite("Reading of lines") struct LineReaderTests {
  @Test("Lines and words equal those of Python")
  func linesOfPython() throws {
    let fixtures = try TextFixtures()
    #expect(fixtures.texts.count == 17)
    for (name, expected) in fixtures.texts.sorted(by: { $0.key < $1.key }) {
      let lines = try lines(of: TextFixtures.path(name))
      #expect(lines.map(\.number) == Array(1..<lines.count + 1), "\(name)")
      #expect(lines.map(words) == expected.map(utf8), "\(name)")
    }
  }

  @Test("White space is that of Python's str.split for every code point")
  func whiteSpaceOfPython() throws {
    let spaces = Set(try TextFixtures().spaces)
    var wrong: [String] = []
    for value in UInt32(0)...0x10FFFF {
      guard let scalar = Unicode.Scalar(value) else { continue }
      let text = [UInt8](("a" + String(scalar) + "b").utf8)
      let count = text.withUnsafeBytes { WhitespaceWords.ranges(in: $0).count }
      if (count == 2) != spaces.contains(value) { wrong.append(String(value, radix: 16)) }
    }
    #expect(wrong == [])
  }

  @Test("Lines and their terminators add up to the whole file")
  func wholeFile() throws {
    let ends = ["", "\n", "\r", "\r\n"].map { Array($0.utf8) }
    for name in try TextFixtures().texts.keys.sorted() {
      let path = TextFixtures.path(name)
      var rest = [UInt8](try Data(contentsOf: URL(filePath: path)))[...]
      for line in try lines(of: path) {
        #expect(rest.starts(with: line.bytes), "\(name)")
        let end = rest.dropFirst(line.bytes.count).prefix(line.terminatorCount)
        #expect(ends.contains(Array(end)), "\(name)")
        rest = rest.dropFirst(line.bytes.count + line.terminatorCount)
      }
      #expect(rest.isEmpty, "\(name)")
    }
  }

  /// 256 KiB is the size of the reader's buffer: the ends of lines lie on each side and across.
  @Test(
    "A line end across two buffers is read as in one",
    arguments: ["\r\n", "\r", "\n", "\r\r\n", "\n\r"])
  func lineEndAcrossBuffers(end: String) throws {
    // The same text behind a short line is in one buffer.
    let short = try withText(Array("x\(end)second".utf8)) { try lines(of: $0) }
    for shift in -2...1 {
      let start = [UInt8](repeating: 0x78, count: 256 * 1024 + shift)
      try withText(start + Array("\(end)second".utf8)) { path in
        let long = try lines(of: path)
        #expect(long.map(\.terminatorCount) == short.map(\.terminatorCount), "\(shift)")
        #expect(long.dropFirst().map(\.bytes) == short.dropFirst().map(\.bytes), "\(shift)")
        #expect(long.first?.bytes.count == start.count)
      }
    }
  }

  @Test("A carriage return at the end of file and buffer ends one line")
  func carriageReturnAtTheEnd() throws {
    let start = [UInt8](repeating: 0x78, count: 256 * 1024 - 1)
    try withText(start + [0x0D]) { path in
      let lines = try lines(of: path)
      #expect(lines.map(\.terminatorCount) == [1])
    }
  }

  @Test("A line longer than the buffer is read whole")
  func longLines() throws {
    var generator = SeededGenerator(seed: 3)
    let long = (0..<600_000).map { _ in UInt8.random(in: 0x20...0x7E, using: &generator) }
    try withText(long + Array("\nb".utf8)) { path in
      let lines = try lines(of: path)
      #expect(lines.map(\.bytes) == [long, Array("b".utf8)])
    }
  }

  @Test("The fraction that was read grows and ends at 1")
  func readFraction() throws {
    let bytes = (0..<6000).flatMap { _ in [UInt8](repeating: 0x61, count: 99) + [0x0A] }
    try withText(bytes) { path in
      var reader = try LineReader(path: path)
      var fractions: [Double] = []
      while try reader.next() != nil { fractions.append(reader.fraction ?? -1) }
      #expect(fractions.count == 6000)
      #expect(zip(fractions, fractions.dropFirst()).allSatisfy { $0 <= $1 })
      #expect(fractions.first.map { $0 > 0 && $0 < 1 } == true && fractions.last == 1)
    }
    let fraction = try withText([]) { try LineReader(path: $0).fraction }
    #expect(fraction == nil)
  }

  // MARK: - gzip

  @Test(
    "gzip data gives the lines of the plain text",
    arguments: ["mixed.txt.gz", "two-members.txt.gz"])
  func gzipLines(name: String) throws {
    let packed = try lines(of: TextFixtures.path(name))
    let plain = try lines(of: TextFixtures.path("mixed.txt"))
    #expect(packed.map(\.bytes) == plain.map(\.bytes))
    #expect(packed.map(\.terminatorCount) == plain.map(\.terminatorCount))
  }

  @Test(
    "Damaged gzip data is refused with the reason",
    arguments: [
      ("truncated.txt.gz", "unexpected end of file"),
      ("truncated-at-the-end.txt.gz", "unexpected end of file"),
      ("wrong-checksum.txt.gz", "incorrect data check"),
    ])
  func damagedGzip(name: String, reason: String) throws {
    let path = TextFixtures.path(name)
    expectError(
      """
      \(path): line 1: expected readable text or gzip data; found \(reason)
        fix: check that the file is whole: `gzip -t` tests a .gz file
      """
    ) { _ = try lines(of: path) }
  }

  @Test("gzip data truncated at any byte is refused")
  func truncatedGzip() throws {
    let bytes = [UInt8](try Data(contentsOf: URL(filePath: TextFixtures.path("mixed.txt.gz"))))
    // The first byte of the signature alone is a plain text.
    for count in 2..<bytes.count {
      _ = try withText(Array(bytes.prefix(count))) { path in
        #expect(throws: TextError.self, "\(count)") { try lines(of: path) }
      }
    }
  }

  // MARK: - What is no text

  @Test("A folder is refused as a text")
  func folderAsText() {
    let path = TextFixtures.path("corpus")
    expectError("\(path): cannot read: is a directory") { _ = try lines(of: path) }
  }

  @Test("A missing text file is refused")
  func missingFile() {
    expectError("/no/such/text.txt: cannot open: no such file or directory") {
      _ = try lines(of: "/no/such/text.txt")
    }
  }

  @Test("A dash reads standard input and leaves it open")
  func standardInput() throws {
    let original = dup(STDIN_FILENO)
    let text = open(TextFixtures.path("mixed.txt"), O_RDONLY | O_CLOEXEC)
    dup2(text, STDIN_FILENO)
    defer {
      dup2(original, STDIN_FILENO)
      close(original)
      close(text)
    }
    let expected = try lines(of: TextFixtures.path("mixed.txt"))
    #expect(try lines(of: "-").map(\.bytes) == expected.map(\.bytes))
    // The reader closes a copy: standard input stays open.
    #expect(fcntl(STDIN_FILENO, F_GETFD) >= 0)
  }
}

@Suite("Encodings and ends of lines") struct TextFormTests {
  private func lines(
    _ bytes: [UInt8], _ tokenizer: Tokenizer = Tokenizer()
  ) throws -> [TextLine] {
    try withText(bytes) { path in
      var reader = try LineReader(path: path, for: tokenizer)
      var lines: [TextLine] = []
      while let line = try reader.next() { lines.append(line) }
      return lines
    }
  }

  @Test("CR CR LF ends two lines as in Python, and one line for tokenizers that keep line ends")
  func twoReturnsEndTwoLines() throws {
    // io.StringIO("a\r\r\nb\r\n", newline=None).read() is "a\n\nb\n".
    let text = Array("a\r\r\nb\r\n".utf8)
    #expect(try lines(text).map(\.bytes) == [[0x61], [], [0x62]])
    #expect(try lines(text).map(\.terminatorCount) == [1, 2, 2])
    let characters = Tokenizer(kind: .character, sentenceStart: .none, appendsEndOfSentence: false)
    #expect(
      try lines(text, characters).map(\.bytes) == [Array("a\r\r\n".utf8), Array("b\r\n".utf8)])
  }

  @Test("A byte-order mark is left out for every tokenizer", arguments: TokenizerKind.allCases)
  func byteOrderMarks(kind: TokenizerKind) throws {
    let found = try lines(Array("\u{FEFF}a\n".utf8), Tokenizer(kind: kind))
    #expect(found.map(\.bytes) == [[0x61]])
    // Only at the start of the text.
    let later = try lines(Array("a\n\u{FEFF}b\n".utf8), Tokenizer(kind: kind))
    #expect(later.last?.bytes == Array("\u{FEFF}b".utf8))
  }

  @Test("UTF-16 and UTF-32 are detected by their mark or zero bytes, and UTF-8 is not")
  func wideEncodings() throws {
    let text = "the cat sat\n"
    let little = text.utf16.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
    let big = text.utf16.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
    #expect(WideEncoding(of: little) == .utf16LittleEndian)
    #expect(WideEncoding(of: big) == .utf16BigEndian)
    #expect(WideEncoding(of: [0xFF, 0xFE] + little) == .utf16)
    #expect(WideEncoding(of: [0xFE, 0xFF] + big) == .utf16)
    #expect(WideEncoding(of: [0xFF, 0xFE, 0, 0] + little) == .utf32)
    let russian = "Он сказал: да, 12 раз\n".utf16.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
    #expect(WideEncoding(of: russian) == .utf16LittleEndian)
    for other in ["", "a", "a\0b", "the cat\0sat on\0the mat\0", "\0\0\0\0"] {
      #expect(WideEncoding(of: Array(other.utf8)) == nil, "\(other.debugDescription)")
    }
    // Bytes are bytes.
    #expect(try lines(little, Tokenizer(kind: .byte)).first?.bytes == Array(little.dropLast(2)))
    #expect(throws: TextError.self) { try lines(little) }
  }
}
