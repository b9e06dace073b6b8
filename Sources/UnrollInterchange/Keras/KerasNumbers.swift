// swift-format-ignore-file: AlwaysUseLowerCamelCase
// How the variables of Keras and our parameters become each other: transposes, and blocks of gates.

import UnrollFormat
import UnrollTensors

/// A variable of Keras, and the parameters that have its numbers.
struct KerasVariableForm {
  /// The parameter; of a GRU's bias `[2, 3H]` both.
  let parameters: [ParameterPath]
  /// The shape of the variable.
  let shape: Shape
  /// Whether it is a kernel `[in, out]`, which we have as `[out, in]`.
  let isTransposed: Bool
  /// Whether it has the gates of a GRU: Keras's order is z, r, h, ours r, z, n.
  let hasGRUGates: Bool

  /// Exchanges the first two of three blocks; its own inverse.
  private static let order = [1, 0, 2]

  /// The parameters with a variable's numbers.
  func parameters(of variable: Tensor) -> [(path: ParameterPath, tensor: Tensor)] {
    let tensor = isTransposed ? variable.transposed() : variable
    let parts =
      parameters.count == 1
      ? [tensor]
      : [0, 1].map { tensor.blocks([$0], of: 2).reshaped([shape.dimensions[1]]) }
    return zip(parameters, parts).map { path, part in
      (path, hasGRUGates ? part.blocks(Self.order, of: 3) : part)
    }
  }

  /// The variable with the parameters' numbers; `nil` where one is missing.
  func variable(of tree: ParameterTree<Tensor>) -> Tensor? {
    let tensors = parameters.compactMap { tree[$0] }.map {
      hasGRUGates ? $0.blocks(Self.order, of: 3) : $0
    }
    guard tensors.count == parameters.count else { return nil }
    guard tensors.count == 2 else { return isTransposed ? tensors[0].transposed() : tensors[0] }
    let bytes = tensors.flatMap { $0.withUnsafeBytes { Array($0) } }
    return Tensor(shape: shape, dtype: tensors[0].dtype, storage: .owned(bytes))
  }
}

extension Architecture {
  /// The variables of the model's layers in Keras, in its order: of the embedding if there is one, of each
  /// recurrent layer, of the output.
  ///
  /// Every variant must be one that Keras has. A tied output weight is the embedding itself, or, where a bias
  /// follows it, has a variable of its own with the embedding's numbers.
  var kerasLayers: [[KerasVariableForm]] {
    var layers: [[KerasVariableForm]] = []
    if input == .embedding {
      layers.append([form(.embeddingWeight, [vocabularySize, embeddingSize])])
    }
    for (index, layer) in self.layers.enumerated() {
      let H = layer.hiddenSize
      let isGRU = layer.cell == .gru
      let columns = layer.cell.gateCount * H
      func kernel(_ parameter: LayerParameter, _ rows: Int) -> KerasVariableForm {
        form(.layer(index, parameter), [rows, columns], isTransposed: true, hasGRUGates: isGRU)
      }
      var forms = [kernel(.weightIH, layer.inputSize), kernel(.weightHH, H)]
      switch layer.bias {
      case .none: break
      case .single: forms.append(form(.layer(index, .bias), [columns], hasGRUGates: isGRU))
      case .double:
        forms.append(
          KerasVariableForm(
            parameters: [.layer(index, .biasIH), .layer(index, .biasHH)], shape: [2, columns],
            isTransposed: false, hasGRUGates: isGRU))
      }
      layers.append(forms)
    }
    if hasOutputProjection {
      layers.append([form(.outputProjection, [topSize, embeddingSize], isTransposed: true)])
    }
    if isReversible { return layers }
    let weight = isTied ? ParameterPath.embeddingWeight : .outputWeight
    layers.append([form(weight, [outputInputSize, vocabularySize], isTransposed: true)])
    if hasOutputBias { layers[layers.count - 1].append(form(.outputBias, [vocabularySize])) }
    return layers
  }

  /// Whether the output is what Keras's `ReversibleEmbedding` gives in reverse: it has no bias.
  var isReversible: Bool { isTied && !hasOutputBias }

