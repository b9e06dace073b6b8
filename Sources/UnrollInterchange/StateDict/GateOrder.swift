// The order of gate blocks in the rows of recurrent parameters.

import UnrollFormat
import UnrollTensors

/// The order in which a file stacks the gate blocks of a recurrent layer.
///
/// Checkpoints use the order of PyTorch: i, f, g, o for an LSTM and r, z, n for a GRU. Other
/// programs stack the same blocks in other orders, which neither names nor shapes show.
public struct GateOrder: Sendable, Hashable {
  /// One letter for each block in the order of the file, from `ifgo` or `rzn`.
  public let letters: String

  /// The letters of a cell in the order of a checkpoint, and synonyms of some gates.
  private static let gates: [(cell: Cell, letters: String, synonyms: [Character: Character])] = [
    (.lstm, "ifgo", ["c": "g", "j": "g"]),
    (.gru, "rzn", ["u": "z", "h": "n"]),
  ]

  /// Parses an order such as `ifog`; `nil` unless the letters are those of one cell, each once.
  ///
  /// The candidate of an LSTM is `g`, `c` or `j`; in a GRU the update gate is `z` or `u` and the candidate
  /// `n` or `h`.
  public init?(_ text: String) {
    let found = Self.gates.lazy.compactMap { gate -> String? in
      let letters = String(text.lowercased().map { gate.synonyms[$0] ?? $0 })
      return letters.sorted() == gate.letters.sorted() ? letters : nil
    }.first
    guard let found else { return nil }
    letters = found
  }

  private init(letters: String) { self.letters = letters }

  /// The cell that has these gates.
  var cell: Cell { letters.count == 4 ? .lstm : .gru }

  /// The index in the file of each block of a checkpoint, in order.
  package var blocks: [Int] {
    let order = Array(letters)
    let own = Self.gates.first { $0.cell == cell }?.letters ?? letters
    return own.compactMap(order.firstIndex(of:))
  }

  /// The index in a checkpoint of each block of the file, in order.
  var blocksOfCheckpoint: [Int] {
    let blocks = blocks
    return blocks.indices.compactMap(blocks.firstIndex(of:))
  }

  /// Returns the order of a checkpoint for a cell with gates; `nil` for a vanilla RNN.
  package static func usual(_ cell: Cell) -> GateOrder? {
    gates.first { $0.cell == cell }.flatMap { GateOrder($0.letters) }
  }

  /// Returns every order of a cell's gates.
  package static func all(_ cell: Cell) -> [GateOrder] {
    guard let usual = usual(cell) else { return [] }
    var orders = [""]
    for _ in usual.letters {
      orders = orders.flatMap { order in
        usual.letters.filter { !order.contains($0) }.map { order + String($0) }
      }
    }
    return orders.compactMap(GateOrder.init)
  }
}

extension LayerParameter {
  /// `true` if the rows are stacked in gate blocks.
  var hasGates: Bool { self != .weightHR }
}

extension GateOrder {
  /// Order i, j, f, o of TensorFlow 1's LSTM cells, and of ml5.
  static let tensorFlow = GateOrder(letters: "igfo")
  /// Order i, f, o, g of the LSTMs of Torch7's char-rnn and torch-rnn, and of TheanoLM.
  static let torch7 = GateOrder(letters: "ifog")

  /// Returns the order of ONNX: i, o, f, c for an LSTM and z, r, h for a GRU.
  static func onnx(_ cell: Cell) -> GateOrder? {
    switch cell {
    case .lstm: GateOrder(letters: "iofg")
    case .gru: GateOrder(letters: "zrn")
    default: nil
    }
  }

  /// Returns the order of Keras: i, f, c, o for an LSTM and z, r, h for a GRU.
  static func keras(_ cell: Cell) -> GateOrder? {
    cell == .gru ? GateOrder(letters: "zrn") : usual(cell)
  }
}

extension Tensor {
  /// Returns the tensor with its gate blocks, which are in some order, in that of a checkpoint.
  ///
  /// - Parameter order: The order; `nil` for a tensor without gate blocks.
  /// - Returns: A tensor of the same shape and type.
  func gates(from order: GateOrder?) -> Tensor {
    guard let order, order != GateOrder.usual(order.cell) else { return self }
    return reordered(blocks: order.blocks)
  }

  /// Returns the tensor with its gate blocks, which are in the order of a checkpoint, in another.
  ///
  /// - Parameter order: The order; `nil` for a tensor without gate blocks.
  /// - Returns: A tensor of the same shape and type.
  func gates(to order: GateOrder?) -> Tensor {
    guard let order, order != GateOrder.usual(order.cell) else { return self }
    return reordered(blocks: order.blocksOfCheckpoint)
  }
}
