// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The sampled softmax against TensorFlow's, and its draws.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors

@testable import UnrollNeural

@Suite("Sampled softmax") struct SampledSoftmaxTests {
  /// Made by `scripts/make/sampled-fixture`.
  private struct Fixture: Decodable {
    let vocabulary: Int
    let width: Int
    let targets: [Int32]
    let sampled: [Int32]
    let weight: [Float]
    let bias: [Float]
    let hidden: [Float]
    let losses: [Double]
    let gradients: [String: [Double]]
  }

  @Test("Loss and gradients are TensorFlow's, with tokens drawn twice and targets among them")
  func lossOfTensorFlow() throws {
    let fixture = try JSONDecoder().decode(
      Fixture.self,
      from: Data(contentsOf: URL(filePath: Fixtures.path("adaptive/sampled.json"))))
    let (V, H) = (fixture.vocabulary, fixture.width)
    var generator = SeededGenerator(seed: 1)
    let architecture = Architecture(
      vocabularySize: V, embeddingSize: 2,
      layers: [LayerArchitecture(cell: .rnn, inputSize: 2, hiddenSize: H)], isTied: false)
    var parameters = ParameterTree<Tensor>()
    for (path, shape) in architecture.parameters {
      parameters[path] = Tensor(
        (0..<(shape.elementCount ?? 0)).map { _ in Float.random(in: -1...1, using: &generator) },
        shape: shape)
    }
    parameters[.outputWeight] = Tensor(fixture.weight, shape: [V, H])
    parameters[.outputBias] = Tensor(fixture.bias, shape: [V])
    let model = try TrainableModel(architecture: architecture, parameters: parameters)
    let sample = SampledTokens(
      Dictionary(grouping: fixture.sampled, by: { $0 }).mapValues(\.count), of: V)
    let M = fixture.targets.count
    let loss = try model.sampledCrossEntropy(
      fixture.targets, sample: sample, hidden: fixture.hidden, scale: 1 / Float(M))
    #expect(abs(loss - fixture.losses.reduce(0, +)) < 1e-5)
    var weight = [Float](repeating: 0, count: V * H)
    let rows = try #require(model.outputGradients.rows)
    #expect(rows.tokens == Set(fixture.targets + fixture.sampled).sorted())
    rows.add(to: &weight)
    for (name, found) in [
      ("weight", weight), ("bias", model.outputGradients.bias),
      (
        "hidden",
        Array(UnsafeBufferPointer(start: model.outputGradients.hidden.start, count: M * H))
      ),
    ] {
      #expect(relativeError(found, try #require(fixture.gradients[name])) < 2e-6, "\(name)")
    }
  }

  @Test("Draws follow Zipf's law, and depend on the seed and the window alone")
  func draws() {
    let V = 1000
    let one = SampledTokens(200_000, of: V, seed: 7, draw: 3)
    #expect(one.counts.reduce(0, +) == 200_000)
    #expect(one.tokens.allSatisfy { (0..<Int32(V)).contains($0) })
    for (token, count) in zip(one.tokens, one.counts) where token < 20 {
      let expected = exp(one.logExpectedCount(token))
      #expect(abs(Double(count) - expected) < 5 * expected.squareRoot(), "\(token)")
    }
    let again = SampledTokens(200_000, of: V, seed: 7, draw: 3)
    #expect(one.tokens == again.tokens && one.counts == again.counts)
    #expect(SampledTokens(200_000, of: V, seed: 7, draw: 4).counts != one.counts)
    #expect(SampledTokens(200_000, of: V, seed: 8, draw: 3).counts != one.counts)
  }

  @Test("With a tied weight the rows of inputs and outputs are added", arguments: [true, false])
  func tiedRows(isTied: Bool) throws {
    let checkpoint = Checkpoint.small(tied: isTied, hidden: [7, 5])
    let model = try TrainableModel(
      architecture: checkpoint.architecture, parameters: checkpoint.parameters)
    var regularizer = Regularizer(seed: 5, draw: 2)
    regularizer.sampleCount = 3
    let sample = try #require(regularizer.sampledTokens(of: 11))
    var state = model.zeroState(columns: 1)
    _ = try model.backpropagate(
      inputs: [8, 9], targets: [9, 1], state: &state, regularizer: regularizer)
    let path = isTied ? ParameterPath.embeddingWeight : .outputWeight
    guard case .rows(let rows)? = model.gradients[path] else {
      Issue.record("no rows")
      return
    }
    #expect(rows.tokens == Set(sample.tokens + [9, 1] + (isTied ? [8] : [])).sorted())
    // The next window has the whole vocabulary again.
    _ = try model.backpropagate(inputs: [8, 9], targets: [9, 1], state: &state)
    #expect(model.gradients[path]?.numbers.isEmpty == false)
  }
}
