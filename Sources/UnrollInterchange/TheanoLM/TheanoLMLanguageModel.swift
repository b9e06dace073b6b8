// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Converts the layers of a TheanoLM model: transposes, gate blocks, and the sign of the update
// gate.

import UnrollFormat
import UnrollTensors

/// The layers of a file, their sizes, and their parameters in the order of a checkpoint.
///
/// TheanoLM has matrices `[in, out]` and one bias. The blocks of an LSTM are i, f, o, c. Those of a
/// GRU are r, u, c with `h = (1 - u) h + u c`, where a checkpoint has `(1 - z) n + z h`: z = 1 - u,
/// and since σ(-x) = 1 - σ(x), the weights of z are the negated weights of u. The reset gate is
/// applied after the product.
struct TheanoLMLanguageModel {
  private(set) var architecture: Architecture
  private(set) var parameters = ParameterTree<Tensor>()
  private(set) var notes: [Note] = []

  private let file: TheanoLMFile
  private let words: WordClasses
  /// The number of bytes of zeros that may be added: a multiple of the file's size.
  private var roomForZeros: Int

  /// Extracts a model from a file.
  ///
  /// - Parameters:
  ///   - file: The file.
  ///   - layers: The projection, the layers after it, the softmax.
  ///   - words: The classes of the words; a model of words has one for each.
  ///   - readsClasses: `true` if the projection has a row for each class, not for each word.
  /// - Throws: `InterchangeError` naming a parameter that is missing or of another shape.
  init(
    _ file: TheanoLMFile, _ layers: [TheanoLMLayer], _ words: WordClasses, readsClasses: Bool
  ) throws {
    self.file = file
    self.words = words
    let (V, C) = (words.classes.count, words.count)
    roomForZeros = 16 * min(file.container.byteCount, 1 << 40) + 32 << 20
    architecture = Architecture(
      vocabularySize: V, embeddingSize: 0, layers: [], isTied: false)
    try checkRoom(layers)
    for layer in layers {
      switch layer.kind {
      case .projection:
        let weight = try matrix(layer, "W", rows: readsClasses ? C : V, columns: layer.size)
        parameters[.embeddingWeight] = readsClasses ? try writtenOut(weight, layer) : weight
        architecture.embeddingSize = weight.shape.dimensions[1]
      case .recurrent(let cell): try add(layer, cell)
      case .fullyConnected(let activation): try add(layer, activation)
      case .softmax:
        let weight = try matrix(layer, "input/W", rows: architecture.topSize, columns: C)
        parameters[.outputWeight] = try writtenOut(weight.transposed(), layer)
        let bias = try tensor(layer, "input/b", [C])
        parameters[.outputBias] = words.areWords ? bias : words.bias(bias)
      }
    }
  }

  /// The most bytes of rows that are written out for the words of classes.
  private static let mostBytes = 4 << 30

  /// Returns a row for each word from one for each class.
  private func writtenOut(_ rows: Tensor, _ layer: TheanoLMLayer) throws -> Tensor {
    guard !words.areWords else { return rows }
    let size = words.classes.count * (rows.storage.count / max(1, words.count))
    guard size <= Self.mostBytes else {
      throw file.error(
        layer.name,
        expected: "rows of at most \(Self.mostBytes >> 30) GiB for \(words.classes.count) words",
        found: "\(size >> 30) GiB", fix: "the words of its classes are too many to write out")
    }
    return words.rows(rows)
  }

  /// Returns the parameters of a layer, relative to its name.
  static func parameters(of kind: TheanoLMLayer.Kind) -> [String] {
    switch kind {
    case .projection: ["W"]
    case .recurrent: ["layer_input/W", "step_input/W", "layer_input/b"]
    case .fullyConnected, .softmax: ["input/W", "input/b"]
    }
  }

  /// Bounds the memory of reordered copies: parameters may share bytes, copies do not.
  private func checkRoom(_ layers: [TheanoLMLayer]) throws {
    var size = 0
    for layer in layers {
      for parameter in Self.parameters(of: layer.kind) {
        size += file.container.tensor(layer.path(parameter))?.storage.count ?? 0
      }
    }
    guard size <= file.container.byteCount else {
      throw file.error(
        "/layers", expected: "parameters of their own bytes", found: "some that share them")
    }
  }

  /// Returns a floating-point parameter, none of whose dimensions is 0.
  private func tensor(_ layer: TheanoLMLayer, _ parameter: String) throws -> Tensor {
    let path = layer.path(parameter)
    guard let tensor = file.container.tensor(path), tensor.dtype.isFloat,
      !tensor.shape.dimensions.contains(0)
    else {
      throw file.error(
        path, expected: "floating-point numbers", found: file.container.description(of: path))
    }
    return tensor
  }

