// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The requirements for a window and a state to run through a model.

import UnrollFormat

extension Architecture {
  /// Returns the state before the first token: zeros for B streams.
  func zeroState(columns B: Int) -> RecurrentState {
    precondition(B > 0, "a state has at least one column")
    let layers = layers.map { layer in
      var state = LayerState(h: [])
      for (name, width) in layer.states { state[name] = Array(repeating: 0, count: B * width) }
      return state
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
    let names = LayerStateName.allCases
    let expected = layers.map { layer in
      names.map { name in B * (layer.states.first { $0.name == name }?.width ?? 0) }
    }
    let found = state.layers.map { layer in names.map { layer[$0].count } }
    guard B > 0, found == expected else {
      throw NeuralError.window(
        expected: "a state of \(B) columns with \(expected) numbers in h, c and x of each layer",
        found: "\(found)")
    }
  }
}
