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

extension Tensor {
  /// Returns the tensor with its equal blocks of rows in another order.
  ///
  /// - Parameter blocks: For each block of the result, the index of the source block; the number of
  ///   rows is a multiple of their count.
  /// - Returns: A tensor of the same shape and type.
  package func reordered(blocks: [Int]) -> Tensor {
    let size = storage.count / max(1, blocks.count)
    let bytes = withUnsafeBytes { bytes in
      blocks.flatMap { bytes[$0 * size..<($0 + 1) * size] }
    }
    return Tensor(shape: shape, dtype: dtype, storage: .owned(bytes)) ?? self
  }
}
