// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The same bits from every instruction set, and those that earlier processors gave.

import CUnrollKernels
import Testing
import UnrollFormat
import UnrollTensors

@testable import UnrollNeural

/// An instruction set of the kernels.
enum InstructionSet: CaseIterable {
  case portable, neon, avx2, avx512

  var kernel: unroll_instructions {
    switch self {
    case .portable: UNROLL_PORTABLE
    case .neon: UNROLL_NEON
    case .avx2: UNROLL_AVX2
    case .avx512: UNROLL_AVX512
    }
  }

  /// The instruction sets of this processor; each promises the bits of the others.
  static let available = allCases.filter { unroll_processor_has($0.kernel) }
}

/// Serialized, since the instruction set is the whole process's.
///
/// Other suites run beside this one: their results do not depend on it.
@Suite("Instruction sets", .serialized) struct InstructionTests {
  /// Runs with a set, and goes back to the one before.
  private func with<Result>(
    _ set: InstructionSet, _ body: () throws -> Result
  ) throws -> Result {
    let before = unroll_current_instructions()
    defer { _ = unroll_use_instructions(before) }
    try check(unroll_use_instructions(set.kernel))
    return try body()
  }

  /// The order along k in which a product adds: chains of at most 384 numbers.
  ///
  /// In bf16 they consist of pairs, of which the second number comes first.
  private func chains(_ K: Int, _ precision: Precision) -> [[Int]] {
    let width = precision == .bfloat16 ? 2 : 1
    let (steps, longest) = ((K + width - 1) / width, 384 / width)
    let count = (steps + longest - 1) / longest
    return (0..<count).map { chain in
      (steps * chain / count..<steps * (chain + 1) / count).flatMap { step in
        (0..<width).reversed().map { step * width + $0 }.filter { $0 < K }
      }
    }
  }

  // A product by the definition of its sums: chains of fused multiply-adds over x [M, K] and w [N, K], with a
  // bias [N], onto y [M, N]; in bf16 without subnormal numbers.
  private func defined(
    _ x: [Float], _ w: [Float], bias: [Float]?, onto y: [Float]?, M: Int, N: Int, K: Int,
    _ precision: Precision
  ) -> [Float] {
    func kept(_ number: Float) -> Float {
      precision == .bfloat16 && number.isSubnormal ? (number.sign == .minus ? -0.0 : 0) : number
    }
    let chains = chains(K, precision)
    return (0..<M * N).map { place in
      let (m, n) = (place / N, place % N)
      var result = y.map { kept($0[place]) }
      for (index, chain) in chains.enumerated() {
        var sum: Float = 0
        for k in chain { sum = kept(sum.addingProduct(kept(x[m * K + k]), kept(w[n * K + k]))) }
        if index == 0, let bias { sum = kept(sum + kept(bias[n])) }
        result = result.map { kept($0 + sum) } ?? sum
      }
      return result ?? 0
    }
  }

