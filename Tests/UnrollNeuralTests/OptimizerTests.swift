// Each rule against the optimizers of PyTorch and Keras, step by step on given gradients.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors

@testable import UnrollNeural

/// The output of scripts/make/optimizer-fixtures.
private struct OptimizerFixture: Decodable {
  let shapes: [[Int]]
  let start: [[Float]]
  let gradients: [[[Float]]]
  let cases: [String: Case]

  struct Case: Decodable {
    let producer: String
    let `class`: String
    let settings: [String: Setting]
    let after: [[[Double]]]
    let average: [[Double]]?
  }

  enum Setting: Decodable {
    case number(Double)
    case flag(Bool)
    case pair([Double])

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let flag = try? container.decode(Bool.self) {
        self = .flag(flag)
      } else if let number = try? container.decode(Double.self) {
        self = .number(number)
      } else {
        self = .pair(try container.decode([Double].self))
      }
    }

    var number: Double {
      switch self {
      case .number(let number): number
      case .flag(let flag): flag ? 1 : 0
      case .pair: .nan
      }
    }
  }
}

extension OptimizerFixture.Case {
  private static let names: [String: Hyperparameter] = [
    "lr": .learningRate, "learning_rate": .learningRate, "weight_decay": .weightDecay,
    "momentum": .momentum, "dampening": .dampening, "nesterov": .nesterov, "eps": .epsilon,
    "epsilon": .epsilon, "beta_1": .beta1, "beta_2": .beta2, "amsgrad": .amsgrad, "rho": .rho,
    "alpha": .alpha, "centered": .centered, "lr_decay": .learningRateDecay,
    "initial_accumulator_value": .initialAccumulator, "lambd": .lambda, "t0": .start,
  ]

  /// The optimizer that this case is of, as a checkpoint would declare it.
  func optimizer(parameters: [ParameterPath]) throws -> OptimizerState {
    let kind = try #require(
      OptimizerKind(rawValue: self.class == "AdamW" ? "adam" : self.class.lowercased()))
    var group = ParameterGroup(kind, parameters: parameters)
    let isKeras = producer.hasPrefix("keras")
    for (name, setting) in settings {
      switch (name, setting) {
      case ("betas", .pair(let betas)): (group[.beta1], group[.beta2]) = (betas[0], betas[1])
      case ("alpha", _) where kind == .asgd: group[.power] = setting.number
      case ("rho", _) where kind == .rmsprop: group[.alpha] = setting.number
      case ("clipnorm", _): group.clip = .parameterNorm(setting.number)
      case ("clipvalue", _): group.clip = .value(setting.number)
      case ("global_clipnorm", _): group.clip = .globalNorm(setting.number)
      default: group[try #require(Self.names[name], "\(name)")] = setting.number
      }
    }
    if self.class == "AdamW" || isKeras { group.weightDecayKind = .decoupled }
    if kind == .asgd { group.averaging = .init(eta: group[.learningRate], mu: 1) }
    if isKeras {
      if kind == .adam { group.epsilonPosition = .uncorrected }
      if kind == .rmsprop || kind == .adagrad { group.epsilonPosition = .inside }
      if kind == .sgd || kind == .rmsprop { group[.learningRateInBuffer] = 1 }
    }
    return OptimizerState(kind: kind, step: 0, groups: [group])
  }
}

@Suite("Optimizers") struct OptimizerTests {
  private static let fixture = Result { () throws -> OptimizerFixture in
    try JSONDecoder().decode(
      OptimizerFixture.self,
      from: Data(contentsOf: URL(filePath: Fixtures.path("training/optimizers.json"))))
  }

  private static let names = ((try? fixture.get())?.cases.keys.sorted()) ?? []

  /// A model whose only use is to name two parameters of other shapes.
  private static let architecture = Architecture(
    vocabularySize: 3, embeddingSize: 2,
    layers: [LayerArchitecture(cell: .rnn, inputSize: 2, hiddenSize: 4)], isTied: false)
  private static let paths = [ParameterPath.embeddingWeight, .layer(0, .biasIH)]

  @Test("All 23 reference optimizers are tested")
  func everyCase() { #expect(Self.names.count == 23) }

  /// Rounding to f32 after each of six steps; a wrong formula is off by 1e-3 and more.
  @Test(
    "Optimizer steps equal those of PyTorch and Keras, also when restored",
    arguments: names, [false, true])
  func stepsOfProducers(name: String, inRows: Bool) throws {
    let fixture = try Self.fixture.get()
    let reference = try #require(fixture.cases[name])
    var optimizer = Optimizer(
      try reference.optimizer(parameters: Self.paths), for: Self.architecture)
    var values = fixture.start
    for (step, gradients) in fixture.gradients.enumerated() {
      let norm = gradients.joined().reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
      optimizer.step(gradientNorm: norm) { update in
        for (index, path) in Self.paths.enumerated() {
          let gradient =
            inRows && index == 0
            ? .rows(rows(of: gradients[0], width: 2)) : Gradient.dense(gradients[index])
          update(path, &values[index], gradient)
        }
      }
      for (found, expected) in zip(values, reference.after[step]) {
        #expect(largestError(found, expected) < 1e-6, "step \(step + 1)")
      }
      // A saved and restored optimizer gives the same next steps.
      optimizer = Optimizer(optimizer.state(for: Self.architecture), for: Self.architecture)
    }
    if let average = reference.average {
      let averages = try #require(optimizer.averages(for: Self.architecture))
      for (path, expected) in zip(Self.paths, average) {
        #expect(largestError(try #require(averages[path]?.floats()), expected) < 1e-6)
      }
    }
  }

  /// The rows of a matrix that are not zero.
  private func rows(of matrix: [Float], width: Int) -> RowGradient {
    let tokens = (0..<matrix.count / width).filter { row in
      matrix[row * width..<(row + 1) * width].contains { $0 != 0 }
    }
    let numbers = tokens.flatMap { matrix[$0 * width..<($0 + 1) * width] }
    return RowGradient(inputs: tokens.map { Int32($0) }, gradients: numbers, width: width)
  }

  @Test("A frozen group does not change and counts no steps")
  func frozenGroup() throws {
    var state = OptimizerState(
      kind: .adam, step: 0,
      groups: Self.paths.map {
        ParameterGroup(.adam, clip: .globalNorm(0.1), parameters: [$0])
      })
    state.groups[0].isFrozen = true
    var optimizer = Optimizer(state, for: Self.architecture)
    var values: [[Float]] = [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4]]
    for _ in 0..<3 {
      optimizer.step(gradientNorm: 1) { update in
        for index in 0..<2 {
          update(Self.paths[index], &values[index], .dense(values[index].map { _ in 0.5 }))
        }
      }
    }
    #expect(values[0] == [1, 2, 3, 4, 5, 6] && values[1][0] < 1)
    #expect(optimizer.groups.map(\.step) == [0, 3] && optimizer.stepCount == 3)
  }
}