  private func form(
    _ path: ParameterPath, _ shape: Shape, isTransposed: Bool = false, hasGRUGates: Bool = false
  ) -> KerasVariableForm {
    KerasVariableForm(
      parameters: [path], shape: shape, isTransposed: isTransposed, hasGRUGates: hasGRUGates)
  }
}

// MARK: - Tensors

extension Tensor {
  /// Rows and columns of a matrix exchanged.
  func transposed() -> Tensor {
    let rows = shape.dimensions[0]
    let columns = shape.dimensions[1]
    let bytes =
      switch dtype.size {
      case 1: transposedBytes(UInt8.self, rows, columns)
      case 2: transposedBytes(UInt16.self, rows, columns)
      case 4: transposedBytes(UInt32.self, rows, columns)
      default: transposedBytes(UInt64.self, rows, columns)
      }
    return with(bytes, [columns, rows])
  }

  /// In squares that stay in a processor's cache.
  private func transposedBytes<Bits: FixedWidthInteger>(
    _ type: Bits.Type, _ rows: Int, _ columns: Int
  ) -> [UInt8] {
    let size = MemoryLayout<Bits>.size
    let side = 32
    return withUnsafeBytes { source in
      [UInt8](unsafeUninitializedCapacity: source.count) { buffer, count in
        let target = UnsafeMutableRawBufferPointer(buffer)
        for top in stride(from: 0, to: rows, by: side) {
          for left in stride(from: 0, to: columns, by: side) {
            for row in top..<min(top + side, rows) {
              for column in left..<min(left + side, columns) {
                let element = source.loadUnaligned(
                  fromByteOffset: (row * columns + column) * size, as: Bits.self)
                target.storeBytes(
                  of: element, toByteOffset: (column * rows + row) * size, as: Bits.self)
              }
            }
          }
        }
        count = source.count
      }
    }
  }

  /// The first dimension cut into blocks of one size, in another order; some may be left out.
  ///
  /// - Parameters:
  ///   - order: For each block of the result the one that it is.
  ///   - count: The number of blocks there are.
  /// - Returns: The blocks.
  func blocks(_ order: [Int], of count: Int) -> Tensor {
    let size = storage.count / count
    let bytes = withUnsafeBytes { source in
      order.flatMap { source[$0 * size..<($0 + 1) * size] }
    }
    let rows = shape.dimensions[0] / count * order.count
    return with(bytes, [rows] + shape.dimensions.dropFirst())
  }

  /// The same numbers in another shape, of as many elements.
  func reshaped(_ dimensions: [Int]) -> Tensor {
    Tensor(shape: Shape(dimensions), dtype: dtype, storage: storage) ?? self
  }

  private func with(_ bytes: [UInt8], _ dimensions: [Int]) -> Tensor {
    Tensor(shape: Shape(dimensions), dtype: dtype, storage: .owned(bytes)) ?? self
  }

  /// A kernel `[I, G*H]` in cuDNN's order as one of Keras: in each gate's block of columns the numbers,
  /// row by row, are those of the transpose, row by row; of the recurrent kernel the block is the
  /// transpose.
  ///
  /// - Parameters:
  ///   - G: The number of gates.
  ///   - isRecurrent: Whether it is the recurrent kernel.
  /// - Returns: The kernel.
  func fromCuDNN(gates G: Int, isRecurrent: Bool) -> Tensor {
    let I = shape.dimensions[0]
    let H = shape.dimensions[1] / G
    let rowSize = H * dtype.size
    // Blocks of columns one after the other, each row by row: [G, I, H].
    let bytes = withUnsafeBytes { source -> [UInt8] in
      var bytes: [UInt8] = []
      bytes.reserveCapacity(source.count)
      for gate in 0..<G {
        for row in 0..<I {
          let start = (row * G + gate) * rowSize
          bytes += source[start..<start + rowSize]
        }
      }
      return bytes
    }
    return with(bytes, isRecurrent ? [G * I, H] : [G * H, I]).transposed()
  }
}
