// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The kinds of recurrent cells and what the format has to know of each, one row each.

import UnrollTensors

/// The kind of a recurrent cell.
public enum Cell: String, Sendable, Hashable, CaseIterable {
  /// Long short-term memory (Hochreiter and Schmidhuber 1997).
  case lstm
  /// Gated recurrent unit (Cho et al. 2014).
  case gru
  /// The vanilla (Elman) RNN, `h' = activation(W_ih x + b_ih + W_hh h + b_hh)`.
  case rnn
  /// The minimal gated recurrent unit (Feng et al. 2024): `h' = (1 - z) h + z n` with gates of the input alone.
  case minGRU = "mingru"
  /// The quasi-recurrent network (Bradbury et al. 2016): gates of the input alone, of this step or this and the last.
  case qrnn

  /// The facts of the cell.
  public var facts: CellFacts {
    switch self {
    case .lstm:
      CellFacts(
        gates: ["i", "f", "g", "o"], states: [.h, .c], hasGateActivation: true,
        mayHaveProjection: true)
    case .gru: CellFacts(gates: ["r", "z", "n"], hasGateActivation: true, hasReset: true)
    case .rnn: CellFacts(gates: ["h"], activations: [.tanh, .relu])
    case .minGRU:
      CellFacts(
        gates: ["z", "n"], hasRecurrentWeight: false, activations: [.identity], feature: "mingru")
    case .qrnn:
      CellFacts(
        gates: ["z", "f", "o"], states: [.h, .c], hasRecurrentWeight: false, hasInputWindow: true,
        feature: "qrnn")
    }
  }

  /// The number of gate blocks, G, in the rows of `weight_ih`, and of `weight_hh` if the cell has one.
  public var gateCount: Int { facts.gates.count }

  /// The cells of PyTorch, Keras and ONNX.
  public static let usual: [Cell] = [.lstm, .gru, .rnn]
}

/// A state that a layer carries from one step to the next, by its name on disk.
public enum LayerStateName: String, Sendable, Hashable, CaseIterable {
  /// The hidden state, `[B, H]`, after a projection `[B, P]`.
  case h
  /// The cell state, `[B, H]`.
  case c
  /// The input of the step before, `[B, D]`, of a layer whose window is 2.
  case x
}

/// The facts of a kind of cell.
public struct CellFacts: Sendable {
  /// The names of the gate blocks, in the order of the rows of the weights.
  public let gates: [String]
  /// The states of a layer with a window of 1.
  public var states: [LayerStateName] = [.h]
  /// `true` if the hidden state is multiplied by `weight_hh`.
  public var hasRecurrentWeight = true
  /// The functions of the candidate state that the cell may have.
  public var activations: [Activation] = [.tanh]
  /// `true` if the function of the gates is declared.
  public var hasGateActivation = false
  /// `true` if the operand of the reset gate is declared.
  public var hasReset = false
  /// `true` if the layer may have a projection, and a constant that is added to its forget gate.
  public var mayHaveProjection = false
  /// `true` if the layer declares a window.
  public var hasInputWindow = false
  /// The required feature of a file with such a layer; `nil` for cells of every version of the format.
  public var feature: String?

  /// The biases that a layer may have.
  public var biases: [LayerBias] {
    hasRecurrentWeight ? LayerBias.allCases : [.single, .none]
  }
}

extension LayerArchitecture {
  /// The states that the layer carries, and the width of each.
  public var states: [(name: LayerStateName, width: Int)] {
    (cell.facts.states + (inputWindow > 1 ? [.x] : [])).map { name in
      switch name {
      case .h: (name, outputSize)
      case .c: (name, hiddenSize)
      case .x: (name, inputSize)
      }
    }
  }

  /// Returns `true` if the layer carries a state.
  public func carries(_ name: LayerStateName) -> Bool { states.contains { $0.name == name } }

  /// The parameters of the layer and their shapes, in PyTorch's order.
  public var parameters: [(parameter: LayerParameter, shape: Shape)] {
    let rows = cell.gateCount * hiddenSize
    var list: [(LayerParameter, Shape)] = [(.weightIH, [rows, inputWindow * inputSize])]
    if cell.facts.hasRecurrentWeight { list.append((.weightHH, [rows, outputSize])) }
    switch bias {
    case .double: list += [(.biasIH, [rows]), (.biasHH, [rows])]
    case .single: list.append((.bias, [rows]))
    case .none: break
    }
    if let P = projectionSize { list.append((.weightHR, [P, hiddenSize])) }
    return list
  }
}

extension Architecture {
  /// The features that a reader of the model must know, by name.
  public var requiredFeatures: [String] {
    let cells = Set(layers.compactMap(\.cell.facts.feature))
    return cells.union(tails.isEmpty ? [] : [outputKind.rawValue]).sorted()
  }
}
