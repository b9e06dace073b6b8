// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The numbers that models begin with: bounds, moments, orthogonality, and that they are the same again.

import Testing
import UnrollFormat
import UnrollTensors

@testable import UnrollNeural

@Suite("Weight initialization") struct InitializationTests {
  private func architecture(_ cell: Cell) -> Architecture {
    Architecture(
      vocabularySize: 60, embeddingSize: 32,
      layers: [
        LayerArchitecture(
          cell: cell, inputSize: 32, hiddenSize: 25, activation: cell == .rnn ? .relu : .tanh)
      ], isTied: false)
  }

  private func values(
    _ initialization: Initialization, _ path: ParameterPath, cell: Cell = .lstm, seed: UInt32 = 1,
    forgetBias: Double? = nil
  ) throws -> [Float] {
    let tree = initialization.parameters(
      of: architecture(cell), seed: seed, forgetBias: forgetBias)
    #expect(tree.paths.count == architecture(cell).parameters.count)
    return try #require(tree[path]?.floats())
  }

  @Test(
    "Uniform weights fill their bounds",
    arguments: [
      (Initialization.wordLanguageModel, ParameterPath.embeddingWeight, Float(0.1)),
      (.wordLanguageModel, .outputWeight, 0.1), (.wordLanguageModel, .layer(0, .weightHH), 0.2),
      (.wordLanguageModel, .layer(0, .biasIH), 0.2), (.pytorch, .outputWeight, 0.2),
      (.pytorch, .outputBias, 0.2), (.orthogonal, .layer(0, .weightIH), 0.2),
    ])
  func uniformWeights(
    initialization: Initialization, path: ParameterPath, bound: Float
  ) throws {
    let numbers = try values(initialization, path)
    #expect(numbers.allSatisfy { abs($0) <= bound })
    #expect(try #require(numbers.max()) > 0.8 * bound && #require(numbers.min()) < -0.8 * bound)
  }

  @Test("Normal weights have mean 0 and variance 1")
  func normalWeights() throws {
    let numbers = try values(.pytorch, .embeddingWeight).map(Double.init)
    let count = Double(numbers.count)
    let mean = numbers.reduce(0, +) / count
    let variance = numbers.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count
    // Five standard errors of 1,920 numbers.
    #expect(abs(mean) < 5 / count.squareRoot() && abs(variance - 1) < 5 * (2 / count).squareRoot())
  }

  @Test("Orthogonal initialization gives orthogonal blocks")
  func orthogonalBlocks() throws {
    let H = 25
    let numbers = try values(.orthogonal, .layer(0, .weightHH)).map(Double.init)
    for block in 0..<4 {
      for i in 0..<H {
        for j in 0...i {
          let product = (0..<H).reduce(0.0) {
            $0 + numbers[(block * H + i) * H + $1] * numbers[(block * H + j) * H + $1]
          }
          #expect(abs(product - (i == j ? 1 : 0)) < 1e-6)
        }
      }
    }
  }

  @Test("IRNN initialization gives identity matrices and zero biases")
  func identityMatrices() throws {
    let numbers = try values(.irnn, .layer(0, .weightHH), cell: .rnn)
    for place in numbers.indices {
      #expect(numbers[place] == (place % 26 == 0 ? 1 : 0))
    }
    #expect(try values(.irnn, .layer(0, .biasIH), cell: .rnn).allSatisfy { $0 == 0 })
  }

  @Test("The forget bias is the sum of both biases")
  func forgetBiases() throws {
    let (input, hidden) = (
      try values(.pytorch, .layer(0, .biasIH), forgetBias: 1.5),
      try values(.pytorch, .layer(0, .biasHH), forgetBias: 1.5)
    )
    #expect((25..<50).allSatisfy { input[$0] + hidden[$0] == 1.5 })
    let drawn = try values(.pytorch, .layer(0, .biasIH))
    #expect(input.prefix(25) == drawn.prefix(25) && input.suffix(50) == drawn.suffix(50))
  }

  @Test("The same seed gives the same weights, and parameters differ from each other")
  func seeds() throws {
    let path = ParameterPath.layer(0, .weightIH)
    #expect(try values(.pytorch, path) == values(.pytorch, path))
    #expect(try values(.pytorch, path) != values(.pytorch, path, seed: 2))
    #expect(
      try values(.pytorch, path).prefix(9) != values(.pytorch, .layer(0, .weightHH)).prefix(9))
  }
}
