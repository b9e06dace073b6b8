// swift-format-ignore-file: AlwaysUseLowerCamelCase
// One recurrent layer over a window.

import CUnrollKernels
import UnrollFormat
import UnrollTensors

/// A recurrent layer with packed weights.
struct RecurrentLayer: Sendable {
  /// The cell and its sizes.
  let architecture: LayerArchitecture
  /// The compute precision.
  let precision: Precision
  /// The equations, with the weights that depend on earlier steps.
  let cell: any RecurrentCell
  /// `[G*H, window*D]` with the biases that do not depend on the hidden state.
  private let inputWeight: PackedWeight

  /// Packs the weights of a layer.
  ///
  /// - Parameters:
  ///   - architecture: The cell and its sizes.
  ///   - index: The layer, counted from 0.
  ///   - parameters: The model's parameters, of the shapes that the architecture says.
  ///   - precision: The compute precision.
  ///   - isTrained: `true` if there will be backward passes.
  /// - Throws: `NeuralError` if memory is short.
  init(
    _ architecture: LayerArchitecture, index: Int, parameters: CheckedParameters,
    precision: Precision, isTrained: Bool = false
  ) throws {
    self.architecture = architecture
    self.precision = precision
    inputWeight = try PackedWeight(
      N: architecture.cell.gateCount * architecture.hiddenSize, K: architecture.seenSize,
      hasBias: architecture.bias != .none || architecture.forgetBias != 0, precision: precision)
    cell = try architecture.cellType.init(architecture, precision: precision, isTrained: isTrained)
    try pack(parameters, index: index)
  }

  /// Packs the current weights of the layer.
  ///
  /// - Parameters:
  ///   - parameters: The model's parameters, of the shapes that the architecture says.
  ///   - index: The layer, counted from 0.
  /// - Throws: `NeuralError` if memory is short.
  func pack(_ parameters: CheckedParameters, index: Int) throws {
    let biases = type(of: cell).biases(
      of: architecture,
      input: parameters.floats(.layer(index, .biasIH)) ?? parameters.floats(.layer(index, .bias)),
      hidden: parameters.floats(.layer(index, .biasHH)))
    try inputWeight.pack(parameters.tensor(.layer(index, .weightIH)), bias: biases.input)
    try cell.pack({ parameters.tensor(.layer(index, $0)) }, bias: biases.hidden)
  }

  /// Runs a window of T steps with batch size B.
  ///
  /// The input's part of the gates does not depend on earlier steps, so it is one product for a chunk of steps,
  /// as large as stays in the cache until the steps read it.
  ///
  /// - Parameters:
  ///   - input: `[T*B, D]`
  ///   - state: In: the state before the window. Out: after it.
  ///   - tape: Out: the hidden states, and the results of each step if they are kept.
  ///   - keepsTape: `true` if a backward pass will read the tape.
  ///   - T: The number of time steps.
  ///   - B: The batch size.
  /// - Throws: `NeuralError` if memory is short.
  func forward(
    input: UnsafePointer<Float>, state: inout LayerState, tape: LayerTape, keepsTape: Bool,
    T: Int, B: Int
  ) throws {
    guard T > 0 else { return }
    let extent = TapeExtent(T: T, B: B, isKept: keepsTape)
    let buffers = tape.buffers(of: architecture, precision: precision, extent)
    buffers.take(state)
    for start in stride(from: 0, to: T, by: extent.chunk) {
      let steps = start..<min(start + extent.chunk, T)
      let seen = windows(of: input, steps, buffers, extent)
      let gates = LayerStep(start, of: architecture, buffers: buffers, extent: extent).gates
      try inputWeight.multiply(seen, in: buffers.rounded, into: gates, M: steps.count * B)
      try forEachPart(of: B) { columns in
        let width = precision.scratchWidth(max(architecture.outputSize, architecture.hiddenSize))
        for t in steps {
          let step = LayerStep(
            t, of: architecture, buffers: buffers, extent: extent, column: columns.lowerBound)
          try cell.forward(
            step, rounded: buffers.rounded + columns.lowerBound * width, B: columns.count)
        }
      }
    }
    for (name, width) in architecture.states {
      let count = B * width
      let last: UnsafePointer<Float>
      switch name {
      case .h: last = UnsafePointer(buffers.hidden + (T - 1) * count)
      case .c: last = UnsafePointer(buffers.cells + extent.place(of: T - 1) * count)
      case .x: last = input + (T - 1) * count
      }
      state[name] = Array(UnsafeBufferPointer(start: last, count: count))
    }
  }

