// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The same bits for any number of threads, any cut into windows and any other columns.

import Testing
import UnrollFormat
import UnrollNeural
import UnrollTensors

/// The stacks of layers that the tests run.
enum InvarianceStack: CaseIterable {
  case lstm, gru, tanh, relu
  /// All variants, one above the other.
  case variants
  /// Cells whose gates see their inputs alone, above an LSTM.
  case inputs

  /// Sizes that fill no vector and a vocabulary of two panels, with work enough for more than one
  /// thread.
  var architecture: Architecture {
    func architecture(_ cell: Cell, _ activation: Activation = .tanh) -> Architecture {
      Architecture(
        vocabularySize: 1237, embeddingSize: 37,
        layers: [(37, 101), (101, 63)].map { D, H in
          LayerArchitecture(cell: cell, inputSize: D, hiddenSize: H, activation: activation)
        }, isTied: false)
    }
    switch self {
    case .lstm: return architecture(.lstm)
    case .gru: return architecture(.gru)
    case .tanh: return architecture(.rnn)
    case .relu: return architecture(.rnn, .relu)
    case .variants: return VariantStack.all(V: 1237, D: 37, [101, 45, 63, 70])
    case .inputs: return VariantStack.ofInputs(V: 1237, D: 37, [101, 63, 70])
    }
  }
}

/// Serialized, since the number of threads is the whole process's.
///
/// Other suites may run beside this one: their results do not depend on it either.
@Suite("Independence of threads, windows and batches", .serialized)
struct InvarianceTests {
  /// Runs tokens `[T, B]` in windows of the given lengths; returns everything that comes out.
  func run(
    _ model: RecurrentModel, tokens: [Int32], B: Int, windows: [Int]
  ) throws -> (logProbabilities: [Float], state: RecurrentState) {
    var state = model.zeroState(columns: B)
    var all: [Float] = []
    var start = 0
    for T in windows {
      let inputs = Array(tokens[start..<start + T * B])
      all += try model.logProbabilities(
        ofTargets: inputs.map { ($0 + 700) % 1237 }, inputs: inputs, state: &state)
      start += T * B
    }
    #expect(start == tokens.count)
    return (all, state)
  }

  /// The index of the first difference between two results, or `nil`; thousands of numbers are no message.
  func firstDifference(
    _ a: (logProbabilities: [Float], state: RecurrentState),
    _ b: (logProbabilities: [Float], state: RecurrentState)
  ) -> Int? {
    let a = a.logProbabilities + a.state.layers.flatMap { $0.h + $0.c }
    let b = b.logProbabilities + b.state.layers.flatMap { $0.h + $0.c }
    guard a.count == b.count else { return min(a.count, b.count) }
    return a.indices.first { a[$0].bitPattern != b[$0].bitPattern }
  }

  @Test(
    "Evaluation gives the same bits with any number of threads",
    arguments: InvarianceStack.allCases, Precision.allCases)
  func threadCounts(stack: InvarianceStack, precision: Precision) throws {
    let model = try TestModel.make(stack, precision)
    let before = Threads.count
    defer { Threads.count = before }
    let (B, T) = (21, 9)
    Threads.count = 1
    let one = try run(model, tokens: TestModel.tokens(T * B), B: B, windows: [T])
    for count in [2, 3] {
      Threads.count = count
      let many = try run(model, tokens: TestModel.tokens(T * B), B: B, windows: [T])
      #expect(firstDifference(many, one) == nil, "\(count) threads")
    }
  }

  @Test(
    "Evaluation gives the same bits with any BPTT length",
    arguments: InvarianceStack.allCases, Precision.allCases)
  func windowLengths(stack: InvarianceStack, precision: Precision) throws {
    let model = try TestModel.make(stack, precision)
    for B in [1, 3] {
      let (T, tokens) = (70, TestModel.tokens(70 * B))
      let whole = try run(model, tokens: tokens, B: B, windows: [T])
      let cuts = [[1, 69], [35, 35], [64, 6], [8, 9, 33, 20], [Int](repeating: 1, count: T)]
      for windows in cuts {
        let parts = try run(model, tokens: tokens, B: B, windows: windows)
        #expect(firstDifference(parts, whole) == nil, "\(windows)")
      }
    }
  }

  @Test(
    "A stream of a batch has the bits that it has alone",
    arguments: InvarianceStack.allCases, Precision.allCases)
  func independentStreams(stack: InvarianceStack, precision: Precision) throws {
    let model = try TestModel.make(stack, precision)
    let (B, T) = (20, 7)
    let tokens = TestModel.tokens(T * B)
    let together = try run(model, tokens: tokens, B: B, windows: [T])
    for b in 0..<B {
      let column = (0..<T).map { tokens[$0 * B + b] }
      let alone = try run(model, tokens: column, B: 1, windows: [T])
      let layers = together.state.layers.map { layer in
        var alone = layer
        for name in LayerStateName.allCases {
          let width = layer[name].count / B
          alone[name] = Array(layer[name][b * width..<(b + 1) * width])
        }
        return alone
      }
      let beside = (
        (0..<T).map { together.logProbabilities[$0 * B + b] },
        RecurrentState(columns: 1, layers: layers)
      )
      #expect(firstDifference(alone, beside) == nil, "column \(b)")
    }
  }

  /// The parameters after a few steps of training, made and trained with a number of threads.
  func trained(
    _ stack: InvarianceStack, _ precision: Precision, threads: Int
  ) throws -> [[Float]] {
    let before = Threads.count
    defer { Threads.count = before }
    Threads.count = threads
    let architecture = stack.architecture
    return try TestModel.trained(
      architecture, precision, T: 20, B: 21, steps: 3,
      by: Optimizer(
        .sgd, [.learningRate: 1, .momentum: 0.9, .weightDecay: 1e-3], clip: .globalNorm(0.25),
        for: architecture))
  }

  @Test(
    "Training gives the same bits with any number of threads",
    arguments: InvarianceStack.allCases, Precision.ofTraining)
  func threadCountsOfTraining(stack: InvarianceStack, precision: Precision) throws {
    let one = try trained(stack, precision, threads: 1)
    for threads in [2, 3] {
      let many = try trained(stack, precision, threads: threads)
      for (a, b) in zip(one, many) {
        #expect(zip(a, b).allSatisfy { $0.bitPattern == $1.bitPattern }, "\(threads) threads")
      }
    }
  }

  @Test("Concurrent evaluations of one model do not disturb each other")
  func concurrentCalls() async throws {
    let model = try TestModel.make(.lstm)
    let tokens = TestModel.tokens(60)
    let alone = try run(model, tokens: tokens, B: 2, windows: [30])
    try await withThrowingTaskGroup(of: [Float].self) { group in
      for _ in 0..<8 {
        group.addTask { try run(model, tokens: tokens, B: 2, windows: [10, 20]).logProbabilities }
      }
      for try await found in group {
        #expect(firstDifference((found, alone.state), alone) == nil)
      }
    }
  }
}
