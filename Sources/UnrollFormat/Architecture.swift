// swift-format-ignore-file: AlwaysUseLowerCamelCase
// What a recurrent language model is made of: sizes, cells and declared variants, no numbers.

import UnrollTensors

/// The kind of a recurrent cell.
public enum Cell: String, Sendable, Hashable, CaseIterable {
  /// Long short-term memory; gates in the order i, f, g, o.
  case lstm
  /// Gated recurrent unit; gates in the order r, z, n.
  case gru
  /// The plain recurrent cell, `h' = activation(W_ih x + b_ih + W_hh h + b_hh)`.
  case rnn

  /// The number of gate blocks, G, in the rows of `weight_ih` and `weight_hh`.
  public var gateCount: Int {
    switch self {
    case .lstm: 4
    case .gru: 3
    case .rnn: 1
    }
  }
}

/// The function that a cell applies to its candidate state (the new state, for the plain cell).
public enum Activation: String, Sendable, Hashable, CaseIterable {
  /// The hyperbolic tangent.
  case tanh
  /// `max(x, 0)`; plain cells only.
  case relu
}

/// How many bias vectors a layer has.
public enum LayerBias: String, Sendable, Hashable, CaseIterable {
  /// `bias_ih` and `bias_hh`, as PyTorch and cuDNN have them.
  case double
  /// No bias.
  case none
}

/// One recurrent layer.
public struct LayerArchitecture: Sendable, Hashable {
  /// The kind of the cell.
  public var cell: Cell
  /// The width of the layer's input, D.
  public var inputSize: Int
  /// The width of the hidden state, H.
  public var hiddenSize: Int
  /// The activation of the candidate state.
  public var activation: Activation
  /// The biases.
  public var bias: LayerBias

  /// Creates the description of a layer.
  public init(
    cell: Cell, inputSize: Int, hiddenSize: Int, activation: Activation = .tanh,
    bias: LayerBias = .double
  ) {
    self.cell = cell
    self.inputSize = inputSize
    self.hiddenSize = hiddenSize
    self.activation = activation
    self.bias = bias
  }
}

/// A recurrent language model: an embedding, a stack of recurrent layers, a softmax over the
/// vocabulary.
public struct Architecture: Sendable, Hashable {
  /// The number of rows of the embedding and of the output layer, V.
  public var vocabularySize: Int
  /// The width of the embedding, D.
  public var embeddingSize: Int
  /// The recurrent layers, the first one next to the embedding.
  public var layers: [LayerArchitecture]
  /// Whether the output layer's weight is the embedding's.
  public var isTied: Bool
  /// Whether the output layer has a bias.
  public var hasOutputBias: Bool

  /// Creates the description of a model.
  public init(
    vocabularySize: Int, embeddingSize: Int, layers: [LayerArchitecture], isTied: Bool,
    hasOutputBias: Bool = true
  ) {
    self.vocabularySize = vocabularySize
    self.embeddingSize = embeddingSize
    self.layers = layers
    self.isTied = isTied
    self.hasOutputBias = hasOutputBias
  }

  /// The parameters that the model owns and their shapes, in PyTorch's order; a tied output weight
  /// is not among them, since the embedding owns it.
  public var parameters: [(path: ParameterPath, shape: Shape)] {
    var list: [(ParameterPath, Shape)] = [(.embeddingWeight, [vocabularySize, embeddingSize])]
    for (index, layer) in layers.enumerated() {
      let rows = layer.cell.gateCount * layer.hiddenSize
      list.append((.layer(index, .weightIH), [rows, layer.inputSize]))
      list.append((.layer(index, .weightHH), [rows, layer.hiddenSize]))
      if layer.bias == .double {
        list.append((.layer(index, .biasIH), [rows]))
        list.append((.layer(index, .biasHH), [rows]))
      }
    }
    let outputSize = layers.last?.hiddenSize ?? embeddingSize
    if !isTied { list.append((.outputWeight, [vocabularySize, outputSize])) }
    if hasOutputBias { list.append((.outputBias, [vocabularySize])) }
    return list
  }
}
