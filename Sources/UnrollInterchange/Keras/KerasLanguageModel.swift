// swift-format-ignore-file: AlwaysUseLowerCamelCase
// A language model among the layers of a file of Keras.

import UnrollFormat
import UnrollTensors

/// The layers of a file, their sizes, and their numbers in our order.
struct KerasLanguageModel {
  private(set) var architecture: Architecture
  private(set) var parameters = ParameterTree<Tensor>()
  private(set) var notes: [Note]

  private let file: KerasFile

  /// Takes a model out of a file.
  ///
  /// - Parameters:
  ///   - file: The file.
  ///   - nonlinearity: The activation of plain cells, for files of weights alone.
  /// - Throws: `InterchangeError` naming the layer or variable that is of no such model.
  init(_ file: KerasFile, nonlinearity: Activation?) throws {
    self.file = file
    let variables = try KerasVariables(file)
    let parts: [KerasPart]
    if let configuration = file.configuration {
      let layers = try KerasConfiguration(configuration, of: file)
      parts = try layers.layers.map(variables.part)
      notes = layers.notes
    } else {
      (parts, notes) = try variables.parts(nonlinearity)
    }
    architecture = Architecture(vocabularySize: 0, embeddingSize: 0, layers: [], isTied: false)
    architecture.input = .oneHot
    architecture.hasOutputBias = false
    try checkOrder(parts)
    try checkRoom(parts)
    for part in parts {
      switch part.computes {
      case .embedding: try addEmbedding(part)
      case .recurrent(let cell): try addLayer(part, cell)
      case .dense: try addOutput(part)
      }
    }
  }

  private func error(
    _ place: String, _ expected: String, _ found: String
  ) -> InterchangeError {
    file.error(place, expected: expected, found: found)
  }

  private func checkOrder(_ parts: [KerasPart]) throws {
    let ranks = parts.map { part in
      switch part.computes {
      case .embedding: 0
      case .recurrent: 1
      case .dense: 2
      }
    }
    guard ranks == ranks.sorted(), ranks.contains(1), ranks.filter({ $0 == 0 }).count <= 1,
      ranks.filter({ $0 == 2 }).count == 1
    else {
      throw file.error(
        "", expected: "an embedding or none, recurrent layers, one Dense layer",
        found: list(parts.map(\.name)), fix: "only such language models are converted")
    }
  }

  /// Variables may share their bytes; what is brought in our order is copied.
  private func checkRoom(_ parts: [KerasPart]) throws {
    var size = 0
    for variable in parts.flatMap(\.variables) { size += variable.tensor.storage.count }
    guard size <= file.container.image.count else {
      throw error("/", "variables of their own bytes", "some that share them")
    }
  }

  /// Checks the type and the shape of a variable.
  private func tensor(_ variable: KerasVariable, _ shape: [Int]) throws -> Tensor {
    let tensor = variable.tensor
    guard tensor.dtype.isFloat else {
      throw file.error(
        variable.place, expected: "weights of f32, f16, bf16 or f64", found: tensor.dtype.rawValue,
        fix: "quantised models cannot be converted: save the model before it was quantised")
    }
    guard tensor.shape == Shape(shape) else {
      throw error(variable.place, "shape \(Shape(shape))", "\(tensor.shape)")
    }
    return tensor
  }

  /// The sizes of a matrix, none of them 0.
  private func matrix(_ variable: KerasVariable?, of part: KerasPart) throws -> (Int, Int) {
    guard let variable else { throw error(part.name, "a matrix", "none") }
    let dimensions = variable.tensor.shape.dimensions
    guard dimensions.count == 2, dimensions.allSatisfy({ (1...Int(Int32.max)).contains($0) }) else {
      throw error(variable.place, "a matrix", "shape \(variable.tensor.shape)")
    }
    return (dimensions[0], dimensions[1])
  }

  private func checkCount(_ part: KerasPart, _ counts: ClosedRange<Int>) throws {
    guard counts.contains(part.variables.count) else {
      throw error(
        part.name, "\(counts.upperBound) variables, or \(counts.lowerBound) without bias",
        "\(part.variables.count)")
    }
  }

  // MARK: - Layers

  private mutating func addEmbedding(_ part: KerasPart) throws {
    try checkCount(part, 1...1)
    let (V, D) = try matrix(part.variables.first, of: part)
    architecture.input = .embedding
    (architecture.vocabularySize, architecture.embeddingSize) = (V, D)
    parameters[.embeddingWeight] = try tensor(part.variables[0], [V, D])
  }