  private func tensor(
    _ layer: TheanoLMLayer, _ parameter: String, _ shape: Shape
  ) throws -> Tensor {
    let tensor = try tensor(layer, parameter)
    guard tensor.shape == shape else {
      throw file.error(
        layer.path(parameter), expected: "shape \(shape)", found: "\(tensor.shape)")
    }
    return tensor
  }

  /// Returns a matrix with a number of rows and, if given, of columns.
  private func matrix(
    _ layer: TheanoLMLayer, _ parameter: String, rows: Int, columns: Int?
  ) throws -> Tensor {
    let tensor = try tensor(layer, parameter)
    let dimensions = tensor.shape.dimensions
    guard dimensions.count == 2, dimensions[0] == rows, columns == nil || dimensions[1] == columns
    else {
      throw file.error(
        layer.path(parameter),
        expected: "shape [\(rows), \(columns.map { "\($0)" } ?? "any")]", found: "\(tensor.shape)")
    }
    return tensor
  }

  // MARK: - Layers

  private mutating func add(_ layer: TheanoLMLayer, _ cell: Cell) throws {
    let (D, G) = (architecture.topSize, cell.gateCount)
    let H = try tensor(layer, "step_input/W").shape.dimensions[0]
    guard layer.size == nil || layer.size == H else {
      throw file.error(
        layer.path("step_input/W"), expected: "\(layer.size ?? 0) rows, its size", found: "\(H)")
    }
    let (columns, isHuge) = G.multipliedReportingOverflow(by: H)
    guard !isHuge else {
      throw file.error(layer.path("step_input/W"), expected: "a matrix", found: "\(H) rows")
    }
    let index = architecture.layers.count
    for (path, tensor) in [
      (LayerParameter.weightIH, try matrix(layer, "layer_input/W", rows: D, columns: columns)),
      (.weightHH, try matrix(layer, "step_input/W", rows: H, columns: columns)),
    ] {
      parameters[.layer(index, path)] = tensor.transposed().gates(ofTheanoLM: cell)
    }
    parameters[.layer(index, .bias)] =
      try tensor(layer, "layer_input/b", [columns]).gates(ofTheanoLM: cell)
    var description = LayerArchitecture(cell: cell, inputSize: D, hiddenSize: H, bias: .single)
    description.reset = .after
    architecture.layers.append(description)
  }

  /// Adds a layer without state, as a vanilla RNN whose recurrent weights are 0.
  private mutating func add(_ layer: TheanoLMLayer, _ activation: Activation) throws {
    let D = architecture.topSize
    let weight = try matrix(layer, "input/W", rows: D, columns: layer.size)
    let H = weight.shape.dimensions[1]
    let zeros: Shape = [H, H]
    guard let size = zeros.byteCount(of: weight.dtype), size <= roomForZeros,
      let none = Tensor(
        shape: zeros, dtype: weight.dtype, storage: .owned([UInt8](repeating: 0, count: size)))
    else {
      throw file.error(
        layer.path("input/W"), expected: "a layer with as many columns as fit the file",
        found: "\(H)")
    }
    roomForZeros -= size
    let index = architecture.layers.count
    parameters[.layer(index, .weightIH)] = weight.transposed()
    parameters[.layer(index, .weightHH)] = none
    parameters[.layer(index, .bias)] = try tensor(layer, "input/b", [H])
    architecture.layers.append(
      LayerArchitecture(
        cell: .rnn, inputSize: D, hiddenSize: H, activation: activation, bias: .single))
    notes.append(
      Note(
        place: layer.name,
        message:
          "a layer without state becomes a vanilla RNN whose recurrent weights are 0: the same "
          + "function, but training moves them"))
  }
}

extension Tensor {
  /// Reorders the gate blocks of rows from TheanoLM's order to that of a checkpoint.
  fileprivate func gates(ofTheanoLM cell: Cell) -> Tensor {
    switch cell {
    case .lstm: gates(from: .torch7)
    case .gru: negatingBlock(1, of: 3)
    default: self
    }
  }

  /// Returns the tensor with the values of one block of rows negated.
  func negatingBlock(_ block: Int, of count: Int) -> Tensor {
    let size = storage.count / count
    var bytes = withUnsafeBytes { Array($0) }
    // The sign is the highest bit of the last byte.
    let last = block * size + dtype.size - 1
    for place in stride(from: last, to: (block + 1) * size, by: dtype.size) {
      bytes[place] ^= 0x80
    }
    return Tensor(shape: shape, dtype: dtype, storage: .owned(bytes)) ?? self
  }
}