  @Test("A product has the bits of its definition", arguments: InstructionSet.available, 0..<12)
  func productsAreAsDefined(set: InstructionSet, seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed))
    // One row, a few, and more than a tile; sums of one, two and three chains; a panel that is cut off.
    let (M, N) = ([1, 2, 3, 5, 17, 40][seed % 6], Int.random(in: 1...150, using: &generator))
    let K = [1, 7, 100, 384, 385, 1000][seed * 5 % 6]
    let precision = seed.isMultiple(of: 2) ? Precision.float32 : .bfloat16
    // Products of the small ones are subnormal.
    let scale: Float = seed % 4 == 3 ? 0x1p-64 : 1
    func numbers(_ count: Int, _ scale: Float) -> [Float] {
      generator.floats(count).map { $0 * scale }
    }
    let x = try precision.rounded(numbers(M * K, scale), width: K)
    let w = try precision.rounded(numbers(N * K, scale), width: K)
    let bias = Bool.random(using: &generator) ? numbers(N, scale * scale) : nil
    let y = Bool.random(using: &generator) ? numbers(M * N, scale * scale) : nil
    let expected = defined(x, w, bias: bias, onto: y, M: M, N: N, K: K, precision)
    let (found, plain) = try with(set) {
      let packed = try PackedWeight(
        Tensor(w, shape: [N, K]), bias: bias, accumulates: y != nil, precision: precision)
      var found = y ?? [Float](repeating: .nan, count: M * N)
      var plain = found
      var scratch = [UInt16](repeating: 0, count: M * precision.scratchWidth(K) + 1)
      try scratch.withScratch(scratch.count) {
        try packed.multiply(x, in: $0, into: &found, M: M)
      }
      try x.withUnsafeBufferPointer { x in
        try w.withUnsafeBufferPointer { w in
          try Products(precision).multiply(
            Factor(x.start), .transpose(w.start), bias: bias, into: &plain, adds: y != nil, M: M,
            N: N, K: K)
        }
      }
      return (found, plain)
    }
    #expect(zip(found, expected).allSatisfy { $0.bitPattern == $1.bitPattern })
    #expect(zip(plain, expected).allSatisfy { $0.bitPattern == $1.bitPattern })
  }

  /// A number that differs where any bit of some floats does: FNV-1a over their bits.
  private func digest(_ floats: [[Float]]) -> String {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for number in floats.joined() {
      for shift in stride(from: 0, to: 32, by: 8) {
        hash = (hash ^ UInt64(number.bitPattern >> UInt32(shift) & 0xff)) &* 0x100_0000_01b3
      }
    }
    return String(hash, radix: 16)
  }

  /// The parameters after 40 steps of training, and what the model says of a text then.
  private func trained(_ stack: InvarianceStack, _ precision: Precision) throws -> [[Float]] {
    let architecture = stack.architecture
    return try TestModel.trained(
      architecture, precision, T: 6, B: 5, steps: 40,
      by: Optimizer(
        .adam, [.learningRate: 1e-3, .weightDecay: 1e-3], clip: .globalNorm(0.25),
        for: architecture))
  }

  /// The log-probabilities that a model gives to a text, and its states.
  private func evaluated(_ stack: InvarianceStack, _ precision: Precision) throws -> [[Float]] {
    let model = try TestModel.make(stack, precision)
    var state = model.zeroState(columns: 3)
    let tokens = TestModel.tokens(60)
    let found = try model.logProbabilities(
      ofTargets: tokens.map { ($0 + 700) % 1237 }, inputs: tokens, state: &state)
    return [found] + state.layers.flatMap { [$0.h, $0.c] }
  }

  @Test(
    "Evaluation gives the bits that every processor gives", arguments: InstructionSet.available,
    InvarianceStack.allCases)
  func evaluationHasItsDigest(set: InstructionSet, stack: InvarianceStack) throws {
    for precision in Precision.allCases {
      let found = try with(set) { digest(try evaluated(stack, precision)) }
      #expect(found == Self.evaluations["\(stack) \(precision)"], "\(stack) \(precision)")
    }
  }

  @Test(
    "40 steps of training give the bits that every processor gives",
    arguments: InstructionSet.available,
    [InvarianceStack.lstm, .gru])
  func trainingHasItsDigest(set: InstructionSet, stack: InvarianceStack) throws {
    for precision in Precision.ofTraining {
      let found = try with(set) { digest(try trained(stack, precision)) }
      #expect(found == Self.trainings["\(stack) \(precision)"], "\(stack) \(precision)")
    }
  }

  // Found with AVX2 on an AMD Zen 3 processor, those of bfloat16 with AVX512_BF16 on a Zen 4; digests change where
  // arithmetic does, see spec/ARITHMETIC.md.

  private static let evaluations: [String: String] = [
    "lstm float32": "5324804c3d72bedc",
    "lstm bfloat16": "ff7633502806984f",
    "lstm int8": "9f97bae451255242",
    "gru float32": "dcda236119856ef8",
    "gru bfloat16": "15a29daac77c0259",
    "gru int8": "e5b59585a280d862",
    "tanh float32": "b9a1b3de0462e23a",
    "tanh bfloat16": "f23416d56a5cbe80",
    "tanh int8": "6bed9255394f41ef",
    "relu float32": "d1145d75da56657f",
    "relu bfloat16": "5fa78371a0a65d49",
    "relu int8": "605e27ba0ea5624d",
    "variants float32": "af0d7266c0ecf1df",
    "variants bfloat16": "c26e4b9453ba6bfe",
    "variants int8": "28ee89d70a5f7b68",
    "inputs float32": "a9561f41ccc7d82c",
    "inputs bfloat16": "731641bb6e60632b",
    "inputs int8": "70682b73d3cb01ab",
  ]

  private static let trainings: [String: String] = [
    "lstm float32": "e2d5ec0c1e800674",
    "lstm bfloat16": "2bac022b364b5a7b",
    "gru float32": "71fb931f42f3b470",
    "gru bfloat16": "4cc5b0ed5113d494",
  ]
}