  /// Returns the address of the product's input for a chunk of steps, `[steps*B, window*D]`.
  ///
  /// That is the layer's input as it stands, or each row with the row of the step before behind it.
  ///
  /// - Parameters:
  ///   - input: `[T*B, D]`
  ///   - steps: The steps of the chunk.
  ///   - buffers: In: the input of the step before the window. Out: the rows with those before, of a layer whose
  ///     window is 2.
  ///   - extent: The time steps that the buffers hold.
  /// - Returns: The address.
  private func windows(
    of input: UnsafePointer<Float>, _ steps: Range<Int>, _ buffers: TapeBuffers,
    _ extent: TapeExtent
  ) -> UnsafePointer<Float> {
    let (D, B) = (architecture.inputSize, extent.B)
    guard architecture.inputWindow > 1 else { return input + steps.lowerBound * B * D }
    for t in steps {
      let previous = t == 0 ? UnsafePointer(buffers.x) : input + (t - 1) * B * D
      for b in 0..<B {
        let row = buffers.windows + (extent.gatePlace(of: t) * B + b) * 2 * D
        row.update(from: input + (t * B + b) * D, count: D)
        (row + D).update(from: previous + b * D, count: D)
      }
    }
    return UnsafePointer(buffers.windows + extent.gatePlace(of: steps.lowerBound) * B * 2 * D)
  }
}

/// The addresses that one time step of a layer reads and writes; the same forwards and backwards.
///
/// Addresses of buffers that a cell does not use are meaningless.
struct LayerStep {
  /// `[B, H|P]` the hidden state at t-1.
  let h: UnsafePointer<Float>
  /// `[B, H]` the cell state at t-1.
  let c: UnsafePointer<Float>
  /// `[B, H|P]` the hidden state at t.
  let hNext: UnsafeMutablePointer<Float>
  /// `[B, H]` the cell state at t, or what the tape keeps in its place.
  let cNext: UnsafeMutablePointer<Float>
  /// `[B, G*H]` forwards in: the input's part, out: the activations; backwards their gradients.
  let gates: UnsafeMutablePointer<Float>
  /// `[B, ...]` the recurrent part of the gates, or the input of a projection.
  let recurrent: UnsafeMutablePointer<Float>
  /// The buffers of the window, their number of rows, and the row of this step: for a cell that keeps matrices of
  /// other widths in them.
  let tape: TapeBuffers
  let rows: Int
  let row: Int

  /// Finds the addresses of a step in a window.
  ///
  /// - Parameters:
  ///   - t: The step, from 0.
  ///   - layer: The layer.
  ///   - buffers: The buffers of the layer's results in the window, and of the state before it.
  ///   - extent: The time steps that the buffers hold.
  ///   - column: The index of the first stream that the step runs.
  init(
    _ t: Int, of layer: LayerArchitecture, buffers: TapeBuffers, extent: TapeExtent,
    column: Int = 0
  ) {
    let (widths, H, P, B) = (layer.tapeWidths, layer.hiddenSize, layer.outputSize, extent.B)
    (tape, rows, row) = (buffers, extent.length * B, extent.place(of: t) * B + column)
    hNext = buffers.hidden + (t * B + column) * P
    cNext = buffers.cells + row * H
    h = UnsafePointer(t == 0 ? buffers.h + column * P : hNext - B * P)
    c = UnsafePointer(
      t == 0
        ? buffers.c + column * H : buffers.cells + (extent.place(of: t - 1) * B + column) * H)
    gates = buffers.gates + (extent.gatePlace(of: t) * B + column) * widths.gates
    recurrent = buffers.recurrent + row * widths.recurrent
  }
}

extension LayerArchitecture {
  /// The function of the gates, for the kernels.
  var gates: unroll_gates {
    switch gateActivation {
    case .sigmoid: unroll_gates(is_hard: false, alpha: 0, beta: 0)
    case .hardSigmoid(let alpha, let beta):
      unroll_gates(is_hard: true, alpha: Float(alpha), beta: Float(beta))
    }
  }
}
