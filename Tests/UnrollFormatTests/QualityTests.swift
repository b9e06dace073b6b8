// The counts of the quality rules, and that the rules leave healthy models alone.

import Foundation
import TestSupport
import Testing
import UnrollTensors

@testable import UnrollFormat

@Suite("Quality rules") struct QualityTests {
  /// Bits of every kind: counts in blocks are those of one number after the other.
  @Test(
    "Counts of NaN, infinities, subnormals and constant rows equal those of plain loops",
    arguments: [DType.float16, .bfloat16, .float32, .float64], [1, 7, 16, 33])
  func blockCounts(_ dtype: DType, width: Int) throws {
    var generator = SeededGenerator(seed: 5)
    let (rows, size) = (300, dtype.size)
    var bytes = (0..<rows * width * size).map { _ in UInt8.random(in: 0...255, using: &generator) }
    for row in stride(from: 0, to: rows, by: 7) {
      // A constant row of a number with an exponent of its own; and some small numbers.
      for place in 0..<width {
        let element = (row * width + place) * size
        for byte in 0..<size { bytes[element + byte] = byte == size - 1 ? UInt8(row & 63) : 1 }
      }
    }
    let tensor = try #require(
      Tensor(shape: [rows, width], dtype: dtype, storage: .owned(bytes)))
    let summary = try #require(NumberSummary(tensor))
    let numbers = Self.numbers(tensor)
    #expect(summary.nanCount == numbers.count { $0.isNaN })
    #expect(summary.infinityCount == numbers.count { $0.isInfinite })
    #expect(summary.firstNonFinite == numbers.firstIndex { !$0.isFinite })
    let least = [DType.float16: 0x1p-14, .float64: 0x1p-1022][dtype] ?? 0x1p-126
    #expect(summary.subnormalCount == numbers.count { $0 != 0 && $0.magnitude < least })
    let constant = (0..<rows).filter { row in
      let start = row * width * size
      return (0..<width * size).allSatisfy { bytes[start + $0] == bytes[start + $0 % size] }
    }
    #expect(summary.constantRows == constant)
    #expect(constant.count >= 43)
  }

  @Test("A wrong digest does not hide that numbers are NaN")
  func nanBesideWrongDigest() throws {
    try withTemporaryFolder { folder in
      let model = Checkpoint.small()
      var outline = model.outline()
      let path = ParameterPath.outputBias.description
      let bias = try #require(model.parameters[.outputBias])
      var values = try #require(bias.floats())
      values[2] = .nan
      // The digest stays that of the numbers before.
      outline.objects[path]?.kind = .dataset(Tensor(values, shape: bias.shape))
      try outline.write(to: "\(folder)/a.h5", replacing: false)
      let examination = try Examination(of: "\(folder)/a.h5", upTo: .bytes)
      #expect(examination.findings.map(\.rule) == ["I001", "Q001"])
      #expect(examination.findings.map(\.object) == [path, path])
      #expect(!examination.barredRules.contains("Q001"))
    }
  }

  @Test(
    "The sum of squares is that of double precision for every type",
    arguments: [DType.bfloat16, .float32, .float64])
  func sumOfSquares(_ dtype: DType) throws {
    var generator = SeededGenerator(seed: 6)
    // Longer than what is summed in a narrow type at once.
    let count = 70_001
    var bytes: [UInt8] = []
    var sum = 0.0
    for _ in 0..<count {
      let number = Float(bitPattern: generator.number(2).bitPattern & 0xFFFF_0000)
      sum += Double(number) * Double(number)
      switch dtype {
      case .float64: withUnsafeBytes(of: Double(number)) { bytes += Array($0) }
      case .bfloat16: withUnsafeBytes(of: UInt16(number.bitPattern >> 16)) { bytes += Array($0) }
      default: withUnsafeBytes(of: number) { bytes += Array($0) }
      }
    }
    let tensor = try #require(Tensor(shape: [1, count], dtype: dtype, storage: .owned(bytes)))
    let summary = try #require(NumberSummary(tensor))
    #expect(abs(summary.squareSum / sum - 1) < 1e-5)
    #expect(summary.isFinite && summary.constantRows.isEmpty)
  }

  @Test("The sum of squares of float16 numbers is exact, subnormals included")
  func sumOfSquaresOfFloat16() throws {
    // 1.5, -2^-24 (subnormal) and 512.
    let bits: [UInt16] = [0x3E00, 0x8001, 0x6000]
    let bytes = bits.withUnsafeBytes { Array($0) }
    let tensor = try #require(Tensor(shape: [1, 3], dtype: .float16, storage: .owned(bytes)))
    let summary = try #require(NumberSummary(tensor))
    #expect(summary.squareSum == 2.25 + 512 * 512)
    #expect(summary.subnormalCount == 1 && summary.isFinite)
  }

  private static func numbers(_ tensor: Tensor) -> [Double] {
    guard tensor.dtype == .float64 else { return (tensor.floats() ?? []).map(Double.init) }
    return tensor.withUnsafeBytes { $0.elements(of: UInt64.self) { Double(bitPattern: $0) } }
  }

  private func findings(
    _ model: Checkpoint, _ change: (inout Outline) -> Void = { _ in }
  ) throws -> [String] {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.h5"
      var outline = model.outline()
      change(&outline)
      outline.seal()
      try outline.write(to: path, replacing: false)
      return try Examination(of: path, upTo: .bytes).findings.map { "\($0.rule) \($0.found)" }
    }
  }

  @Test("Zero rows are found, except those of padding and unused tokens")
  func zeroRows() throws {
    let model = Checkpoint.small(hidden: [8], embedding: 8)
    let zero = Mutation.changing("/model/embedding/weight") {
      $0.replaceSubrange(0..<16, with: repeatElement(0, count: 16))
    }
    #expect(try findings(model, zero) == ["Q002 2 of 11 rows constant: 0, 1"])
    #expect(
      try findings(model) {
        zero(&$0)
        $0.objects["/vocabulary"]?.attributes["pad_id"] = .integer(0)
        $0.addDataset("/vocabulary/token_kind", Tensor([0, 3] + [UInt8](repeating: 0, count: 9)))
      }.isEmpty)
  }

  /// The blocks of a model whose forget gates began at 1, as Keras makes it, in every order.
  @Test("Forget biases in the block of another gate are found")
  func gateOrder() throws {
    for (order, isRight) in [([0, 1, 0, 0], true), ([0, 0, 1, 0], false), ([1, 0, 0, 0], true)] {
      let found = try findings(.small(hidden: [32])) {
        for bias in ["bias_ih", "bias_hh"] {
          $0.addDataset(
            "/model/layers/00/\(bias)",
            Tensor((0..<128).map { Float(order[$0 / 32]) / 2 }, shape: [128]))
        }
      }
      #expect(found.isEmpty == isRight, "\(order): \(found)")
    }
  }

  @Test("Weights of huge norm are found")
  func hugeNorm() throws {
    let found = try findings(.small()) {
      Mutation.changing("/model/output/bias") { $0 = $0.map { $0 * 1e30 } }(&$0)
    }
    #expect(found.count == 1 && found.first?.hasPrefix("Q004 ") == true, "\(found)")
  }

  @Test("A recurrent matrix with a tiny spectral radius is found")
  func tinySpectralRadius() throws {
    let found = try findings(.small(cell: .rnn, hidden: [16])) {
      Mutation.changing("/model/layers/00/weight_hh") { $0 = $0.map { $0 / 100 } }(&$0)
    }
    #expect(found.count == 1 && found.first?.hasPrefix("Q008 about 0.0") == true, "\(found)")
  }

  @Test("A vocabulary of single characters needs no unknown token")
  func characters() throws {
    var model = Checkpoint.small(unknown: false)
    #expect(try findings(model) == ["V007 -1"])
    let tokens = ["a", "b", "c", "<eos>"] + (0..<7).map { String(UnicodeScalar(UInt8(70 + $0))) }
    model.vocabulary = .init(tokens: tokens.map { Array($0.utf8) }, unit: .word)
    model.vocabulary.endOfSentenceID = 3
    #expect(try findings(model).isEmpty)
  }

  @Test("Capital letters before a quotation mark are not taken for mojibake")
  func capitalsAreNoMojibake() throws {
    let found = try findings(.small()) {
      Mutation.token("on", becomes: "CAFÉ»")(&$0)
      Mutation.token("cat", becomes: "AMANHÃ»")(&$0)
    }
    #expect(found.isEmpty, "\(found)")
  }

  @Test(
    "A valid SPDX expression is accepted",
    arguments: [
      "MIT", "mit", "Apache-2.0 OR MIT", "(CC-BY-4.0 AND MIT) OR GPL-2.0+", "LicenseRef-Mine-1.0",
      "GPL-3.0-only WITH Classpath-exception-2.0", "DocumentRef-a:LicenseRef-b", "CC-BY-SA-3.0",
    ])
  func licences(_ text: String) { #expect(SPDX.firstUnknownPart(of: text) == nil) }

  @Test(
    "An invalid SPDX expression is refused with its first unknown part",
    arguments: zip(
      [
        "", "Apache 2", "MIT OR", "MIT MIT", "(MIT", "MIT)", "MIT and ISC", "LicenseRef-", "WITH",
        "MIT WITH", "https://example.org/licence", String(repeating: "(", count: 40) + "MIT",
      ],
      [
        "its end", "\"Apache\"", "its end", "\"MIT\"", "its end", "\")\"", "\"and\"",
        "\"LicenseRef-\"", "\"WITH\"", "its end", "\"https://example.org/licence\"",
        "so deep a nesting",
      ]))
  func textsThatAreNoLicences(_ text: String, part: String) {
    #expect(SPDX.firstUnknownPart(of: text) == part)
  }

  @Test("Valid language tags are accepted, and invalid ones are listed")
  func languageTags() throws {
    let tags = [
      "en", "de-CH", "zh-Hant-TW", "sl-rozaj-biske", "de-DE-u-co-phonebk", "x-mine", "gsw",
      "es-419", "de-1996", "zh-cmn-Hans-CN", "en-x-cockney",
    ]
    let found = try findings(.small()) {
      $0.addGroup("/card", ["languages": .texts(tags)])
    }
    #expect(found.isEmpty, "\(found)")
    let others = ["", "e", "English", "de_DE", "en-", "-en", "en-u", "de CH", "de-CHDEXXXXXX"]
    let refused = try findings(.small()) {
      $0.addGroup("/card", ["languages": .texts(["en"] + others)])
    }
    #expect(refused == ["M005 " + others.map { "\"\($0)\"" }.joined(separator: ", ")])
  }
}
