// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Converts between Keras variables and parameters: transposes, and blocks of gates.

import UnrollFormat
import UnrollTensors

/// A Keras variable and the parameters with its values.
struct KerasVariableForm {
  /// The parameter; two for the bias `[2, 3H]` of a GRU.
  let parameters: [ParameterPath]
  /// The shape of the variable.
  let shape: Shape
  /// `true` for a kernel `[in, out]`, which is `[out, in]` in a checkpoint.
  let isTransposed: Bool
  /// `true` if it has the gates of a GRU: Keras's order is z, r, h; a checkpoint's is r, z, n.
  let hasGRUGates: Bool

  /// The exchange of the first two of three blocks; its own inverse.
  private static let order = [1, 0, 2]

  /// Returns the parameters with a variable's values.
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

  /// Returns the variable with the parameters' values; `nil` if one is missing.
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
  /// The Keras variables of the model's layers, in Keras's order: of the embedding if there is one,
  /// of each recurrent layer, of the output.
  ///
  /// Every variant must be one that Keras supports. A tied output weight is the embedding itself;
  /// if it has a bias, it is a variable of its own with the embedding's values.
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

  /// `true` if the output is a Keras `ReversibleEmbedding` in reverse, which has no bias.
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
  /// Returns the transpose of a matrix.
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

  /// Transposes in squares that fit in the processor's cache.
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

  /// Returns blocks of the first dimension in another order; some may be left out.
  ///
  /// - Parameters:
  ///   - order: For each block of the result, the index of the source block.
  ///   - count: The number of source blocks.
  /// - Returns: The blocks.
  func blocks(_ order: [Int], of count: Int) -> Tensor {
    let size = storage.count / count
    let bytes = withUnsafeBytes { source in
      order.flatMap { source[$0 * size..<($0 + 1) * size] }
    }
    let rows = shape.dimensions[0] / count * order.count
    return with(bytes, [rows] + shape.dimensions.dropFirst())
  }

  /// Returns the same values in another shape of equal size.
  func reshaped(_ dimensions: [Int]) -> Tensor {
    Tensor(shape: Shape(dimensions), dtype: dtype, storage: storage) ?? self
  }

  private func with(_ bytes: [UInt8], _ dimensions: [Int]) -> Tensor {
    Tensor(shape: Shape(dimensions), dtype: dtype, storage: .owned(bytes)) ?? self
  }

  /// Converts a kernel `[I, G*H]` from cuDNN's order to Keras's.
  ///
  /// In each gate's block of columns the values, row by row, are those of the transpose, row by
  /// row; for the recurrent kernel the block is the transpose.
  ///
  /// - Parameters:
  ///   - G: The number of gates.
  ///   - isRecurrent: `true` for the recurrent kernel.
  /// - Returns: The kernel.
  func fromCuDNN(gates G: Int, isRecurrent: Bool) -> Tensor {
    let I = shape.dimensions[0]
    let H = shape.dimensions[1] / G
    let rowSize = H * dtype.size
    // The blocks of columns one after the other, each row by row: [G, I, H].
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
