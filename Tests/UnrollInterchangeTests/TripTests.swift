// swift-format-ignore-file: AlwaysUseLowerCamelCase
// From Unroll to each format of named tensors, on to another, and back: every bit returns.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

@Suite("Round trips through several formats") struct TripTests {
  private static let formats: [any ForeignFormat.Type] = [
    PyTorchFormat.self, SafetensorsFormat.self, NumPyFormat.self, GGUFFormat.self,
  ]

  /// A model of any cells, widths, ties, biases and types, with random bytes for numbers.
  private func model(_ generator: inout SeededGenerator, dtypes: [DType]) -> Checkpoint {
    func pick<Value>(_ values: [Value], _ otherwise: Value) -> Value {
      values.randomElement(using: &generator) ?? otherwise
    }
    var checkpoint = Checkpoint.small()
    let V = checkpoint.vocabulary.count
    let isOneHot = Int.random(in: 0..<4, using: &generator) == 0
    let activation = pick(Cell.rnn.facts.activations, .tanh)
    let isUniform = Bool.random(using: &generator)
    var (width, layers) = (
      isOneHot ? V : Int.random(in: 2...7, using: &generator), [LayerArchitecture]()
    )
    let D = width
    for _ in 0..<Int.random(in: 1...4, using: &generator) {
      if isUniform, let first = layers.first {
        var layer = first
        layer.inputSize = width
        layers.append(layer)
        continue
      }
      let cell = pick(Cell.usual, .lstm)
      var layer = LayerArchitecture(
        cell: cell, inputSize: width, hiddenSize: Int.random(in: 2...7, using: &generator),
        activation: cell == .rnn ? activation : .tanh, bias: pick([.double, .none], .double))
      if cell == .lstm, Bool.random(using: &generator) {
        layer.projectionSize = Int.random(in: 1..<layer.hiddenSize, using: &generator)
      }
      layers.append(layer)
      width = layer.outputSize
    }
    let top = layers.last?.outputSize ?? D
    var architecture = Architecture(
      vocabularySize: V, embeddingSize: D, layers: layers,
      isTied: !isOneHot && top == D && Bool.random(using: &generator),
      hasOutputBias: Bool.random(using: &generator))
    if isOneHot { architecture.input = .oneHot }
    var parameters = ParameterTree<Tensor>()
    let dtype = pick(dtypes, .float32)
    for (path, shape) in architecture.parameters {
      let bytes = (0..<(shape.byteCount(of: dtype) ?? 0)).map { _ in
        UInt8.random(in: 0...255, using: &generator)
      }
      parameters[path] = Tensor(shape: shape, dtype: dtype, storage: .owned(bytes))
    }
    (checkpoint.architecture, checkpoint.parameters) = (architecture, parameters)
    return checkpoint
  }

  /// The same with whatever variants its cells may have, which PyTorch's modules do not compute.
  private func variant(
    of checkpoint: Checkpoint, _ generator: inout SeededGenerator
  ) -> Checkpoint {
    var (architecture, parameters) = (checkpoint.architecture, checkpoint.parameters)
    let gates = GateActivation.hardSigmoid(
      alpha: Double.random(in: 0.1...0.3, using: &generator), beta: 0.5)
    for index in architecture.layers.indices {
      var layer = architecture.layers[index]
      if layer.cell != .rnn, Bool.random(using: &generator) { layer.gateActivation = gates }
      switch layer.cell {
      case .gru where Bool.random(using: &generator): layer.reset = .before
      case .lstm where Bool.random(using: &generator):
        layer.forgetBias = Double.random(in: -1...1, using: &generator)
      case .rnn:
        layer.activation = Cell.rnn.facts.activations.randomElement(using: &generator) ?? .tanh
      default: break
      }
      if layer.bias == .double, Bool.random(using: &generator) {
        layer.bias = .single
        parameters[.layer(index, .bias)] = parameters[.layer(index, .biasIH)]
        parameters[.layer(index, .biasIH)] = nil
        parameters[.layer(index, .biasHH)] = nil
      }
      architecture.layers[index] = layer
    }
    if architecture.input == .embedding, Bool.random(using: &generator) {
      let (D, V) = (architecture.embeddingSize, architecture.vocabularySize)
      architecture.hasOutputProjection = true
      let sample = parameters[.layer(0, .weightHH)]
      for (path, shape) in [
        (ParameterPath.outputProjection, Shape([D, architecture.topSize])),
        (.outputWeight, Shape([V, D])),
      ] where path == .outputProjection || !architecture.isTied {
        let dtype = sample?.dtype ?? .float32
        let bytes = (0..<(shape.byteCount(of: dtype) ?? 0)).map { _ in
          UInt8.random(in: 0...255, using: &generator)
        }
        parameters[path] = Tensor(shape: shape, dtype: dtype, storage: .owned(bytes))
      }
    }
    var varied = checkpoint
    (varied.architecture, varied.parameters) = (architecture, parameters)
    return varied
  }

