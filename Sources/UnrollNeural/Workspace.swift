// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Memory that a window needs while it is computed, kept for the next window.

import UnrollFormat

/// The results of a layer in a window, step by step; the backward pass reads them.
///
/// A copy shares the buffers.
struct LayerTape: Sendable {
  /// `[T*B, H]` the hidden states, `[T*B, P]` with a projection.
  var hidden = ScratchBuffer<Float>()
  /// `[T*B, G*H]` the activations of the gates.
  private let gates = ScratchBuffer<Float>()
  /// `[T*B, H]` the cell states, or the input of an inner product.
  private let cells = ScratchBuffer<Float>()
  /// `[T*B, ...]` the recurrent part of the gates, or the input of a projection.
  private let recurrent = ScratchBuffer<Float>()
  /// `[T*B, 2D]` each input with that of the step before, of a layer whose window is 2.
  private let windows = ScratchBuffer<Float>()
  /// `[T*B, window*D|G*H]` the input of the next product, in another precision than f32.
  private let rounded = ScratchBuffer<UInt16>()
  /// `[B, ...]` the state before the window.
  private let h = ScratchBuffer<Float>()
  private let c = ScratchBuffer<Float>()
  private let x = ScratchBuffer<Float>()

  /// Makes room for a window.
  ///
  /// - Parameters:
  ///   - layer: The layer.
  ///   - precision: The compute precision.
  ///   - extent: The steps to make room for.
  /// - Returns: The addresses, valid until the tape takes another window.
  func buffers(
    of layer: LayerArchitecture, precision: Precision, _ extent: TapeExtent
  ) -> TapeBuffers {
    let (widths, B) = (layer.tapeWidths, extent.B)
    let (rows, gateRows) = (extent.length * B, extent.gateLength * B)
    let roundedWidth = precision.scratchWidth(max(layer.seenSize, widths.gates))
    return TapeBuffers(
      hidden: hidden.room(for: extent.T * B * layer.outputSize),
      gates: gates.room(for: gateRows * widths.gates),
      cells: cells.room(for: rows * widths.cells),
      recurrent: recurrent.room(for: rows * widths.recurrent),
      windows: windows.room(for: layer.inputWindow > 1 ? gateRows * layer.seenSize : 0),
      rounded: rounded.room(for: gateRows * roundedWidth),
      h: h.room(for: B * layer.outputSize), c: c.room(for: B * layer.hiddenSize),
      x: x.room(for: B * layer.inputSize))
  }
}

/// The scratch buffers of one running window.
struct Workspace: Sendable {
  /// `[T*B, D]` the input of the current layer: embeddings, or the hidden states from below.
  var below = ScratchBuffer<Float>()
  /// The results of the current layer.
  var tape = LayerTape()
  let output = OutputScratch()
}

/// The intermediate results of the output layer.
///
/// A copy shares the buffers.
struct OutputScratch: Sendable {
  /// `[128, width]` the logits of one block of rows and one panel of the vocabulary.
  let logits = ScratchBuffer<Float>()
  /// `[M, D]` the hidden states after a projection.
  let projected = ScratchBuffer<Float>()
  /// `[M, H|D]` the input of the next product, in another precision than f32.
  let rounded = ScratchBuffer<UInt16>()
  /// `[M]` the largest logit of each row so far.
  let maxima = ScratchBuffer<Float>()
  /// `[M]` the sums of exponentials, relative to the largest.
  let sums = ScratchBuffer<Double>()
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
  /// The state before the window; the address of a missing part is meaningless.
  let h: UnsafeMutablePointer<Float>
  let c: UnsafeMutablePointer<Float>
  let x: UnsafeMutablePointer<Float>

  /// Takes the state before the window.
  func take(_ state: LayerState) {
    h.update(from: state.h, count: state.h.count)
    c.update(from: state.c, count: state.c.count)
    x.update(from: state.x, count: state.x.count)
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
