// The normal forms, compared with Python's.

import TestSupport
import Testing

@testable import UnrollTokenization

@Suite("Normal forms of Unicode") struct NormalFormTests {
  /// A line of the fixture: a text and its NFC, NFD, NFKC and NFKD.
  private struct Case {
    let line: Int
    let text: String
    let forms: [String]
  }

  private static let forms: [NormalForm] = [.nfc, .nfd, .nfkc, .nfkd]

  /// Returns the lines of `fixtures/text/normalization.txt.gz` without the first, which names the version.
  private static func cases() throws -> [Case] {
    try lines(of: TextFixtures.path("normalization.txt.gz")).dropFirst().map { line in
      let fields = String(decoding: line.bytes, as: UTF8.self)
        .split(separator: ";", omittingEmptySubsequences: false)
      let texts = fields.map { field in
        String(
          decoding: field.split(separator: " ").compactMap { UInt32($0, radix: 16) },
          as: UTF32.self)
      }
      return Case(
        line: line.number, text: texts[0],
        forms: texts.dropFirst().map { $0.isEmpty ? texts[0] : $0 })
    }
  }

  @Test("NFC, NFD, NFKC and NFKD of decomposable code points and marks equal those of Python")
  func python() throws {
    let cases = try Self.cases()
    #expect(cases.count == 8974)
    for test in cases {
      #expect(utf8(Self.forms.map { $0.of(test.text) }) == utf8(test.forms), "line \(test.line)")
    }
  }

  @Test("A code point without an entry in the tables is unchanged by every normal form")
  func others() throws {
    let entries = Set(try Self.cases().map(\.text))
    for value in 0..<0x11_0000 as Range<UInt32> {
      guard let scalar = Unicode.Scalar(value), !(0xAC00..<0xD7A4).contains(value) else { continue }
      let text = String(scalar)
      guard !entries.contains(text) else { continue }
      for form in Self.forms where !form.of(text).utf8.elementsEqual(text.utf8) {
        Issue.record("\(form.rawValue) of U+\(String(value, radix: 16))")
      }
    }
  }

  @Test("Every Hangul syllable decomposes into jamo that compose to it")
  func hangul() {
    for value in 0xAC00...0xD7A3 as ClosedRange<UInt32> {
      let syllable = String(decoding: [value], as: UTF32.self)
      let jamo = NormalForm.nfd.of(syllable)
      #expect((2...3).contains(jamo.unicodeScalars.count))
      #expect(NormalForm.nfc.of(jamo).utf8.elementsEqual(syllable.utf8))
    }
  }

  @Test("A hundred thousand marks on one letter are put in order quickly")
  func manyMarks() {
    let marks = String(repeating: "\u{301}\u{323}", count: 50_000)
    let ordered =
      String(repeating: "\u{323}", count: 50_000) + String(repeating: "\u{301}", count: 50_000)
    #expect(NormalForm.nfd.of("q" + marks).utf8.elementsEqual(("q" + ordered).utf8))
  }
}