  private func convert(
    _ checkpoint: Checkpoint, through format: any ForeignFormat.Type, in folder: String
  ) throws -> Checkpoint {
    let path = "\(folder)/\(UUID().uuidString).\(format.fileExtensions[0])"
    try format.export(checkpoint, to: path)
    // Of a state_dict the caller has to say what the others keep as metadata.
    let activation = checkpoint.architecture.plainActivations.first
    let options =
      format == PyTorchFormat.self
      ? ReadingOptions(
        vocabulary: checkpoint.vocabulary, tokenizer: checkpoint.tokenizer,
        nonlinearity: activation) : ReadingOptions()
    let file = try MappedFile(path: path)
    #expect(AllFormats.format(of: file)?.name == format.name)
    return try format.read(file, options: options).checkpoint
  }

  private func expectEqual(_ a: Checkpoint, _ b: Checkpoint) {
    expectEqualWeights(a, b)
    #expect(a.vocabulary.tokenBytes == b.vocabulary.tokenBytes)
    #expect(a.vocabulary.unknownID == b.vocabulary.unknownID)
    #expect(a.tokenizer == b.tokenizer)
  }

  @Test("A model comes back from each format by way of each other, bit for bit", arguments: 0..<24)
  func roundTrips(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed) + 400)
    let original = model(&generator, dtypes: [.float16, .float32, .float64])
    try withTemporaryFolder { folder in
      // ONNX has no projections.
      let isProjected = original.architecture.layers.contains { $0.projectionSize != nil }
      var formats = Self.formats + (isProjected ? [] : [ONNXFormat.self])
      // GGUF has no f64.
      let type = original.parameters.paths.first.flatMap { original.parameters[$0]?.dtype }
      if type == .float64 {
        formats.removeAll { $0 == GGUFFormat.self }
        #expect(throws: InterchangeError.self) { try GGUFFormat.exportNotes(for: original) }
      }
      try expectTrips(of: original, by: formats, in: folder)
    }
  }

  /// Expects that a model comes back from each format, and from each by way of each other.
  private func expectTrips(
    of original: Checkpoint, by formats: [any ForeignFormat.Type], in folder: String
  ) throws {
    for a in formats {
      let there = try convert(original, through: a, in: folder)
      expectEqual(there, original)
      for b in formats where b != a {
        let back = try convert(convert(there, through: b, in: folder), through: a, in: folder)
        expectEqual(back, original)
      }
    }
  }

  /// Keras has one bias or none (of a GRU two): what it has comes back from it by way of the others.
  @Test(
    "A model that Keras can hold comes back from Keras by way of each other format",
    arguments: 0..<12)
  func roundTripsOfKeras(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed) + 600)
    var original = model(&generator, dtypes: [.float32])
    let hasBias = Bool.random(using: &generator)
    var width = original.architecture.layers.first?.inputSize ?? 0
    for index in original.architecture.layers.indices {
      var layer = original.architecture.layers[index]
      (layer.projectionSize, layer.inputSize) = (nil, width)
      layer.bias = hasBias ? (layer.cell == .gru ? .double : .single) : .none
      width = layer.hiddenSize
      original.architecture.layers[index] = layer
    }
    original.architecture.isTied = false
    var parameters = ParameterTree<Tensor>()
    for (path, shape) in original.architecture.parameters {
      let values = (0..<(shape.elementCount ?? 0)).map { _ in
        Float.random(in: -1...1, using: &generator)
      }
      parameters[path] = Tensor(values, shape: shape)
    }
    original.parameters = parameters
    // A state_dict of PyTorch has two biases or none.
    let others: [any ForeignFormat.Type] =
      [SafetensorsFormat.self, NumPyFormat.self, GGUFFormat.self, ONNXFormat.self]
      + (hasBias ? [] : [PyTorchFormat.self])
    try withTemporaryFolder { folder in
      expectEqual(try convert(original, through: KerasFormat.self, in: folder), original)
      for other in others {
        let there = try convert(
          convert(original, through: KerasFormat.self, in: folder), through: other, in: folder)
        expectEqual(try convert(there, through: KerasFormat.self, in: folder), original)
        expectEqual(try convert(there, through: other, in: folder), original)
      }
    }
  }

  /// Features that no state_dict has travel in the metadata.
  @Test("Layer variants come back by metadata, and a state_dict refuses them", arguments: 0..<24)
  func roundTripsOfVariants(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed) + 700)
    let original = variant(of: model(&generator, dtypes: [.float16, .float32]), &generator)
    let formats = Self.formats.filter { $0 != PyTorchFormat.self }
    try withTemporaryFolder { folder in
      try expectTrips(of: original, by: formats, in: folder)
      for a in formats {
        let notes = try a.exportNotes(for: original).filter { !$0.isHarmless }
        #expect(notes.count == original.architecture.rareVariants.count)
      }
    }
    // A single bias is written with a second one of zeros.
    let rareVariants = original.architecture.rareVariants.filter { !$0.hasSuffix("a single bias") }
    guard let rare = rareVariants.first else {
      _ = try PyTorchFormat.exportNotes(for: original)
      return
    }
    let error = #expect(throws: InterchangeError.self) {
      try PyTorchFormat.exportNotes(for: original)
    }
    #expect(error?.found == rare)
  }

  /// The exception: NumPy has no bfloat16.
  @Test(
    "bfloat16 weights come back from each format that has the type, and NumPy refuses",
    arguments: 0..<6)
  func roundTripsOfBfloat16(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed) + 500)
    let original = model(&generator, dtypes: [.bfloat16])
    try withTemporaryFolder { folder in
      let there = try convert(original, through: PyTorchFormat.self, in: folder)
      expectEqual(try convert(there, through: SafetensorsFormat.self, in: folder), original)
      expectEqual(try convert(there, through: GGUFFormat.self, in: folder), original)
      #expect(throws: InterchangeError.self) {
        try convert(there, through: NumPyFormat.self, in: folder)
      }
    }
  }

  /// The exception: PyTorch's modules have two biases or none.
  @Test(
    "A single bias comes back from named arrays, and gets zeros beside it in PyTorch",
    arguments: Cell.usual)
  func aSingleBiasReturnsFromArrays(cell: Cell) throws {
    var original = Checkpoint.small(cell: cell)
    for index in original.architecture.layers.indices {
      original.architecture.layers[index].bias = .single
      original.parameters[.layer(index, .bias)] = original.parameters[.layer(index, .biasIH)]
      original.parameters[.layer(index, .biasIH)] = nil
      original.parameters[.layer(index, .biasHH)] = nil
    }
    try withTemporaryFolder { folder in
      for format in [SafetensorsFormat.self, NumPyFormat.self, GGUFFormat.self]
        as [any ForeignFormat.Type]
      {
        expectEqual(try convert(original, through: format, in: folder), original)
        #expect(try format.exportNotes(for: original).first?.message.contains("only bias") == true)
      }
      expectEqual(try convert(original, through: ONNXFormat.self, in: folder), original)
      // PyTorch's modules have two: the second is of zeros.
      #expect(
        try PyTorchFormat.exportNotes(for: original).contains {
          $0.message.contains("a second bias of zeros")
        })
      let torch = try convert(original, through: PyTorchFormat.self, in: folder)
      for index in torch.architecture.layers.indices {
        #expect(torch.architecture.layers[index].bias == .double)
        let own = original.parameters[.layer(index, .bias)]
        #expect(torch.parameters[.layer(index, .biasIH)]?.floats() == own?.floats())
        #expect(torch.parameters[.layer(index, .biasHH)]?.floats()?.allSatisfy { $0 == 0 } == true)
      }
    }
  }

  @Test("A variant that PyTorch's modules lack is noted, or refused by name")
  func variantsInMetadata() throws {
    var forgetful = Checkpoint.small()
    forgetful.architecture.layers[0].forgetBias = 1
    var early = Checkpoint.small(cell: .gru)
    early.architecture.layers[1].reset = .before
    var hard = Checkpoint.small()
    hard.architecture.layers[1].gateActivation = .hardSigmoid(alpha: 0.2, beta: 0.5)
    for (checkpoint, variant) in [
      (forgetful, "layer 0 with a forget bias of 1.0"),
      (early, "layer 1 with the reset gate before the product"),
      (hard, "layer 1 with the gate activation hard_sigmoid"),
    ] {
      let error = #expect(throws: InterchangeError.self) {
        try PyTorchFormat.exportNotes(for: checkpoint)
      }
      #expect(error?.found == variant)
      for format in Self.formats where format != PyTorchFormat.self {
        let message = "\(variant): in the metadata alone, PyTorch's modules do not compute it"
        let notes = try format.exportNotes(for: checkpoint).filter { !$0.isHarmless }
        #expect(notes == [Note(place: "/model", message: message)])
      }
    }
    var mixed = Checkpoint.small(cell: .rnn)
    mixed.architecture.layers[1].activation = .relu
    // ONNX has all of them but the forget bias.
    try withTemporaryFolder { folder in
      for checkpoint in [early, hard, mixed] {
        expectEqual(try convert(checkpoint, through: ONNXFormat.self, in: folder), checkpoint)
      }
    }
    let error = #expect(throws: InterchangeError.self) {
      try ONNXFormat.exportNotes(for: forgetful)
    }
    #expect(error?.found == "a forget bias of 1.0")
  }
}
