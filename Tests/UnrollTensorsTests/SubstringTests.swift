// Searches in texts.

import Testing
import UnrollTensors

@Suite("Searches in texts") struct SubstringTests {
  @Test("A text is found where its bytes occur for the first time")
  func ranges() throws {
    let text = "weight_ih_l0_l1"
    let range = try #require(text.range(of: "_l"))
    #expect(text[..<range.lowerBound] == "weight_ih")
    #expect(text[range.upperBound...] == "0_l1")
    #expect(text.dropFirst(10).range(of: "weight") == nil)
    #expect("aab".range(of: "ab").map { "aab"[..<$0.lowerBound] } == "a")
  }

  @Test("A text contains its parts, and not the empty text")
  func parts() {
    #expect("a\r\nb".contains("\n"))
    #expect("日本語".contains("本"))
    #expect(!"日本語".contains("木"))
    #expect(!"abc".contains("abcd"))
    #expect(!"abc".contains(""))
    #expect("e\u{301}".contains("e"))
  }

  @Test("A scalar is replaced before a combining mark too")
  func replacement() {
    let replaced = "a\"\u{301}\"b".replacing(scalar: "\"", with: "\"\"")
    #expect(Array(replaced.unicodeScalars) == Array("a\"\"\u{301}\"\"b".unicodeScalars))
  }
}
