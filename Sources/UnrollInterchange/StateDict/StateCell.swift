// Determines the cell of a recurrent module from its class, its shapes, and the caller's options.

import UnrollFormat
import UnrollTensors

/// A cell and its activation.
struct StateCell: Equatable {
  let cell: Cell
  let activation: Activation

  /// Determines the cell of a layer.
  ///
  /// - Parameters:
  ///   - rows: The number of rows of `weight_ih`, G*H.
  ///   - hiddenSize: H.
  ///   - mode: `nn.RNNBase.mode`, such as `RNN_TANH`, if the file holds the module.
  ///   - stated: The activations of vanilla RNN cells in settings beside the tensors.
  ///   - nonlinearity: The caller's activation of vanilla RNN cells.
  ///   - place: The tensor with these rows.
  ///   - file: The file, for messages.
  /// - Throws: `InterchangeError` if these disagree or do not determine the activation.
  init(
    rows: Int, hiddenSize: Int, mode: String?, stated: [Stated<Activation>] = [],
    nonlinearity: Activation?, place: String, file: any TensorContainer
  ) throws {
    let whole = hiddenSize > 0 && rows.isMultiple(of: hiddenSize)
    let gateCount = whole ? rows / hiddenSize : 0
    guard let cell = Cell.usual.first(where: { $0.gateCount == gateCount }) else {
      throw file.error(
        place, expected: "rows 4H (LSTM), 3H (GRU) or H (RNN) for H = \(hiddenSize)",
        found: "\(rows) rows", fix: "save the state_dict of an nn.LSTM, nn.GRU or nn.RNN")
    }
    if let mode, Self.modes[mode]?.cell != cell {
      throw file.error(
        place, expected: "the shape of mode \(mode)", found: "the shape of \(cell.rawValue)",
        fix: "save the model's state_dict")
    }
    self.cell = cell
    activation = try Self.activation(
      of: cell, declared: mode.flatMap { Self.modes[$0]?.activation }, stated: stated,
      asked: nonlinearity, place: place, file: file)
  }

  private static let modes: [String: (cell: Cell, activation: Activation)] = [
    "LSTM": (.lstm, .tanh), "GRU": (.gru, .tanh), "RNN_TANH": (.rnn, .tanh),
    "RNN_RELU": (.rnn, .relu),
  ]

  private static func activation(
    of cell: Cell, declared: Activation?, stated: [Stated<Activation>], asked: Activation?,
    place: String, file: any TensorContainer
  ) throws -> Activation {
    guard cell == .rnn else { return .tanh }
    // Settings that differ are of several models.
    let agreed = Set(stated.map(\.value)).count == 1 ? stated.first : nil
    guard let activation = declared ?? agreed?.value ?? asked else {
      throw file.error(
        place, expected: "the activation of a vanilla RNN",
        found: stated.isEmpty
          ? "none in the file"
          : "several: \(list(stated.map { "\($0.place) \($0.value.rawValue)" }.sorted()))",
        fix: "say which one: `--nonlinearity tanh` or `--nonlinearity relu`")
    }
    if let asked, asked != activation {
      let isSetting = declared == nil
      throw file.error(
        place, expected: "nonlinearity \(asked.rawValue), as requested",
        found: "\(activation.rawValue) (\(isSetting ? agreed?.place ?? "" : cell.rawValue))",
        fix: "leave out `--nonlinearity`"
          + (isSetting
            ? "; if the setting is of something else, `--ignore \(agreed?.place ?? "")`" : ""))
    }
    return activation
  }

  /// Refuses a requested nonlinearity that no layer has.
  ///
  /// - Throws: `InterchangeError` if no layer has it.
  static func check(
    _ asked: Activation?, isThatOf layers: [LayerArchitecture], file: any TensorContainer
  ) throws {
    let plain = layers.filter { $0.cell == .rnn }
    let concerned = plain.isEmpty ? layers : plain
    guard let asked, let first = concerned.first,
      concerned.allSatisfy({ $0.activation != asked })
    else { return }
    throw file.error(
      "recurrent layers", expected: "nonlinearity \(asked.rawValue), as requested",
      found: "\(first.activation.rawValue) (\(first.cell.rawValue))",
      fix: "leave out `--nonlinearity`")
  }
}
