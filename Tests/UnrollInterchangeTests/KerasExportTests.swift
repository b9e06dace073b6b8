// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Models that are written for Keras: every bit comes back, or the change is noted.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollHDF5
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

@Suite("Export to Keras") struct KerasExportTests: KerasSuite {
  /// Models of every variant that Keras has come back bit for bit, by way of both formats.
  @Test(
    "Models of every Keras variant come back bit for bit, and are written identically",
    arguments: 0..<24)
  func roundTrip(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed) + 700)
    let original = model(&generator)
    try withTemporaryFolder { folder in
      for format in [KerasFormat.self, KerasHDF5Format.self] as [any ForeignFormat.Type] {
        let path = "\(folder)/\(format.name).\(format.fileExtensions[0])"
        try format.export(original, to: path)
        let back = try read(path, ReadingOptions()).checkpoint
        #expect(back.architecture == original.architecture)
        #expect(back.weightsDigest == original.weightsDigest)
        #expect(back.vocabulary.tokenBytes == original.vocabulary.tokenBytes)
        #expect(back.tokenizer == original.tokenizer)
        // Equal checkpoints give equal bytes.
        try format.export(original, to: path + ".again")
        #expect(
          try MappedFile(path: path).copy(0..<Int.max)
            == MappedFile(path: path + ".again").copy(0..<Int.max))
      }
    }
  }

  private func model(_ generator: inout SeededGenerator) -> Checkpoint {
    func pick<Value>(_ values: [Value]) -> Value {
      values[Int.random(in: values.indices, using: &generator)]
    }
    var checkpoint = Checkpoint.small()
    let V = checkpoint.vocabulary.count
    let isOneHot = pick([true, false, false])
    var width = isOneHot ? V : Int.random(in: 2...7, using: &generator)
    let D = width
    var layers: [LayerArchitecture] = []
    for _ in 0..<Int.random(in: 1...4, using: &generator) {
      let cell = pick(Cell.usual)
      var layer = LayerArchitecture(
        cell: cell, inputSize: width, hiddenSize: Int.random(in: 2...7, using: &generator),
        activation: cell == .rnn ? pick(Cell.rnn.facts.activations) : .tanh)
      if cell == .gru { layer.reset = pick([.after, .before]) }
      if cell != .rnn {
        layer.gateActivation = pick([.sigmoid, GateActivation.hardSigmoid(ofKeras: 3)])
      }
      let hasTwo = cell == .gru && layer.reset == .after
      layer.bias = pick([.none, hasTwo ? .double : .single])
      layers.append(layer)
      width = layer.hiddenSize
    }
    var architecture = Architecture(
      vocabularySize: V, embeddingSize: D, layers: layers,
      isTied: !isOneHot && width == D && pick([true, false]), hasOutputBias: pick([true, false]))
    if isOneHot { architecture.input = .oneHot }
    var parameters = ParameterTree<Tensor>()
    let dtype = pick([DType.float16, .bfloat16, .float32, .float64])
    for (path, shape) in architecture.parameters {
      let bytes = (0..<(shape.byteCount(of: dtype) ?? 0)).map { _ in
        UInt8.random(in: 0...255, using: &generator)
      }
      parameters[path] = Tensor(shape: shape, dtype: dtype, storage: .owned(bytes))
    }
    (checkpoint.architecture, checkpoint.parameters) = (architecture, parameters)
    return checkpoint
  }

  /// Keras's own files by way of Unroll: the same variables, the optimizer's too.
  @Test(
    "Variables of a Keras file, the optimizer's too, are written back unchanged",
    arguments: ["lstm", "gru", "rnn", "gru-before"])
  func variablesOfKeras(name: String) throws {
    let conversion = try read(path("\(name).keras"))
    try withTemporaryFolder { folder in
      let copy = "\(folder)/x.keras"
      try KerasFormat.export(conversion.checkpoint, to: copy)
      let (theirs, ours) = (try container(path("\(name).keras")), try container(copy))
      var count = 0
      for group in theirs.members(of: "/layers").map({ "/layers/\($0)" }) + ["/optimizer"] {
        for inner in ["/vars", "/cell/vars", "/layer/vars"].map({ group + $0 }) {
          for name in theirs.members(of: inner) {
            // A TimeDistributed layer is written as the layer inside.
            let place = "\(inner)/\(name)".replacing("time_distributed/layer", with: "dense")
            let (a, b) = (
              try #require(theirs.tensor("\(inner)/\(name)")), try #require(ours.tensor(place))
            )
            #expect(a.shape == b.shape && a.dtype == b.dtype)
            #expect(a.withUnsafeBytes { bytes in b.withUnsafeBytes { bytes.elementsEqual($0) } })
            count += 1
          }
        }
      }
      #expect(count >= 6)
      try expectEqual(read(copy).checkpoint.optimizer, conversion.checkpoint.optimizer)
    }
  }

  private func container(_ path: String) throws -> ForeignContainer {
    try KerasFile(archive: MappedFile(path: path), reader: .inProcess).container
  }

  /// On to another format and back: what both hold returns.
  @Test("A model comes back from Keras by way of another format bit for bit", arguments: 0..<8)
  func roundTripByOtherFormats(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed) + 900)
    var original = Checkpoint.small(
      cell: seed.isMultiple(of: 2) ? .gru : .lstm, hidden: seed < 4 ? [5] : [4, 6],
      seed: UInt64(seed))
    if original.architecture.layers[0].cell == .lstm {
      for index in original.architecture.layers.indices {
        original.architecture.layers[index].bias = .none
        original.parameters[.layer(index, .biasIH)] = nil
        original.parameters[.layer(index, .biasHH)] = nil
      }
    }
    let others: [any ForeignFormat.Type] = [
      SafetensorsFormat.self, NumPyFormat.self, ONNXFormat.self,
    ]
    let other = others[Int.random(in: others.indices, using: &generator)]
    try withTemporaryFolder { folder in
      var checkpoint = original
      for format in [KerasFormat.self, other, KerasHDF5Format.self] as [any ForeignFormat.Type] {
        let path = "\(folder)/x.\(format.fileExtensions[0])"
        try format.export(checkpoint, to: path)
        checkpoint = try read(path, ReadingOptions()).checkpoint
      }
      #expect(checkpoint.weightsDigest == original.weightsDigest)
    }
  }

  /// `finetune --keep-optimizer` counts its own steps, the groups count all.
  @Test(
    "A continued optimizer comes back with the step count of its parameters",
    arguments: [KerasFormat.self, KerasHDF5Format.self] as [any ForeignFormat.Type])
  func stepsOfOptimizer(format: any ForeignFormat.Type) throws {
    var checkpoint = try read("gru.keras") { _ in }.checkpoint
    #expect(checkpoint.optimizer?.groups.map(\.step) == [3])
    checkpoint.optimizer?.step = 1
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.\(format.fileExtensions[0])"
      try format.export(checkpoint, to: path)
      let options = ReadingOptions(vocabulary: checkpoint.vocabulary)
      let back = try format.read(MappedFile(path: path), options: options).checkpoint.optimizer
      #expect(back?.step == 3 && back?.groups == checkpoint.optimizer?.groups)
    }
  }

  /// The exceptions: what Keras has in another variant.
  @Test("Two biases and a forget bias become one sum in Keras, with notes")
  func sumOfBiases() throws {
    var checkpoint = Checkpoint.small(cell: .lstm)
    checkpoint.architecture.layers[1].bias = .single
    checkpoint.parameters[.layer(1, .bias)] = checkpoint.parameters[.layer(1, .biasIH)]
    checkpoint.parameters[.layer(1, .biasIH)] = nil
    checkpoint.parameters[.layer(1, .biasHH)] = nil
    checkpoint.architecture.layers[1].forgetBias = 1
    let held = try KerasFormat.held(checkpoint)
    #expect(held.architecture.layers.map(\.bias) == [.single, .single])
    #expect(held.architecture.layers.map(\.forgetBias) == [0, 0])
    let biases = try [LayerParameter.biasIH, .biasHH].map {
      try #require(checkpoint.parameters[.layer(0, $0)]?.floats())
    }
    #expect(held.parameters[.layer(0, .bias)]?.floats() == zip(biases[0], biases[1]).map(+))
    let (before, after) = (
      try #require(checkpoint.parameters[.layer(1, .bias)]?.floats()),
      try #require(held.parameters[.layer(1, .bias)]?.floats())
    )
    #expect(after.enumerated().allSatisfy { $1 == before[$0] + ((6..<12).contains($0) ? 1 : 0) })
    #expect(
      try KerasFormat.exportNotes(for: checkpoint).map(\.description).prefix(2) == [
        "/model/layers/00/bias: Keras has one bias: the sum of the two; further training with SGD moves it half as far",
        "/model/layers/01/bias: with the forget bias of 1.0 in it, rounded to f32",
      ])
    try withTemporaryFolder { folder in
      try KerasFormat.export(checkpoint, to: "\(folder)/x.keras")
      let back = try read("\(folder)/x.keras").checkpoint
      #expect(back.weightsDigest == held.weightsDigest)
    }
  }

  @Test("A GRU with a single bias gets a second one of zeros in Keras")
  func singleBiasOfGRU() throws {
    var checkpoint = Checkpoint.small(cell: .gru, hidden: [4])
    checkpoint.architecture.layers[0].bias = .single
    checkpoint.parameters[.layer(0, .bias)] = checkpoint.parameters[.layer(0, .biasIH)]
    checkpoint.parameters[.layer(0, .biasIH)] = nil
    checkpoint.parameters[.layer(0, .biasHH)] = nil
    let held = try KerasFormat.held(checkpoint)
    #expect(held.architecture.layers.map(\.bias) == [.double])
    #expect(held.parameters[.layer(0, .biasHH)]?.floats()?.allSatisfy { $0 == 0 } == true)
  }

  /// Keras makes orthogonal matrices when it loads, which it cannot in narrow types.
  @Test("Models in float16 or bfloat16 are written with an initializer that Keras can load")
  func initializerOfNarrowModels() throws {
    let model = try read(path("narrow.keras")).checkpoint
    let narrow = try KerasWriter(model).configuration
    #expect(narrow.contains("\"recurrent_initializer\": \"glorot_uniform\""))
    let wide = try KerasWriter(read(path("lstm.keras")).checkpoint).configuration
    #expect(!wide.contains("initializer"))
  }

  @Test("Models that Keras cannot compute are refused on export")
  func unsupportedModels() {
    func refusal(_ change: (inout Checkpoint) -> Void) -> String? {
      var checkpoint = Checkpoint.small()
      change(&checkpoint)
      let error = #expect(throws: InterchangeError.self) {
        try KerasFormat.exportNotes(for: checkpoint)
      }
      return error?.found
    }
    #expect(
      refusal {
        $0.architecture.layers[0].gateActivation = .hardSigmoid(alpha: 0.2, beta: 0.5)
      } == "a hard_sigmoid of another slope than Keras 3's 1/6 (Keras 2 has 0.2)")
    #expect(
      refusal {
        $0.architecture.layers[1].projectionSize = 3
        $0.parameters[.layer(1, .weightHH)] = Tensor(
          [Float](repeating: 0, count: 72), shape: [24, 3])
        $0.parameters[.layer(1, .weightHR)] = Tensor(
          [Float](repeating: 0, count: 18), shape: [3, 6])
        $0.parameters[.outputWeight] = Tensor([Float](repeating: 0, count: 33), shape: [11, 3])
      } == "a projection of the hidden state")
    #expect(
      refusal { $0.parameters[.layer(0, .biasIH)] = nil } == "none")
    #expect(
      refusal {
        $0.parameters[.layer(0, .weightHH)] = try? $0.parameters[.layer(0, .weightHH)]?
          .converted(to: .float64)
      } == "f32, f64")
  }

  /// A tie comes back by what Unroll notes; Keras's copy alone is no tie.
  @Test("A tie is written twice for Keras, and comes back by Unroll's metadata alone")
  func ties() throws {
    let tied = Checkpoint.small(cell: .gru, tied: true, hidden: [5])
    #expect(try KerasFormat.exportNotes(for: tied).first?.message.contains("written twice") == true)
    try withTemporaryFolder { folder in
      let path = "\(folder)/x.weights.h5"
      try KerasHDF5Format.export(tied, to: path)
      #expect(try read(path).checkpoint.weightsDigest == tied.weightsDigest)
      let datasets = try KerasWriter(tied).datasets
      #expect(try !weights(datasets).checkpoint.architecture.isTied)
    }
  }

  private func state(
    _ kind: OptimizerKind, _ change: (inout ParameterGroup) -> Void
  ) -> OptimizerState {
    var group = ParameterGroup(kind, parameters: [.embeddingWeight])
    change(&group)
    return OptimizerState(kind: kind, step: 0, groups: [group])
  }

  private func outcome(_ kept: KerasOptimizer.Kept) -> String {
    switch kept {
    case .kept(_, let approximations): approximations.joined(separator: "; ")
    case .lost(let reason): "lost: \(reason)"
    }
  }

  @Test("Optimizer formulas that Keras lacks are reported")
  func optimizerFormulas() {
    func outcome(_ kind: OptimizerKind, _ change: (inout ParameterGroup) -> Void) -> String {
      self.outcome(KerasOptimizer.kept(state(kind, change), of: Checkpoint.small().architecture))
    }
    #expect(outcome(.adam) { $0.epsilonPosition = .uncorrected } == "")
    #expect(
      outcome(.adam) { _ in }
        == "epsilon 1e-08 stands elsewhere in Keras's rule; the moments are the same")
    #expect(outcome(.adam) { $0[.weightDecay] = 0.1 } == "lost: Keras's weight decay is decoupled")
    #expect(outcome(.sgd) { _ in } == "")
    #expect(outcome(.sgd) { $0.step = 1 << 40 } == "lost: Keras counts steps with 32 bits")
    #expect(
      outcome(.sgd) { $0[.momentum] = 0.9 }
        == "lost: Keras's velocities hold the learning rate")
    #expect(outcome(.sgd) { $0[.dampening] = 0.9 } == "lost: Keras has no dampening")
    #expect(
      outcome(.adagrad) { _ in } == "lost: Keras has no optimizer that computes the same update")
    #expect(
      outcome(.sgd) { $0.isFrozen = true }
        == "lost: Keras has one group of parameters, of which none is frozen")
  }
}
