// swift-format-ignore-file: AlwaysUseLowerCamelCase
// What a recurrent model carries from one window to the next.

/// The state of one recurrent layer.
public struct LayerState: Sendable, Hashable {
  /// `[B, H]` the hidden state.
  public var h: [Float]
  /// `[B, H]` the cell state of an LSTM; empty for other cells.
  public var c: [Float]

  /// Creates a state from its numbers.
  public init(h: [Float], c: [Float] = []) {
    self.h = h
    self.c = c
  }
}

/// The state of a stack of recurrent layers, for B columns that run side by side.
public struct RecurrentState: Sendable, Hashable {
  /// The number of columns, B.
  public var columns: Int
  /// One state for each layer, the first one next to the embedding.
  public var layers: [LayerState]

  /// Creates a state from those of its layers.
  public init(columns: Int, layers: [LayerState]) {
    self.columns = columns
    self.layers = layers
  }
}
