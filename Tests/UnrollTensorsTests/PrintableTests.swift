// Texts of foreign files, made safe to print.

import Testing
import UnrollTensors

@Suite("Printed excerpts") struct PrintableTests {
  @Test("A long text is cut, and the rest is counted")
  func longTexts() {
    #expect(excerpt("abc", limit: 3) == "abc")
    #expect(excerpt("abcde", limit: 3) == "abc... (2 more)")
    // One character of thousands of scalars.
    let marks = "a" + String(repeating: "\u{301}", count: 5000)
    #expect(excerpt(marks, limit: 2) == "a\u{301}... (4999 more)")
    #expect(excerpt("\u{1b}\u{1b}", limit: 1) == "\\u{1b}... (1 more)")
    #expect(excerpt("") == "")
  }
}
