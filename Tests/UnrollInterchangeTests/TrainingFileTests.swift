// Trainings written for PyTorch: every number of the optimizer comes back, or its formula is refused.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors

@testable import UnrollInterchange

@Suite("Trainings written for PyTorch") struct TrainingFileTests {
  /// A model with an optimizer after a step, its state drawn.
  private func trained(
    _ kind: OptimizerKind, _ numbers: [Hyperparameter: Double] = [:], groups: Int = 1
  ) -> Checkpoint {
    var checkpoint = Checkpoint.small()
    var generator = SeededGenerator(seed: 31)
    let paths = checkpoint.architecture.parameters.map(\.path)
    let size = (paths.count + groups - 1) / groups
    var state = OptimizerState(kind: kind, step: 7, groups: [])
    for start in stride(from: 0, to: paths.count, by: size) {
      var group = ParameterGroup(
        kind, numbers, parameters: Array(paths[start..<min(start + size, paths.count)]))
      group.step = 7
      if kind == .asgd { group.averaging = .init(eta: 0.1, mu: 1 / 3.0) }
      for slot in group.slots(of: kind) {
        for path in group.parameters {
          guard let shape = checkpoint.parameters[path]?.shape else { continue }
          let values = (0..<(shape.elementCount ?? 0)).map { _ in
            Float.random(in: 0..<1, using: &generator)
          }
          state.slots[slot, default: ParameterTree()][path] = Tensor(values, shape: shape)
        }
      }
      state.groups.append(group)
    }
    checkpoint.optimizer = state
    return checkpoint
  }

  private func expectToReturn(_ checkpoint: Checkpoint) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.training.pt"
      #expect(AllFormats.format(named: path)?.name == "pytorch-training")
      // Writing ends with a comparison of every number, of the optimizer too.
      try PyTorchTrainingFormat.export(checkpoint, to: path)
      let file = try MappedFile(path: path)
      #expect(AllFormats.format(of: file)?.name == "pytorch")
      let options = ReadingOptions(
        vocabulary: checkpoint.vocabulary, tokenizer: checkpoint.tokenizer)
      let back = try PyTorchFormat.read(file, options: options).checkpoint
      let optimizer = try #require(back.optimizer)
      #expect(optimizer.groups == checkpoint.optimizer?.groups || optimizer.kind == .sgd)
      var other = checkpoint
      other.optimizer?.groups[0][.learningRate] = 0.125
      #expect(throws: InterchangeError.self) {
        try PyTorchTrainingFormat.check(other, isReadAs: back, path: path)
      }
      if let slot = optimizer.slots.keys.min() {
        var changed = back
        let values = optimizer.slots[slot]?[.embeddingWeight]?.floats() ?? []
        changed.optimizer?.slots[slot]?[.embeddingWeight] = Tensor(
          values.map { $0 + 1 }, shape: checkpoint.parameters[.embeddingWeight]?.shape ?? [])
        #expect(throws: InterchangeError.self) {
          try PyTorchTrainingFormat.check(checkpoint, isReadAs: changed, path: path)
        }
      }
    }
  }

  @Test(
    "Every optimizer of PyTorch comes back with its slots, and any change is found",
    arguments: [1, 3])
  func optimizersOfPyTorch(groups: Int) throws {
    for (kind, numbers) in [
      (.sgd, [.momentum: 0.9, .nesterov: 1]), (.adam, [.amsgrad: 1]), (.adam, [:]),
      (.rmsprop, [.momentum: 0.5, .centered: 1]), (.adagrad, [:]), (.adadelta, [:]),
      (.asgd, [.start: 3]),
    ] as [(OptimizerKind, [Hyperparameter: Double])] {
      try expectToReturn(trained(kind, numbers, groups: groups))
    }
    try expectToReturn(trained(.sgd))
  }

  @Test("Optimizer formulas of Keras, or no optimizer, refuse a training for PyTorch")
  func formulasOfKeras() {
    var uncorrected = trained(.adam)
    uncorrected.optimizer?.groups[0].epsilonPosition = .uncorrected
    let inside = trained(.sgd, [.momentum: 0.9, .learningRateInBuffer: 1])
    for (checkpoint, found) in [
      (uncorrected, "an epsilon in another place (uncorrected), as Keras has it"),
      (inside, "a velocity with the learning rate inside, as Keras has it"),
    ] {
      let error = #expect(throws: InterchangeError.self) {
        try PyTorchTrainingFormat.exportNotes(for: checkpoint)
      }
      #expect(error?.place == "/optimizer" && error?.found == found)
    }
    let without = #expect(throws: InterchangeError.self) {
      try PyTorchTrainingFormat.exportNotes(for: .small())
    }
    #expect(without?.found == "none")
  }

  @Test("Clipping, frozen groups and step counts are noted as not preserved")
  func notesOfExport() throws {
    var checkpoint = trained(.sgd, groups: 3)
    checkpoint.optimizer?.groups[0].clip = .globalNorm(0.25)
    checkpoint.optimizer?.groups[1].isFrozen = true
    let notes = try PyTorchTrainingFormat.exportNotes(for: checkpoint).map(\.message)
    for lost in [
      "gradients are clipped (norm 0.25)", "1 of 3 groups are frozen", "PyTorch's SGD counts none",
    ] {
      #expect(notes.contains { $0.contains(lost) }, "\(notes)")
    }
  }
}
