// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Checkpoints in the middle of a training, with seeded numbers.

import UnrollFormat
import UnrollTensors

extension Checkpoint {
  /// The same model in training: after 12 steps, three evaluations, the second one the best.
  ///
  /// - Parameters:
  ///   - kind: The rule, with every slot that it can have.
  ///   - momentum: The momentum of SGD; with 0 there is no slot.
  ///   - columns: The streams of the training text, B.
  ///   - groupCount: The groups that the parameters are dealt out to.
  /// - Returns: The model with its training.
  public func inTraining(
    kind: OptimizerKind = .sgd, momentum: Double = 0.9, columns: Int = 3, groupCount: Int = 1
  ) -> Checkpoint {
    var generator = SeededGenerator(seed: 77)
    func tensor(_ shape: Shape) -> Tensor {
      Tensor((0..<(shape.elementCount ?? 0)).map { _ in generator.number(1) }, shape: shape)
    }
    let paths = architecture.parameters.map(\.path)
    var optimizer = OptimizerState(
      kind: kind, step: 12,
      groups: (0..<groupCount).map { group in
        let numbers: [Hyperparameter: Double] = [
          .learningRate: 5 / 3.0, .weightDecay: 1.2e-6, .momentum: momentum, .amsgrad: 1,
          .centered: 1,
        ]
        var group = ParameterGroup(
          kind, numbers.filter { kind.defaults[$0.key] != nil },
          clip: group == 0 ? .globalNorm(0.25) : nil,
          parameters: paths.indices.filter { $0 % groupCount == group }.map { paths[$0] })
        group.step = 12
        return group
      })
    for slot in optimizer.groups[0].slots(of: kind) {
      var tree = ParameterTree<Tensor>()
      for (path, shape) in architecture.parameters {
        let values = tensor(shape).floats() ?? []
        tree[path] = Tensor(slot.holdsSquares ? values.map { $0 * $0 } : values, shape: shape)
      }
      optimizer.slots[slot] = tree
    }
    var training = TrainingState(
      step: 12, epoch: 1, tokensSeen: 12 * 35 * columns, maximumEpochs: 6, maximumSteps: 1 << 40,
      data: TrainingData(
        trainDigest: String(repeating: "ab", count: 32),
        validDigest: String(repeating: "cd", count: 32), tokens: 1000 * columns + 1,
        columns: columns, window: 35, cursor: 70, totalNLL: 0.1 + 0.2),
      schedule: LearningRateSchedule(.divideOnPlateau, [.patience: 2]))
    training.evaluationsWithoutImprovement = 1
    training.accumulation = 3
    training.shards = columns
    training.regularization = [
      RegularizationTerm(site: .weightHH, kind: .weight, rate: 0.5),
      RegularizationTerm(site: .output, kind: .temporal, rate: 1),
    ]
    training.seed = .max
    (training.evaluatesAverages, training.averageAfter) = (true, 5)
    training.data.windowKind = .random
    training.unfreezeEvery = 2
    training.hidden = architecture.layers.map { layer in
      var state = CarriedState()
      for (name, width) in layer.states { state[name] = tensor([columns, width]) }
      return state
    }
    training.history = [
      TrainingRecord(step: 0, epoch: 0, learningRate: 20, trainNLL: .nan, validNLL: 9.25),
      TrainingRecord(
        step: 10, epoch: 1 / 3.0, learningRate: 20, trainNLL: 1 / 3.0, validNLL: 0x1.8p-1060),
      TrainingRecord(step: 12, epoch: 1, learningRate: 20, trainNLL: -0.0, validNLL: 4.5),
    ]
    training.best = BestState(
      step: 10, validNLL: 0x1.8p-1060, weightsDigest: String(repeating: "ef", count: 32))
    var checkpoint = self
    checkpoint.provenance.append(
      ProvenanceEntry(
        operation: "finetune", tool: "test", arguments: "epochs=6", inputs: "00 x\n01 y",
        outcome: "step 12, validation nll 4.5 nats a token"))
    (checkpoint.optimizer, checkpoint.training) = (optimizer, training)
    return checkpoint
  }
}
