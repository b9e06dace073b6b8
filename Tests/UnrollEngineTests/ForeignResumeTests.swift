// swift-format-ignore-file: AlwaysUseLowerCamelCase
// PyTorch's training checkpoints go on here: the next ten losses are PyTorch's.
//
// The files are large: UNROLL_DATA names their folder, and `scripts/check/data` sets it.

import Foundation
import Testing
import UnrollFormat
import UnrollInterchange
import UnrollTensors
import UnrollTokenization

@testable import UnrollEngine
@testable import UnrollNeural

private let data = ProcessInfo.processInfo.environment["UNROLL_DATA"]

/// The results that tools wrote beside the data.
private struct Reference: Decodable {
  struct Optimizer: Decodable {
    let losses_101_110: [Double]
    let gradient_norms_101_110: [Double]
    let averages_loss_window_110: Double?
  }
  let text_characters: Int
  let optimizers: [String: Optimizer]
}

@Suite("Trainings of PyTorch that are resumed", .enabled(if: data != nil, "UNROLL_DATA is not set"))
struct ForeignResumeTests {
  private static let names = [
    "adadelta", "adagrad", "adam", "adamw", "asgd", "rmsprop", "sgd", "sgd_momentum",
    "sgd_nesterov",
  ]
  private let B = 8
  private let T = 16

  @Test("The next ten losses and gradient norms equal those of PyTorch", arguments: names)
  func nextTenLosses(name: String) throws {
    let folder = try #require(data)
    let reference = try JSONDecoder().decode(
      Reference.self,
      from: Data(contentsOf: URL(filePath: "\(folder)/pytorch/resume/reference.json")))
    let text = try String(
      contentsOfFile: "\(folder)/corpora/shakespeare/train.txt", encoding: .utf8
    ).unicodeScalars.prefix(reference.text_characters)
    let characters = Set(text).sorted()
    let ids = Dictionary(uniqueKeysWithValues: zip(characters, Int32(0)...))
    let n = text.count / B
    let tokens = text.map { ids[$0] ?? 0 }

    let path = "\(folder)/pytorch/resume/\(name).pt"
    let conversion = try PyTorchFormat.read(
      MappedFile(path: path),
      options: ReadingOptions(
        vocabulary: Vocabulary(
          tokens: characters.map { Array(String($0).utf8) }, unit: .character)))
    let checkpoint = conversion.checkpoint
    var state = try #require(checkpoint.optimizer)
    // PyTorch clips outside of its optimizers.
    for index in state.groups.indices { state.groups[index].clip = .globalNorm(0.25) }
    #expect(state.groups.map(\.step) == [name.hasPrefix("sgd_") ? 1 : name == "sgd" ? 0 : 100])

    let model = try TrainableModel(
      architecture: checkpoint.architecture, parameters: checkpoint.parameters)
    var optimizer = Optimizer(state, for: checkpoint.architecture)
    var carried = try carriedState(path)
    let expected = try #require(reference.optimizers[name])
    for (index, loss) in expected.losses_101_110.enumerated() {
      let (inputs, targets) = window(100 + index, tokens, n)
      let found = try model.backpropagate(inputs: inputs, targets: targets, state: &carried)
      let norm = optimizer.gradientNorm(of: model)
      #expect(abs(found / loss - 1) < 1e-5, "step \(101 + index): \(found), PyTorch \(loss)")
      #expect(abs(norm / expected.gradient_norms_101_110[index] - 1) < 1e-5)
      optimizer.step(model, gradientNorm: norm)
    }
    guard let loss = expected.averages_loss_window_110 else { return }
    let averages = try #require(optimizer.averages(for: checkpoint.architecture))
    let averaged = try TrainableModel(
      architecture: checkpoint.architecture, parameters: averages)
    let (inputs, targets) = window(110, tokens, n)
    let found = try averaged.backpropagate(inputs: inputs, targets: targets, state: &carried)
    #expect(abs(found / loss - 1) < 1e-5, "\(found), PyTorch \(loss)")
  }

  /// Inputs and targets of a window, `[T, B]`.
  private func window(_ index: Int, _ tokens: [Int32], _ n: Int) -> ([Int32], [Int32]) {
    func rows(_ first: Int) -> [Int32] {
      (first..<first + T).flatMap { t in (0..<B).map { tokens[$0 * n + t] } }
    }
    return (rows(T * index), rows(T * index + 1))
  }

  /// The entry `hidden` of the file: h and c, `[1, B, H]`.
  private func carriedState(_ path: String) throws -> RecurrentState {
    let tensors = try PyTorchFormat.tensors(MappedFile(path: path), named: "hidden")
    #expect(tensors.count == 2)
    return RecurrentState(
      columns: B,
      layers: [LayerState(h: tensors[0].floats() ?? [], c: tensors[1].floats() ?? [])])
  }
}
