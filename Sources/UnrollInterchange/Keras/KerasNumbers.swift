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
  /// The order of its gates; `nil` if it has none.
  let gates: GateOrder?

  /// Returns the parameters with a variable's values.
  func parameters(of variable: Tensor) -> [(path: ParameterPath, tensor: Tensor)] {
    let tensor = isTransposed ? variable.transposed() : variable
    let parts =
      parameters.count == 1
      ? [tensor]
      : [0, 1].map { tensor.reordered(blocks: [$0], of: 2).reshaped([shape.dimensions[1]]) }
    return zip(parameters, parts).map { path, part in (path, part.gates(from: gates)) }
  }

  /// Returns the variable with the parameters' values; `nil` if one is missing.
  func variable(of tree: ParameterTree<Tensor>) -> Tensor? {
    let tensors = parameters.compactMap { tree[$0]?.gates(to: gates) }
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
      let gates = GateOrder.keras(layer.cell)
      let columns = layer.cell.gateCount * H
      func kernel(_ parameter: LayerParameter, _ rows: Int) -> KerasVariableForm {
        form(.layer(index, parameter), [rows, columns], isTransposed: true, gates: gates)
      }
      var forms = [kernel(.weightIH, layer.inputSize), kernel(.weightHH, H)]
      switch layer.bias {
      case .none: break
      case .single: forms.append(form(.layer(index, .bias), [columns], gates: gates))
      case .double:
        forms.append(
          KerasVariableForm(
            parameters: [.layer(index, .biasIH), .layer(index, .biasHH)], shape: [2, columns],
            isTransposed: false, gates: gates))
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
    _ path: ParameterPath, _ shape: Shape, isTransposed: Bool = false, gates: GateOrder? = nil
  ) -> KerasVariableForm {
    KerasVariableForm(
      parameters: [path], shape: shape, isTransposed: isTransposed, gates: gates)
  }
}

// MARK: - cuDNN

extension Tensor {
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
    let blocks = Tensor(
      shape: Shape(isRecurrent ? [G * I, H] : [G * H, I]), dtype: dtype, storage: .owned(bytes))
    return (blocks ?? self).transposed()
  }
}
