// The normalizers of tokenizer.json on their own.

import Testing

@testable import UnrollTokenization

@Suite("Normalizers") struct NormalizerTests {
  // The output of `BertNormalizer` of tokenizers 0.23.3, without lower-casing and the rest.
  @Test("BERT's cleaning deletes control characters, U+000B, U+000C and U+0085 among them")
  func cleaning() {
    let text = "a\u{0B}b\u{0C}c\u{85}d\u{1C}e\tf\ng\rh\u{2028}i\u{A0}j\u{200D}k\u{3000}l"
    let cleaned = Array(text.utf8).withUnsafeBytes {
      Normalizer.clean.apply(to: AlignedText($0, 0..<$0.count))
    }
    #expect(String(decoding: cleaned.bytes, as: UTF8.self) == "abcde f g h i jk l")
  }
}
