// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Products in bfloat16, and what they change.

import CUnrollKernels
import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors

@testable import UnrollNeural

extension Precision {
  /// Numbers as factors of products, widened again: by the narrowing of tensors, which is not that of the
  /// kernels.
  ///
  /// - Parameters:
  ///   - numbers: `[rows, width]`
  ///   - width: The numbers of a row.
  /// - Returns: The numbers.
  /// - Throws: If one is too large for the type.
  func rounded(_ numbers: [Float], width: Int) throws -> [Float] {
    switch self {
    case .float32: return numbers
    case .bfloat16:
      return try #require(Tensor(numbers, shape: [numbers.count]).converted(to: .bfloat16).floats())
    case .int8:
      return stride(from: 0, to: numbers.count, by: width).flatMap { start in
        let row = numbers[start..<start + width]
        let largest = row.map(\.magnitude).max() ?? 0
        return row.map {
          largest == 0
            ? 0 : ($0 * (127 / largest)).rounded(.toNearestOrEven) * (largest / 127)
        }
      }
    }
  }
}

@Suite("Compute precisions") struct PrecisionTests {
  @Test("Rounding to bfloat16 is to nearest even for every kind of float")
  func roundingToBfloat16() throws {
    // Half way from the largest number to what would come next; tensors refuse what becomes infinite.
    let tooLarge = Float(bitPattern: 0x7F7F_8000)
    // Each upper half with the lower halves around ties, and what lies between.
    let lower: [UInt32] = [0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF, 0x1234, 0xBEEF]
    let numbers = (0..<UInt32(0x10000)).flatMap { upper in
      lower.map { Float(bitPattern: upper << 16 | $0) }
    }.filter { $0.magnitude < tooLarge || !$0.isFinite }
    var infinite: [UInt16] = [0, 0]
    unroll_round_to_bf16([tooLarge, -.greatestFiniteMagnitude], &infinite, 2)
    #expect(infinite == [0x7F80, 0xFF80])
    var found = [UInt16](repeating: 0, count: numbers.count)
    unroll_round_to_bf16(numbers, &found, numbers.count)
    let expected = try Precision.bfloat16.rounded(numbers, width: 1)
    let wrong = zip(found, zip(numbers, expected)).first { found, pair in
      let widened = Float(bitPattern: UInt32(found) << 16)
      return pair.0.isNaN ? !widened.isNaN : widened.bitPattern != pair.1.bitPattern
    }
    #expect(wrong == nil)
  }

  @Test("Rows are rounded to int8 by their scale, and NaN or infinity spoils the scale")
  func roundingToInt8() {
    let x: [Float] = [0, 0, 0, 1, -2, 0.5, 254, -127, 1, .infinity, 1, 2, 0, .nan, 1]
    var (found, scales) = ([Int8](repeating: 9, count: 15), [Float](repeating: 9, count: 5))
    unroll_round_to_int8(x, &found, &scales, 5, 3)
    // 127 / 2 * 1 = 63.5 and 127 / 2 * 0.5 = 31.75; 127 / 254 * -127 = -63.5; halves go to even.
    #expect(found.prefix(9) == [0, 0, 0, 64, -127, 32, 127, -64, 0])
    #expect(scales.prefix(3) == [0, 2 / 127, 2])
    // No number may pass for one that it is not.
    #expect(scales[3].isNaN && scales[4].isNaN)
  }

  @Test("Training in int8 is refused")
  func trainingInInt8() throws {
    #expect(throws: NeuralError.trainingPrecision) { try train(.lstm, .int8) }
  }

  /// The loss of two windows and the gradients of the second, one after the other.
  func train(_ cell: Cell, _ precision: Precision) throws -> (losses: [Double], gradient: [Float]) {
    let layers = [(24, 40), (40, 32)].map {
      LayerArchitecture(cell: cell, inputSize: $0.0, hiddenSize: $0.1)
    }
    let architecture = Architecture(
      vocabularySize: 90, embeddingSize: 24, layers: layers, isTied: false)
    var generator = SeededGenerator(seed: 3)
    var tree = ParameterTree<Tensor>()
    for (path, shape) in architecture.parameters {
      tree[path] = Tensor(generator.floats(shape.elementCount ?? 0, in: -0.3...0.3), shape: shape)
    }
    let model = try TrainableModel(
      architecture: architecture, parameters: tree, precision: precision)
    let (T, B) = (12, 6)
    var state = model.zeroState(columns: B)
    let losses = try (0..<2).map { _ in
      let tokens = (0...T * B).map { _ in Int32.random(in: 0..<90, using: &generator) }
      return try model.backpropagate(
        inputs: Array(tokens.dropLast()), targets: Array(tokens.dropFirst()), state: &state)
    }
    let gradients = model.gradients
    let all = architecture.parameters.flatMap { path, shape in
      var dense = [Float](repeating: 0, count: shape.elementCount ?? 0)
      gradients[path]?.add(to: &dense)
      return dense
    }
    return (losses, all)
  }

  @Test("Gradients in bfloat16 differ from float32 by less than 2 %", arguments: Cell.usual)
  func gradientsInBfloat16(cell: Cell) throws {
    let (exact, found) = try (train(cell, .float32), train(cell, .bfloat16))
    #expect(zip(exact.losses, found.losses).allSatisfy { abs($0 / $1 - 1) < 2e-3 && $0 != $1 })
    let length = { (x: [Float]) in sqrt(x.reduce(0) { $0 + Double($1) * Double($1) }) }
    let difference = length(zip(exact.gradient, found.gradient).map(-))
    // 8 bits of a factor: about 0.4 % a product.
    let relative = difference / length(exact.gradient)
    #expect(relative > 1e-4 && relative < 2e-2, "\(relative)")
  }
}