  private mutating func addLayer(_ part: KerasPart, _ cell: KerasCell) throws {
    try checkCount(part, 2...3)
    let index = architecture.layers.count
    let G = cell.cell.gateCount
    let (D, columns) = try matrix(part.variables[0], of: part)
    let (H, _) = try matrix(part.variables[1], of: part)
    guard columns.isMultiple(of: G), columns / G == H else {
      throw error(part.variables[0].place, "\(G) gates of \(H) columns", "\(columns) columns")
    }
    if index == 0, architecture.input == .oneHot { architecture.embeddingSize = D }
    let width = architecture.layers.last?.hiddenSize ?? architecture.embeddingSize
    let kernel = try tensor(part.variables[0], [width, G * H])
    let recurrent = try tensor(part.variables[1], [H, G * H])
    var layer = LayerArchitecture(
      cell: cell.cell, inputSize: D, hiddenSize: H, activation: cell.activation, bias: .none)
    layer.gateActivation = cell.gates
    layer.reset = cell.reset ?? .after
    let order = cell.cell == .gru ? kerasGRUOrder : Array(0..<G)
    func gates(_ tensor: Tensor) -> Tensor {
      cell.cell == .gru ? tensor.blocks(order, of: G) : tensor
    }
    if cell.isCuDNN {
      parameters[.layer(index, .weightIH)] = gates(kernel.fromCuDNN(gates: G, isInput: true))
      parameters[.layer(index, .weightHH)] = gates(recurrent.fromCuDNN(gates: G, isInput: false))
    } else {
      parameters[.layer(index, .weightIH)] = gates(kernel.transposed())
      parameters[.layer(index, .weightHH)] = gates(recurrent.transposed())
    }
    if part.variables.count == 3 {
      if cell.isCuDNN || (cell.cell == .gru && layer.reset == .after) {
        layer.bias = .double
        let bias = try tensor(
          part.variables[2], cell.isCuDNN ? [2 * G * H] : [2, G * H]
        ).reshaped([2 * G * H])
        parameters[.layer(index, .biasIH)] = bias.blocks(order, of: 2 * G)
        parameters[.layer(index, .biasHH)] = bias.blocks(order.map { $0 + G }, of: 2 * G)
      } else {
        layer.bias = .single
        parameters[.layer(index, .bias)] = gates(try tensor(part.variables[2], [G * H]))
      }
    }
    architecture.layers.append(layer)
  }

  private mutating func addOutput(_ part: KerasPart) throws {
    try checkCount(part, 1...2)
    let (_, V) = try matrix(part.variables[0], of: part)
    parameters[.outputWeight] = try tensor(part.variables[0], [architecture.topSize, V])
      .transposed()
    let tokens =
      architecture.input == .embedding ? architecture.vocabularySize : architecture.embeddingSize
    guard tokens == V else {
      throw error(part.variables[0].place, "\(tokens) columns, one for each token", "\(V)")
    }
    architecture.vocabularySize = V
    if part.variables.count == 2 {
      architecture.hasOutputBias = true
      parameters[.outputBias] = try tensor(part.variables[1], [V])
    }
  }
}

extension Tensor {
  /// A kernel `[I, G*H]` in cuDNN's order as a weight `[G*H, I]`: in each gate's block the numbers are
  /// those of the block transposed, one after the other.
  ///
  /// - Parameters:
  ///   - gates: The number of gates, G.
  ///   - isInput: Whether it multiplies the input; the recurrent one is not transposed to begin with.
  fileprivate func fromCuDNN(gates G: Int, isInput: Bool) -> Tensor {
    let (I, columns) = (shape.dimensions[0], shape.dimensions[1])
    let H = columns / G
    // Blocks of columns one after the other, each row by row: [G, I, H].
    let rowSize = H * dtype.size
    let bytes = withUnsafeBytes { source -> [UInt8] in
      var bytes: [UInt8] = []
      for gate in 0..<G {
        for row in 0..<I {
          let start = (row * G + gate) * rowSize
          bytes += source[start..<start + rowSize]
        }
      }
      return bytes
    }
    let dimensions = isInput ? [G * H, I] : [G * I, H]
    return Tensor(shape: Shape(dimensions), dtype: dtype, storage: .owned(bytes)) ?? self
  }
}
