// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Packed products against the textbook's, from every kind of tensor.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors

@testable import UnrollNeural

@Suite("Products with packed weights") struct PackedWeightTests {
  /// `[M, N]` all panels' products, beside each other.
  func multiply(_ weight: PackedWeight, _ x: [Float], onto y: [Float], M: Int) throws -> [Float] {
    var all = y
    for (index, panel) in weight.panels.enumerated() {
      var part = (0..<M).flatMap { m in panel.map { y[m * weight.N + $0] } }
      var scratch = [UInt16](repeating: 0, count: M * weight.precision.scratchWidth(weight.K) + 1)
      try x.withUnsafeBufferPointer { x in
        try part.withUnsafeMutableBufferPointer { part in
          try scratch.withUnsafeMutableBufferPointer {
            try weight.multiply(x.start, in: $0.start, into: part.start, M: M, panel: index)
          }
        }
      }
      for m in 0..<M {
        for (j, column) in panel.enumerated() {
          all[m * weight.N + column] = part[m * panel.count + j]
        }
      }
    }
    return all
  }

  @Test(
    "Products with packed weights equal the textbook formula in each precision",
    arguments: 0..<24, Precision.allCases)
  func packedProducts(seed: Int, precision: Precision) throws {
    var generator = SeededGenerator(seed: UInt64(seed))
    let M = seed.isMultiple(of: 4) ? 1 : Int.random(in: 1...140, using: &generator)
    let N = Int.random(in: 1...150, using: &generator)
    let K = Int.random(in: 1...100, using: &generator)
    let panelWidth = Bool.random(using: &generator) ? nil : Int.random(in: 1...N, using: &generator)
    let accumulates = Bool.random(using: &generator)
    let bias = Bool.random(using: &generator) ? generator.floats(N) : nil
    let (x, w, y) = (generator.floats(M * K), generator.floats(N * K), generator.floats(M * N))
    let packed = try PackedWeight(
      Tensor(w, shape: [N, K]), bias: bias, panelWidth: panelWidth, accumulates: accumulates,
      precision: precision)
    let found = try multiply(packed, x, onto: y, M: M)
    var expected = try Naive.product(
      precision.rounded(x, width: K), precision.rounded(w, width: K), bias: bias, M: M, N: N, K: K)
    if accumulates { expected = zip(expected, y).map { $0 + Double($1) } }
    // Each of K products of at most 4 rounds once, and so does each sum.
    #expect(largestError(found, expected) < 1e-6 * Double(K + 4))
  }

  /// Bytes of small whole numbers, which every floating type holds exactly.
  static func bytes(_ values: [Float], as dtype: DType) -> [UInt8] {
    switch dtype {
    case .float64:
      values.flatMap { withUnsafeBytes(of: Double($0).bitPattern.littleEndian, Array.init) }
    case .bfloat16:
      values.flatMap { withUnsafeBytes(of: UInt16($0.bitPattern >> 16).littleEndian, Array.init) }
    default: values.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian, Array.init) }
    }
  }

  @Test(
    "Mapped weights of every type at any offset give the same products",
    arguments: [DType.float32, .float64, .bfloat16], [0, 1, 64])
  func mappedWeights(dtype: DType, offset: Int) throws {
    let (N, K) = (70, 40)
    let values = (0..<N * K).map { Float($0 % 13 - 6) }
    let bytes = Self.bytes(values, as: dtype)
    try withTemporaryFolder { folder in
      let path = folder + "/weight"
      try Data([UInt8](repeating: 9, count: offset) + bytes).write(to: URL(filePath: path))
      let file = try MappedFile(path: path)
      let storage = try #require(ByteStorage(file, offset: offset, count: bytes.count))
      let tensor = try #require(Tensor(shape: [N, K], dtype: dtype, storage: storage))
      let packed = try PackedWeight(tensor, bias: nil, panelWidth: 32, precision: .float32)
      let x = (0..<3 * K).map { Float($0 % 5 - 2) }
      let found = try multiply(packed, x, onto: [Float](repeating: 0, count: 3 * N), M: 3)
      // Sums of small whole numbers are exact.
      #expect(found.map(Double.init) == Naive.product(x, values, bias: nil, M: 3, N: N, K: K))
      // Rows are read again after their pages were let go.
      var row = [Float](repeating: 0, count: K)
      row.withUnsafeMutableBufferPointer { tensor.copyRow(N - 1, to: $0.start) }
      #expect(row == Array(values.suffix(K)))
    }
  }
}
