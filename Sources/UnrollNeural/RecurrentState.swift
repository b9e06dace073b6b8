// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The state that a recurrent model carries from one window to the next.

/// The state of one recurrent layer.
public struct LayerState: Sendable, Hashable {
  /// `[B, H]` the hidden state, `[B, P]` with a projection.
  public var h: [Float]
  /// `[B, H]` the cell state of an LSTM; empty for other cells.
  public var c: [Float]

  /// Creates a state from its numbers.
  public init(h: [Float], c: [Float] = []) {
    self.h = h
    self.c = c
  }
}

/// The state of a stack of recurrent layers, for the B streams of a batch.
public struct RecurrentState: Sendable, Hashable {
  /// The batch size, B.
  public var columns: Int
  /// One state for each layer, the first one next to the embedding.
  public var layers: [LayerState]

  /// Creates a state from the states of its layers.
  public init(columns: Int, layers: [LayerState]) {
    self.columns = columns
    self.layers = layers
  }

  /// Returns some streams of this state as a batch, in any order and any number of times.
  public func selecting(_ chosen: [Int]) -> RecurrentState {
    func selected(_ numbers: [Float]) -> [Float] {
      let width = numbers.count / max(columns, 1)
      var all: [Float] = []
      all.reserveCapacity(chosen.count * width)
      for column in chosen { all += numbers[column * width..<(column + 1) * width] }
      return all
    }
    return RecurrentState(
      columns: chosen.count,
      layers: layers.map { LayerState(h: selected($0.h), c: selected($0.c)) })
  }

  /// Creates a state from the streams of other states of the same model, in their order.
  public init?(joining states: [RecurrentState]) {
    guard var joined = states.first else { return nil }
    for state in states.dropFirst() {
      joined.columns += state.columns
      for (index, layer) in state.layers.enumerated() {
        joined.layers[index].h += layer.h
        joined.layers[index].c += layer.c
      }
    }
    self = joined
  }

  /// Returns the streams of this state repeated as a batch.
  public func repeated(_ count: Int) -> RecurrentState {
    func repeated(_ numbers: [Float]) -> [Float] {
      Array(repeatElement(numbers, count: count).joined())
    }
    return RecurrentState(
      columns: columns * count,
      layers: layers.map { LayerState(h: repeated($0.h), c: repeated($0.c)) })
  }
}
