// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The architecture of a recurrent language model: sizes, cells and declared variants, no numbers.

import UnrollTensors

/// The function that a cell applies to its candidate state (the new state, for a vanilla RNN).
public enum Activation: String, Sendable, Hashable, CaseIterable {
  /// The hyperbolic tangent.
  case tanh
  /// `max(x, 0)`; vanilla RNNs only.
  case relu
  /// The candidate as it is; minGRUs only.
  case identity

  /// Creates the activation of a vanilla RNN from its name; `nil` for others.
  public init?(ofRNN name: String) {
    guard let known = Activation(rawValue: name), Cell.rnn.facts.activations.contains(known) else {
      return nil
    }
    self = known
  }
}

/// The representation of a token before the first recurrent layer.
public enum ModelInput: String, Sendable, Hashable, CaseIterable {
  /// Its row of the embedding.
  case embedding
  /// A vector of zeros with a one at its id; there is no embedding.
  case oneHot = "one_hot"
}

/// The operand to which a gated recurrent unit applies its reset gate.
public enum GRUReset: String, Sendable, Hashable, CaseIterable {
  /// The product with the hidden state, as in PyTorch and cuDNN: `r * (W_hn h + b_hn)`.
  case after
  /// The hidden state, as in the first paper: `W_hn (r * h) + b_hn`.
  case before
}

/// The function that the gates of a cell go through.
public enum GateActivation: Sendable, Hashable {
  /// The logistic function.
  case sigmoid
  /// `alpha * x + beta`, cut off at 0 and 1.
  case hardSigmoid(alpha: Double, beta: Double)

  /// The names on disk.
  static let names = ["sigmoid", "hard_sigmoid"]

  /// The name on disk.
  public var name: String {
    switch self {
    case .sigmoid: "sigmoid"
    case .hardSigmoid: "hard_sigmoid"
    }
  }
}

extension GateActivation {
  /// The function in words, with its numbers.
  package var text: String {
    switch self {
    case .sigmoid: name
    case .hardSigmoid(let alpha, let beta): "\(name)(\(alpha), \(beta))"
    }
  }
}

/// The bias vectors of a layer.
public enum LayerBias: String, Sendable, Hashable, CaseIterable {
  /// `bias_ih` and `bias_hh`, as PyTorch and cuDNN have them.
  case double
  /// One, `bias`, which is added to the product with the input.
  case single
  /// No bias.
  case none
}

/// One recurrent layer.
public struct LayerArchitecture: Sendable, Hashable {
  /// The kind of the cell.
  public var cell: Cell
  /// The width of the layer's input, D.
  public var inputSize: Int
  /// The number of units, H: the width of the state before a projection.
  public var hiddenSize: Int
  /// The activation of the candidate state.
  public var activation: Activation
  /// The biases.
  public var bias: LayerBias
  /// The function of the gates, of LSTMs and GRUs; other gates are logistic.
  public var gateActivation = GateActivation.sigmoid
  /// The operand of the reset gate; GRUs only.
  public var reset = GRUReset.after
  /// A constant that is added to the forget gate's pre-activation at run time, as in TensorFlow 1; LSTMs only.
  public var forgetBias = 0.0
  /// The number of inputs that the gates see, this step's and, if 2, that of the step before; QRNNs only.
  public var inputWindow = 1
  /// The width P of the hidden state after `weight_hr`, or `nil` without projection; LSTMs only.
  public var projectionSize: Int?

  /// The width of the layer's hidden state, and of the input of the layer above: P, or else H.
  public var outputSize: Int { projectionSize ?? hiddenSize }

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
  /// The representation of a token before the first layer.
  public var input = ModelInput.embedding
  /// The number of rows of the embedding and of the output layer, V.
  public var vocabularySize: Int
  /// The width of the first layer's input, D; of one-hot input, V.
  public var embeddingSize: Int
  /// The recurrent layers, the first one next to the embedding.
  public var layers: [LayerArchitecture]
  /// `true` if the output layer shares the embedding's weight.
  public var isTied: Bool
  /// `true` if the output layer has a bias.
  public var hasOutputBias: Bool
  /// `true` if the hidden state goes through a matrix `[D, H]` before the output weight.
  public var hasOutputProjection = false
  /// The tails of an adaptive softmax, those of the most frequent tokens first; empty for one softmax over all tokens.
  public var tails: [OutputTail] = []

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
    var list: [(ParameterPath, Shape)] = []
    if input == .embedding { list.append((.embeddingWeight, [vocabularySize, embeddingSize])) }
    for (index, layer) in layers.enumerated() {
      list += layer.parameters.map { (.layer(index, $0.parameter), $0.shape) }
    }
    if hasOutputProjection { list.append((.outputProjection, [embeddingSize, topSize])) }
    if !isTied { list.append((.outputWeight, [outputRows, outputInputSize])) }
    if hasOutputBias { list.append((.outputBias, [outputRows])) }
    return list + tailParameters
  }

  /// The width of the top layer's hidden state.
  public var topSize: Int { layers.last?.outputSize ?? embeddingSize }

  /// The width of the output weight's input.
  public var outputInputSize: Int { hasOutputProjection ? embeddingSize : topSize }

  /// The variants that PyTorch's recurrent modules do not compute, in words.
  package var rareVariants: [String] {
    (hasOutputProjection ? ["a projection before the output weight"] : [])
      + layers.enumerated().flatMap { index, layer in
        layer.rareVariants.map { "layer \(index) with \($0)" }
      }
  }
}

extension LayerArchitecture {
  fileprivate var rareVariants: [String] {
    var variants: [String] = []
    if bias == .single { variants.append("a single bias") }
    if forgetBias != 0 { variants.append("a forget bias of \(forgetBias)") }
    if gateActivation != .sigmoid { variants.append("the gate activation \(gateActivation.name)") }
    if !cell.facts.hasRecurrentWeight { variants.append("the cell \(cell.rawValue)") }
    if cell == .gru, reset == .before { variants.append("the reset gate before the product") }
    return variants
  }
}
