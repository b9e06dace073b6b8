// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The requirements for a window and a state to run through a model.

import UnrollFormat

extension Architecture {
  /// Returns the state before the first token: zeros for B streams.
  func zeroState(columns B: Int) -> RecurrentState {
    precondition(B > 0, "a state has at least one column")
    let layers = layers.map { layer in
      LayerState(
        h: [Float](repeating: 0, count: B * layer.outputSize),
        c: [Float](repeating: 0, count: layer.cell == .lstm ? B * layer.hiddenSize : 0))
    }
    return RecurrentState(columns: B, layers: layers)
  }

  /// Checks that a window's inputs are tokens and fit a state.
  ///
  /// - Returns: The batch size, B.
  /// - Throws: `NeuralError` if not.
  func check(inputs: [Int32], state: RecurrentState) throws -> Int {
    try check(tokens: inputs, lowest: 0)
    try check(state)
    guard inputs.count.isMultiple(of: state.columns) else {
      throw NeuralError.window(
        expected: "a multiple of \(state.columns) inputs, one for each column",
        found: "\(inputs.count)")
    }
    return state.columns
  }

  /// Checks that numbers are tokens.
  ///
  /// - Throws: `NeuralError` if not.
  func check(tokens: [Int32], lowest: Int32) throws {
    for (index, token) in tokens.enumerated() where token < lowest || token >= vocabularySize {
      throw NeuralError.token(id: Int(token), index: index, vocabularySize: vocabularySize)
    }
  }

  private func check(_ state: RecurrentState) throws {
    let B = state.columns
    let expected = layers.map { layer in
      [B * layer.outputSize, layer.cell == .lstm ? B * layer.hiddenSize : 0]
    }
    let found = state.layers.map { [$0.h.count, $0.c.count] }
    guard B > 0, found == expected else {
      throw NeuralError.window(
        expected: "a state of \(B) columns with \(expected) numbers in h and c of each layer",
        found: "\(found)")
    }
  }
}
