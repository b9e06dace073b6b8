// The order of gate blocks in the rows of recurrent parameters.

import UnrollFormat
import UnrollTensors

/// The order in which a recurrent layer of a file stacks the blocks of its gates.
///
/// A checkpoint has the order of PyTorch: i, f, g, o in an LSTM and r, z, n in a GRU. Other programs stack
/// the same blocks in another order, which neither names nor shapes show.
public struct GateOrder: Sendable, Hashable {
  /// One letter for each block, in the order of the file: of `ifgo` or of `rzn`.
  public let letters: String

  /// The letters of a cell in the order of a checkpoint, and further names of some gates.
  private static let gates: [(cell: Cell, letters: String, synonyms: [Character: Character])] = [
    (.lstm, "ifgo", ["c": "g", "j": "g"]),
    (.gru, "rzn", ["u": "z", "h": "n"]),
  ]

  /// Reads an order such as `ifog`; `nil` if the letters are not those of one cell, each once.
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

  /// The cell whose gates these are.
  var cell: Cell { letters.count == 4 ? .lstm : .gru }

  /// For each block of a checkpoint, in order, the index of the block in the file.
  package var blocks: [Int] {
    let order = Array(letters)
    let own = Self.gates.first { $0.cell == cell }?.letters ?? letters
    return own.compactMap(order.firstIndex(of:))
  }

  /// For each block of the file, in order, the index of the block in a checkpoint.
  var blocksOfCheckpoint: [Int] {
    let blocks = blocks
    return blocks.indices.compactMap(blocks.firstIndex(of:))
  }

  /// The order of a checkpoint for a cell with gates; `nil` for a vanilla RNN.
  package static func usual(_ cell: Cell) -> GateOrder? {
    gates.first { $0.cell == cell }.flatMap { GateOrder($0.letters) }
  }

  /// Every order of a cell's gates.
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
  /// `true` if its rows are stacked in blocks, one for each gate.
  var hasGates: Bool { self != .weightHR }
}

extension Tensor {
  /// The rows of a tensor with its equal blocks in another order.
  ///
  /// - Parameter blocks: For each block of the result, the index of the block to take; the number of rows
  ///   is a multiple of their count.
  /// - Returns: A tensor of the same shape and type.
  package func reordered(blocks: [Int]) -> Tensor {
    let size = storage.count / max(1, blocks.count)
    let bytes = withUnsafeBytes { bytes in
      blocks.flatMap { bytes[$0 * size..<($0 + 1) * size] }
    }
    return Tensor(shape: shape, dtype: dtype, storage: .owned(bytes)) ?? self
  }
}
