// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The state that a recurrent model carries from one window to the next.

import UnrollFormat

/// The state of one recurrent layer.
public struct LayerState: Sendable, Hashable {
  /// `[B, H]` the hidden state, `[B, P]` with a projection.
  public var h: [Float]
  /// `[B, H]` the cell state of a cell that has one; empty for others.
  public var c: [Float]
  /// `[B, D]` the input of the step before, of a layer whose window is 2; empty for others.
  public var x: [Float]

  /// Creates a state from its numbers.
  public init(h: [Float], c: [Float] = [], x: [Float] = []) {
    self.h = h
    self.c = c
    self.x = x
  }

  /// A part of the state by its name.
  public subscript(name: LayerStateName) -> [Float] {
    get { self[keyPath: Self.path(name)] }
    set { self[keyPath: Self.path(name)] = newValue }
  }

  private static func path(_ name: LayerStateName) -> WritableKeyPath<LayerState, [Float]> {
    switch name {
    case .h: \.h
    case .c: \.c
    case .x: \.x
    }
  }

  /// Returns a state with each part transformed.
  func map(_ transform: ([Float]) -> [Float]) -> LayerState {
    LayerState(h: transform(h), c: transform(c), x: transform(x))
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
      layers: layers.map { $0.map(selected) })
  }

  /// Creates a state from the streams of other states of the same model, in their order.
  public init?(joining states: [RecurrentState]) {
    guard var joined = states.first else { return nil }
    for state in states.dropFirst() {
      joined.columns += state.columns
      for (index, layer) in state.layers.enumerated() {
        for name in LayerStateName.allCases { joined.layers[index][name] += layer[name] }
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
      layers: layers.map { $0.map(repeated) })
  }
}
