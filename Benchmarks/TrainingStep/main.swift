// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Times training steps of a two-layer LSTM language model and prints one JSON line.
//
// usage: TrainingStep [V] [H] [B] [T] [threads] [steps] [momentum]
// A step is forward, cross-entropy over all T*B tokens, backward, clipping by global norm 0.25, SGD.
// Random tokens and weights; times are medians after 3 steps.

import Foundation
import UnrollFormat
import UnrollNeural
import UnrollTensors

let arguments = CommandLine.arguments.dropFirst().compactMap { Double($0) }

/// An argument, or its default.
func argument(_ index: Int, _ standard: Double) -> Double {
  index < arguments.count ? arguments[index] : standard
}

let (V, H) = (Int(argument(0, 33278)), Int(argument(1, 650)))
let (B, T) = (Int(argument(2, 20)), Int(argument(3, 35)))
let (threads, steps) = (Int(argument(4, 2)), Int(argument(5, 9)))
Threads.count = threads

let layer = LayerArchitecture(cell: .lstm, inputSize: H, hiddenSize: H)
let architecture = Architecture(
  vocabularySize: V, embeddingSize: H, layers: [layer, layer], isTied: false)

/// Seeded weights from -0.04 to 0.04.
func makeParameters() -> ParameterTree<Tensor> {
  var tree = ParameterTree<Tensor>()
  var state: UInt64 = 1
  for (path, shape) in architecture.parameters {
    let values = (0..<(shape.elementCount ?? 0)).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (Float(state >> 40) / Float(1 << 24) - 0.5) * 0.08
    }
    tree[path] = Tensor(values, shape: shape)
  }
  return tree
}

let model = try TrainableModel(architecture: architecture, parameters: makeParameters())
var optimizer = Optimizer(
  .sgd, [.learningRate: 1e-3, .momentum: argument(6, 0)], clip: .globalNorm(0.25), for: architecture)
var generator = SystemRandomNumberGenerator()
let tokens = (0...T * B).map { _ in Int32.random(in: 0..<Int32(V), using: &generator) }
let (inputs, targets) = (Array(tokens.dropLast()), Array(tokens.dropFirst()))
var state = model.zeroState(columns: B)
var times: [Double] = []
for step in -3..<steps {
  let start = ContinuousClock.now
  _ = try model.backpropagate(inputs: inputs, targets: targets, state: &state)
  optimizer.step(model, gradientNorm: optimizer.gradientNorm(of: model))
  if step >= 0 { times.append(start.duration(to: .now) / .seconds(1)) }
}
let median = times.sorted()[times.count / 2]
print(
  "{\"mode\": \"train\", \"vocabulary\": \(V), \"hidden\": \(H), \"batch\": \(B), \"bptt\": \(T), "
    + "\"threads\": \(threads), \"seconds\": \(median), "
    + "\"tokens_per_s\": \(Double(T * B) / median)}")
