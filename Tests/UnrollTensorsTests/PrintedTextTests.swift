// Numbers as text, compared with Foundation.

import Foundation
import Testing
import UnrollTensors

@Suite("Numbers as C's printf writes them") struct PrintedTextTests {
  private static let numbers: [Double] = [
    0, -0.0, 0.5, 1, -1, 2.5, 0.1, 99.995, 1e-7, 123_456.789, 1e15, 1e22, 1e300, -1e300, .pi,
    .leastNonzeroMagnitude, .infinity, -.infinity, .nan,
  ]

  @Test(
    "Texts of floating-point numbers are those of Foundation",
    arguments: [
      "%.0f", "%.1f", "%.2f", "%.3f", "%.4f", "%.6f", "%.3g", "%.6g", "%.1e", "%.2e", "1e%.0f",
      ": %.0f %%", "%.3g %%", "%+.4f %%", "loss %.4f, ",
    ])
  func floatingPoint(format: String) {
    for number in Self.numbers {
      #expect(String(printf: format, number) == String(format: format, number))
    }
    for bits in stride(from: 0 as UInt64, to: 0x7FF0_0000_0000_0000, by: 0x0012_3456_789A_BCDE) {
      let number = Double(bitPattern: bits)
      #expect(String(printf: format, number) == String(format: format, number))
    }
  }

  @Test("Texts of integers are those of Foundation")
  func integers() {
    for number in [0, 1, -1, 42, 65_535, 99_999_999, 100_000_000, -7] {
      #expect(String(printf: "%08ld", number) == String(format: "%08ld", number))
      #expect(String(printf: "%d tokens", number) == String(format: "%d tokens", number))
    }
    for number in 0..<256 as Range<UInt32> {
      #expect(String(printf: "\\u%04x", number) == String(format: "\\u%04x", number))
      #expect(String(printf: "%02X", Int(number)) == String(format: "%02X", Int(number)))
    }
  }

  @Test("Several numbers stand in one text, with the characters of the format as they are")
  func several() {
    #expect(String(printf: "%.2f nats – %d tokens", 1.5, 7) == "1.50 nats – 7 tokens")
    #expect(String(printf: "") == "")
  }

  @Test("Formatted text of any length is complete", arguments: [1, 62, 63, 64, 65, 500, 100_000])
  func long(length: Int) {
    #expect(String(printf: "%0*d", length, 0) == String(repeating: "0", count: length))
  }
}
