// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Times one kind of work of a recurrent language model with random weights and tokens. For each line on
// standard input it takes a turn: it does the work again and again for half a second, and prints the median
// of the seconds, the first time left out.
//
// usage: Speed [--mode train|evaluate|generate] [--cell LSTM|GRU|RNN] [--vocabulary V] [--widths D,H,...]
//              [--batch B] [--bptt T] [--tied 1] [--precision f32|bf16|int8] [--threads N] [--limit 1]
//
// train     a step: forward, cross-entropy over all T*B tokens, backward, clipping by global norm 0.25, SGD
// evaluate  forward, and the log-probability of each of T*B targets
// generate  T tokens one after the other, of one column, greedily
// --limit   prints the seconds that the machine needs at least, once, instead; see Limit.swift

import Foundation
import UnrollFormat
import UnrollNeural
import UnrollTensors

let words = CommandLine.arguments.dropFirst()
let options = Dictionary(
  zip(words, words.dropFirst()).filter { $0.0.hasPrefix("--") }, uniquingKeysWith: { $1 })

/// A numeric option, or its default.
func number(_ name: String, _ standard: Int) -> Int { options[name].flatMap(Int.init) ?? standard }

let V = number("--vocabulary", 33278)
let widths = (options["--widths"] ?? "650,650,650").split(separator: ",").compactMap { Int($0) }
let (B, T) = (number("--batch", 20), number("--bptt", 35))
let mode = options["--mode"] ?? "train"
let cell = Cell(rawValue: (options["--cell"] ?? "LSTM").lowercased()) ?? .lstm
let precision = Precision(rawValue: options["--precision"] ?? "f32") ?? .float32
Threads.count = number("--threads", 2)

let layers = zip(widths, widths.dropFirst()).map {
  LayerArchitecture(cell: cell, inputSize: $0, hiddenSize: $1)
}
let architecture = Architecture(
  vocabularySize: V, embeddingSize: widths[0], layers: layers, isTied: options["--tied"] != nil)

if options["--limit"] != nil {
  var limit = Limit(precision)
  print(
    mode == "generate"
      ? Double(T)
        * min(
          limit.secondsToRead(architecture, threads: Threads.count),
          limit.seconds(of: architecture, T: 1, B: 1, trains: false))
      : limit.seconds(of: architecture, T: T, B: B, trains: mode == "train"))
  exit(0)
}

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

var generator = SystemRandomNumberGenerator()
let tokens = (0...T * B).map { _ in Int32.random(in: 0..<Int32(V), using: &generator) }
let (inputs, targets) = (Array(tokens.dropLast()), Array(tokens.dropFirst()))

/// Takes a turn for each line of standard input.
func serve(_ work: () throws -> Void) throws {
  while readLine() != nil {
    let start = ContinuousClock.now
    try work()
    var times: [Double] = []
    repeat { times.append(try elapsed(work)) } while start.duration(to: .now) < .seconds(0.5)
    let median = times.sorted()[times.count / 2]
    try FileHandle.standardOutput.write(contentsOf: Data("\(median)\n".utf8))
  }
}

/// The token with the largest number.
nonisolated func likeliest(_ row: [Float]) -> Int32 {
  var best = 0
  for token in row.indices where row[token] > row[best] { best = token }
  return Int32(best)
}

switch mode {
case "train":
  let model = try TrainableModel(
    architecture: architecture, parameters: makeParameters(), precision: precision)
  var optimizer = Optimizer(.sgd, [.learningRate: 1e-3], clip: .globalNorm(0.25), for: architecture)
  var state = model.zeroState(columns: B)
  try serve {
    _ = try model.backpropagate(inputs: inputs, targets: targets, state: &state)
    optimizer.step(model, gradientNorm: optimizer.gradientNorm(of: model))
  }
case "evaluate":
  let model = try RecurrentModel(
    architecture: architecture, parameters: makeParameters(), precision: precision)
  var state = model.zeroState(columns: B)
  try serve {
    _ = try model.logProbabilities(ofTargets: targets, inputs: inputs, state: &state)
  }
default:
  let model = try RecurrentModel(
    architecture: architecture, parameters: makeParameters(), precision: precision)
  var state = model.zeroState(columns: 1)
  var token: Int32 = 0
  try serve {
    for _ in 0..<T {
      let row = try model.logDistributions(inputs: [token], state: &state)
      token = likeliest(row)
    }
  }
}
