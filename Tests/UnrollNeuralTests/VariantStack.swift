// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Small models of the variants of cells, inputs and outputs, each alone and all in one.

import UnrollFormat

/// A model of two or more layers that has a variant.
enum VariantStack: CaseIterable {
  case hardLSTM, hardGRU, resetBefore, resetBeforeDoubleBias, hardResetBefore
  case projection, projectionTied, hardProjection, outputProjection, outputProjectionTied
  case oneHot, forgetBias, mixed
  case minGRU, qrnn, qrnnWindow, qrnnOneHot, qrnnAmongOthers

  var architecture: Architecture {
    let hard = GateActivation.hardSigmoid(alpha: 0.2, beta: 0.5)
    switch self {
    case .hardLSTM: return twoLayers(.lstm) { $0.gateActivation = hard }
    case .hardGRU:
      // Most gates are cut off.
      return twoLayers(.gru) { $0.gateActivation = .hardSigmoid(alpha: -0.7, beta: 0.4) }
    case .resetBefore:
      return twoLayers(.gru) { ($0.reset, $0.bias) = (.before, .single) }
    case .resetBeforeDoubleBias: return twoLayers(.gru) { $0.reset = .before }
    case .hardResetBefore:
      return twoLayers(.gru) { ($0.reset, $0.gateActivation, $0.bias) = (.before, hard, .none) }
    case .projection: return twoLayers(.lstm) { $0.projectionSize = 3 }
    case .projectionTied:
      var architecture = twoLayers(.lstm) { $0.projectionSize = 4 }
      architecture.isTied = true
      return architecture
    case .hardProjection:
      return twoLayers(.lstm) { ($0.projectionSize, $0.gateActivation) = (2, hard) }
    case .outputProjection, .outputProjectionTied:
      var architecture = twoLayers(.rnn) { _ in }
      architecture.hasOutputProjection = true
      architecture.isTied = self == .outputProjectionTied
      return architecture
    case .oneHot:
      var architecture = twoLayers(.gru) { _ in }
      architecture.input = .oneHot
      architecture.embeddingSize = 7
      architecture.layers[0].inputSize = 7
      return architecture
    case .forgetBias: return twoLayers(.lstm) { ($0.forgetBias, $0.bias) = (1, .single) }
    case .mixed: return Self.all(V: 7, D: 4, [5, 3, 4, 6])
    case .minGRU: return twoLayers(.minGRU) { ($0.activation, $0.bias) = (.identity, .single) }
    case .qrnn: return twoLayers(.qrnn) { $0.bias = .single }
    case .qrnnWindow: return twoLayers(.qrnn) { ($0.inputWindow, $0.bias) = (2, .none) }
    case .qrnnOneHot:
      var architecture = Self.oneHot.architecture
      architecture.layers[0] = Self.qrnn(inputSize: 7, hiddenSize: 5)
      return architecture
    case .qrnnAmongOthers: return Self.ofInputs(V: 7, D: 4, [5, 3, 6])
    }
  }

  private static func qrnn(inputSize D: Int, hiddenSize H: Int) -> LayerArchitecture {
    var layer = LayerArchitecture(cell: .qrnn, inputSize: D, hiddenSize: H, bias: .single)
    layer.inputWindow = 2
    return layer
  }

  /// A model with an LSTM below layers whose gates see their inputs alone.
  ///
  /// - Parameters:
  ///   - V: The size of the vocabulary.
  ///   - D: The size of the embedding.
  ///   - H: The hidden sizes of the LSTM, a QRNN and a minGRU.
  /// - Returns: The architecture.
  static func ofInputs(V: Int, D: Int, _ H: [Int]) -> Architecture {
    let layers = [
      LayerArchitecture(cell: .lstm, inputSize: D, hiddenSize: H[0]),
      qrnn(inputSize: H[0], hiddenSize: H[1]),
      LayerArchitecture(
        cell: .minGRU, inputSize: H[1], hiddenSize: H[2], activation: .identity, bias: .none),
    ]
    return Architecture(vocabularySize: V, embeddingSize: D, layers: layers, isTied: false)
  }

  private func twoLayers(
    _ cell: Cell, _ change: (inout LayerArchitecture) -> Void
  ) -> Architecture {
    var layers: [LayerArchitecture] = []
    for H in [5, 6] {
      var layer = LayerArchitecture(
        cell: cell, inputSize: layers.last?.outputSize ?? 4, hiddenSize: H)
      change(&layer)
      layers.append(layer)
    }
    return Architecture(vocabularySize: 7, embeddingSize: 4, layers: layers, isTied: false)
  }

  /// A tied model with a projection before its output, above layers of all variants.
  ///
  /// - Parameters:
  ///   - V: The size of the vocabulary.
  ///   - D: The size of the embedding.
  ///   - H: The hidden size and projection of an LSTM, and the hidden sizes of two GRUs; plain layers
  ///     between them have the last one.
  /// - Returns: The architecture.
  static func all(V: Int, D: Int, _ H: [Int]) -> Architecture {
    var lstm = LayerArchitecture(cell: .lstm, inputSize: D, hiddenSize: H[0], bias: .single)
    lstm.gateActivation = .hardSigmoid(alpha: 1.0 / 6, beta: 0.5)
    (lstm.projectionSize, lstm.forgetBias) = (H[1], 1)
    var before = LayerArchitecture(cell: .gru, inputSize: H[1], hiddenSize: H[2])
    before.reset = .before
    let plain = LayerArchitecture(cell: .rnn, inputSize: H[2], hiddenSize: H[3], bias: .none)
    var after = LayerArchitecture(cell: .gru, inputSize: H[3], hiddenSize: H[2])
    after.gateActivation = .hardSigmoid(alpha: 0.2, beta: 0.5)
    var architecture = Architecture(
      vocabularySize: V, embeddingSize: D, layers: [lstm, before, plain, after], isTied: true)
    architecture.hasOutputProjection = true
    return architecture
  }
}
