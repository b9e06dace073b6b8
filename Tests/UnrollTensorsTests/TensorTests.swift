// Shapes, sizes, mapped files, and the widening of narrow floats.

import Foundation
import TestSupport
import Testing

@testable import UnrollTensors

@Suite("Shapes, tensors and mapped files") struct TensorTests {
  @Test("Element and byte counts that overflow are nil")
  func overflowingSizes() {
    #expect(Shape([3, 4]).elementCount == 12)
    #expect(Shape([]).elementCount == 1)
    #expect(Shape([1 << 40, 1 << 40]).elementCount == nil)
    #expect(Shape([1 << 61]).byteCount(of: .float32) == nil)
    #expect(Shape([96, 64]).description == "[96, 64]")
  }

  @Test("A tensor needs as many bytes as its shape has")
  func bytesOfShape() {
    let bytes = ByteStorage.owned([0, 0, 0, 0])
    #expect(Tensor(shape: [1], dtype: .float32, storage: bytes) != nil)
    #expect(Tensor(shape: [2], dtype: .float32, storage: bytes) == nil)
    #expect(Tensor(shape: [1], dtype: .uint32, storage: bytes)?.floats() == nil)
  }

  @Test("A mapped range lies inside its file, and a folder is refused")
  func mappedRanges() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a"
      try Data([1, 2, 3, 4, 5]).write(to: URL(filePath: path))
      let file = try MappedFile(path: path)
      #expect(file.count == 5)
      #expect(file.copy(3..<9) == [4, 5])
      #expect(
        ByteStorage(file, offset: 1, count: 4)?.withUnsafeBytes { Array($0) } == [2, 3, 4, 5])
      #expect(ByteStorage(file, offset: 2, count: 4) == nil)
      #expect(ByteStorage(file, offset: -1, count: 1) == nil)
      #expect(ByteStorage(file, offset: .max, count: .max) == nil)
      #expect(throws: FileError("read", path: folder, code: EISDIR)) {
        try MappedFile(path: folder)
      }
    }
  }

  @Test("An empty file is mapped without bytes")
  func emptyFile() throws {
    try withTemporaryFolder { folder in
      try Data().write(to: URL(filePath: "\(folder)/a"))
      let file = try MappedFile(path: "\(folder)/a")
      #expect(file.count == 0 && file.copy(0..<8) == [])
    }
  }

  /// Every binary16 number against its definition: (-1)^s 2^(e-15) (1 + f/1024), subnormals, inf.
  @Test("Every float16 is widened by its definition")
  func everyFloat16() {
    for bits in UInt16.min...UInt16.max {
      let value = widened(float16: bits)
      let (exponent, fraction) = (Int(bits >> 10) & 31, Double(bits & 1023))
      if exponent == 31 {
        #expect(fraction == 0 ? value.isInfinite : value.isNaN)
        continue
      }
      let magnitude =
        exponent == 0
        ? fraction / 1024 * 0x1p-14
        : (1 + fraction / 1024) * Double(sign: .plus, exponent: exponent - 15, significand: 1)
      let expected = bits & 0x8000 == 0 ? magnitude : -magnitude
      guard Double(value) != expected || (value.sign == .minus) != (bits & 0x8000 != 0) else {
        continue
      }
      Issue.record("\(bits): \(value), not \(expected)")
    }
  }

  @Test("Floats of every type are read")
  func floatTypes() {
    func tensor(_ dtype: DType, _ bytes: [UInt8]) -> [Float]? {
      Tensor(shape: [1], dtype: dtype, storage: .owned(bytes))?.floats()
    }
    #expect(tensor(.float32, [0, 0, 0x80, 0x3F]) == [1])
    #expect(tensor(.bfloat16, [0x80, 0x3F]) == [1])
    #expect(tensor(.float16, [0x00, 0x3C]) == [1])
    #expect(tensor(.float64, [0, 0, 0, 0, 0, 0, 0xF0, 0x3F]) == [1])
  }

  @Test("Control and direction characters are escaped")
  func controlCharacters() {
    #expect(printable("a\u{1B}[2J\n\u{202E}é日") == "a\\u{1b}[2J\\u{a}\\u{202e}é日")
  }
}
