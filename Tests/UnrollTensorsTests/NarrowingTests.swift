// Numbers in narrower types: the nearest, by exhaustion.

import Foundation
import Testing

@testable import UnrollTensors

@Suite("Conversion to narrower types") struct NarrowingTests {
  private func bits(_ value: Double, _ type: DType) throws -> UInt16 {
    let tensor = try Tensor([value]).converted(to: type)
    return tensor.withUnsafeBytes { UInt16(littleEndian: $0.loadUnaligned(as: UInt16.self)) }
  }

  private func value(_ bits: UInt16, _ type: DType) -> Double {
    type == .bfloat16
      ? Double(Float(bitPattern: UInt32(bits) << 16)) : Double(widened(float16: bits))
  }

  @Test("Every finite number of a narrow type comes back", arguments: [DType.float16, .bfloat16])
  func roundTrip(type: DType) throws {
    let all = (0...UInt16.max).filter { value($0, type).isFinite }
    let tensor = try Tensor(all.map { value($0, type) }).converted(to: type)
    let back = tensor.withUnsafeBytes { $0.elements(of: UInt16.self) { $0 } }
    #expect(back == all)
  }

  @Test(
    "A number between two narrow ones is rounded to the nearest, ties to even",
    arguments: [DType.float16, .bfloat16])
  func roundingToNearest(type: DType) throws {
    let infinity: UInt16 = type == .bfloat16 ? 0x7F80 : 0x7C00
    for low in (0..<infinity - 1) {
      let (a, b) = (value(low, type), value(low + 1, type))
      let middle = (a + b) / 2
      #expect(try bits(middle, type) == (low % 2 == 0 ? low : low + 1))
      #expect(try bits(middle.nextDown, type) == low)
      #expect(try bits(-middle.nextUp, type) == (low + 1) | 0x8000)
    }
  }

  @Test("A number beyond the range of the type is refused, and infinity and NaN are kept")
  func overflow() throws {
    // Half a step above the largest is where infinity begins.
    #expect(try bits(65519.99, .float16) == 0x7BFF)
    #expect(throws: NarrowingError(value: 65520, dtype: .float16)) { try bits(65520, .float16) }
    #expect(throws: NarrowingError.self) { try bits(3.4e38 * 1.1, .bfloat16) }
    #expect(throws: NarrowingError.self) { try Tensor([1e39]).converted(to: .float32) }
    #expect(try bits(-.infinity, .float16) == 0xFC00)
    #expect(value(try bits(.nan, .bfloat16), .bfloat16).isNaN)
  }

  @Test("Conversion to a wider type and back keeps the numbers")
  func widening() throws {
    let values: [Float] = [0, -0.0, 1.5, -3e-38, 1e38]
    let tensor = Tensor(values, shape: [5])
    let wide = try tensor.converted(to: .float64)
    #expect(try wide.converted(to: .float32).floats() == values)
    #expect(wide.shape == [5] && wide.dtype == .float64)
    #expect(try tensor.converted(to: .float32).dtype == .float32)
  }
}
