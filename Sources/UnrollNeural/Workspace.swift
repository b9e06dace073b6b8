// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Memory that a window needs while it is computed, kept for the next window.

import UnrollFormat

/// The results of a layer in a window, step by step; the backward pass reads them.
struct LayerTape: Sendable {
  /// `[T*B, H]` the hidden states, `[T*B, P]` with a projection.
  var hidden: [Float] = []
  /// `[T*B, G*H]` the activations of the gates.
  var gates: [Float] = []
  /// `[T*B, H]` the cell states, or the input of an inner product.
  var cells: [Float] = []
  /// `[T*B, ...]` the recurrent part of the gates, or the input of a projection.
  var recurrent: [Float] = []
  /// `[T*B, 2D]` each input with that of the step before, of a layer whose window is 2.
  var windows: [Float] = []
  /// `[T*B, window*D|G*H]` the input of the next product, in another precision than f32.
  var rounded: [UInt16] = []
}

/// The scratch buffers of one running window; each only grows.
struct Workspace: Sendable {
  /// `[T*B, D]` the input of the current layer: embeddings, or the hidden states from below.
  var below: [Float] = []
  /// The results of the current layer.
  var tape = LayerTape()
  var output = OutputScratch()
}

/// The intermediate results of the output layer.
struct OutputScratch: Sendable {
  /// `[128, width]` the logits of one block of rows and one panel of the vocabulary.
  var logits: [Float] = []
  /// `[M, D]` the hidden states after a projection.
  var projected: [Float] = []
  /// `[M, H|D]` the input of the next product, in another precision than f32.
  var rounded: [UInt16] = []
}

/// The time steps that a tape has room for.
struct TapeExtent {
  /// The number of time steps of the window.
  let T: Int
  /// The batch size.
  let B: Int
  /// `true` if all steps stay on the tape; else gates stay for a chunk of steps, the rest for one.
  let isKept: Bool

  /// The number of time steps whose input products are one: some 128 rows, which stay in the cache until the
  /// steps read them.
  var chunk: Int { max(1, 128 / B) }

  /// The number of time steps that stay.
  var length: Int { isKept ? T : 1 }

  /// The number of time steps whose gates stay.
  var gateLength: Int { isKept ? T : min(T, chunk) }

  /// Returns the index of a step's numbers.
  func place(of t: Int) -> Int { isKept ? t : 0 }

  /// Returns the index of a step's gates.
  func gatePlace(of t: Int) -> Int { isKept ? t : t % chunk }
}

/// The addresses of a tape's numbers.
struct TapeBuffers {
  let hidden: UnsafeMutablePointer<Float>
  let gates: UnsafeMutablePointer<Float>
  let cells: UnsafeMutablePointer<Float>
  let recurrent: UnsafeMutablePointer<Float>
  let windows: UnsafeMutablePointer<Float>
  let rounded: UnsafeMutablePointer<UInt16>
}

extension LayerTape {
  /// Makes room for a window and passes the addresses.
  ///
  /// - Parameters:
  ///   - layer: The layer.
  ///   - precision: The compute precision.
  ///   - extent: The steps to make room for.
  ///   - body: Receives the addresses, valid during the call.
  /// - Returns: The result of the closure.
  /// - Throws: Rethrows the errors of the closure.
  mutating func withBuffers<Result>(
    of layer: LayerArchitecture, precision: Precision, _ extent: TapeExtent,
    _ body: (TapeBuffers) throws -> Result
  ) rethrows -> Result {
    let widths = layer.tapeWidths
    let (rows, gateRows) = (extent.length * extent.B, extent.gateLength * extent.B)
    let inputWidth = layer.windowSize
    return try hidden.withScratch(extent.T * extent.B * layer.outputSize) { hidden in
      try gates.withScratch(gateRows * widths.gates) { gates in
        try cells.withScratch(rows * widths.cells) { cells in
          try recurrent.withScratch(rows * widths.recurrent) { recurrent in
            try windows.withScratch(layer.window > 1 ? gateRows * inputWidth : 0) { windows in
              let width = precision.scratchWidth(max(inputWidth, widths.gates))
              return try rounded.withScratch(gateRows * width) { rounded in
                try body(
                  TapeBuffers(
                    hidden: hidden, gates: gates, cells: cells, recurrent: recurrent,
                    windows: windows, rounded: rounded))
              }
            }
          }
        }
      }
    }
  }
}

extension LayerState {
  /// Passes the addresses of h, c and x; the address of a missing one is meaningless.
  func withBuffers<Result>(
    _ body: (
      _ h: UnsafePointer<Float>, _ c: UnsafePointer<Float>, _ x: UnsafePointer<Float>
    ) throws -> Result
  ) rethrows -> Result {
    try h.withUnsafeBufferPointer { h in
      try c.withUnsafeBufferPointer { c in
        try x.withUnsafeBufferPointer { x in
          try body(h.start, c.baseAddress ?? h.start, x.baseAddress ?? h.start)
        }
      }
    }
  }
}

extension Array where Element: Numeric {
  /// Makes room for at least a number of elements and passes their address.
  mutating func withScratch<Result>(
    _ count: Int, _ body: (UnsafeMutablePointer<Element>) throws -> Result
  ) rethrows -> Result {
    if self.count < count || isEmpty {
      // The old memory goes before the new comes.
      self = []
      self = Array(repeating: 0, count: Swift.max(count, 1))
    }
    return try withUnsafeMutableBufferPointer { try body($0.start) }
  }
}

extension UnsafeBufferPointer {
  /// The address of the first element, where there is one.
  var start: UnsafePointer<Element> {
    guard let baseAddress else { preconditionFailure("an empty buffer has no address") }
    return baseAddress
  }
}

extension UnsafeMutableBufferPointer {
  /// The address of the first element, where there is one.
  var start: UnsafeMutablePointer<Element> {
    guard let baseAddress else { preconditionFailure("an empty buffer has no address") }
    return baseAddress
  }
}
