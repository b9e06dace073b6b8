// swift-format-ignore-file: AlwaysUseLowerCamelCase
// One recurrent layer with a backward pass.

import CUnrollKernels
import UnrollFormat
import UnrollTensors

/// The gradients of a layer's parameters.
struct LayerGradients: Sendable {
  private(set) var numbers: [LayerParameter: [Float]] = [:]

  init(_ layer: LayerArchitecture) {
    for (parameter, shape) in layer.parameters {
      numbers[parameter] = Array(repeating: 0, count: shape.elementCount ?? 0)
    }
  }

  /// Passes the address of a gradient; nothing happens where the layer has no such parameter.
  mutating func change(
    _ parameter: LayerParameter, _ body: (UnsafeMutablePointer<Float>) throws -> Void
  ) rethrows {
    guard let index = numbers.index(forKey: parameter) else { return }
    try numbers.values[index].withUnsafeMutableBufferPointer { try body($0.start) }
  }

  /// Changes a gradient in place.
  mutating func update(_ parameter: LayerParameter, _ body: (inout [Float]) -> Void) {
    guard let index = numbers.index(forKey: parameter) else { return }
    body(&numbers.values[index])
  }

  /// Computes the gradient of a bias.
  ///
  /// - Parameters:
  ///   - x: `[M, G*H]` the gradients of what the bias was added to.
  ///   - M: The number of rows.
  ///   - parameter: The bias, if the layer has it.
  mutating func sumColumns(_ x: UnsafePointer<Float>, M: Int, into parameter: LayerParameter) {
    update(parameter) { sums in
      let N = sums.count
      sums.withUnsafeMutableBufferPointer { sums in
        sums.update(repeating: 0)
        unroll_add_column_sums(x, M, N, sums.start)
      }
    }
  }

  /// Gives `bias_hh` the gradient of `bias_ih`, where nothing comes between the two.
  mutating func copyBias() {
    if let bias = numbers[.biasIH] { update(.biasHH) { $0 = bias } }
  }
}

/// A recurrent layer with its recurrent weights packed for both directions.
struct TrainableLayer {
  /// The forward pass.
  let forward: RecurrentLayer
  private let index: Int
  private let products: Products
  /// `[B, H]` the gradient of the cell state.
  private let dc = ScratchBuffer<Float>()
  /// `[B, H]` the gradient of the input of an inner product.
  private let inner = ScratchBuffer<Float>()

  /// Packs the weights of a layer.
  ///
  /// - Throws: `NeuralError` if memory is short.
  init(
    _ architecture: LayerArchitecture, index: Int, parameters: CheckedParameters,
    products: Products
  ) throws {
    forward = try RecurrentLayer(
      architecture, index: index, parameters: parameters, precision: products.precision,
      isTrained: true)
    self.index = index
    self.products = products
  }

  /// Packs the current weights of the layer.
  ///
  /// - Throws: `NeuralError` if memory is short.
  func pack(_ parameters: CheckedParameters) throws { try forward.pack(parameters, index: index) }

  /// Runs the backward pass through a window.
  ///
  /// - Parameters:
  ///   - input: `[T*B, D]` the input of the layer.
  ///   - tape: The results of the forward pass and the state before it, beyond which no gradient reaches. Out:
  ///     gradients in place of gates and recurrent parts.
  ///   - dHidden: `[T*B, H|P]` In: the gradients of the hidden states through the layers above. Out: through
  ///     everything.
  ///   - dCells: `[T*B, H]`, of a cell that has one, if requested. Out: the gradients of the cell states through
  ///     everything, the hidden states of the same steps included.
  ///   - dInput: `[T*B, D]` Out: the gradients of the input; `nil` if they are not needed.
  ///   - weightIH: `[G*H, window*D]` the layer's weight.
  ///   - gradients: Out: the gradients of the parameters.
  ///   - T: The number of time steps.
  ///   - B: The batch size.
  /// - Throws: `NeuralError` if memory is short.
  func backward(
    input: UnsafePointer<Float>, tape: LayerTape, dHidden: UnsafeMutablePointer<Float>,
    dCells: UnsafeMutablePointer<Float>? = nil, dInput: UnsafeMutablePointer<Float>?,
    weightIH: UnsafePointer<Float>, gradients: inout LayerGradients, T: Int, B: Int
  ) throws {
    let (layer, M) = (forward.architecture, T * B)
    let (K, rows) = (layer.seenSize, layer.cell.gateCount * layer.hiddenSize)
    let extent = TapeExtent(T: T, B: B, isKept: true)
    let buffers = tape.buffers(of: layer, precision: products.precision, extent)
    try backward(buffers, extent, dHidden: dHidden, dCells: dCells)
    let seen = layer.inputWindow > 1 ? UnsafePointer(buffers.windows) : input
    try gradients.change(.weightIH) {
      try products.multiply(.transpose(buffers.gates), Factor(seen), into: $0, M: rows, N: K, K: M)
    }
    gradients.sumColumns(buffers.gates, M: M, into: layer.bias == .single ? .bias : .biasIH)
    let window = BackwardWindow(buffers: buffers, dHidden: dHidden, products: products, T: T, B: B)
    try forward.cell.addGradients(of: window, to: &gradients)
    guard let dInput else { return }
    // The windows have been read: their gradients take their place.
    let dSeen = layer.inputWindow > 1 ? buffers.windows : dInput
    try products.multiply(
      Factor(buffers.gates), Factor(weightIH), into: dSeen, M: M, N: K, K: rows)
    if layer.inputWindow > 1 { fold(dSeen, into: dInput, D: layer.inputSize, T: T, B: B) }
  }

  /// Adds the gradients of an input in its own window and in that of the next step.
  ///
  /// - Parameters:
  ///   - windows: `[T*B, 2D]`
  ///   - dInput: `[T*B, D]` Out: the sums.
  ///   - D: The width of the input.
  ///   - T: The number of time steps.
  ///   - B: The batch size.
  private func fold(
    _ windows: UnsafePointer<Float>, into dInput: UnsafeMutablePointer<Float>, D: Int, T: Int,
    B: Int
  ) {
    for row in 0..<T * B {
      (dInput + row * D).update(from: windows + row * 2 * D, count: D)
      // The input of the last step is seen once more by the next window, which no gradient leaves.
      if row + B < T * B { unroll_add(dInput + row * D, windows + (row + B) * 2 * D + D, D) }
    }
  }

  /// Goes back through the time steps: from the gradients of hidden states to the gradients of gates.
  private func backward(
    _ buffers: TapeBuffers, _ extent: TapeExtent, dHidden: UnsafeMutablePointer<Float>,
    dCells: UnsafeMutablePointer<Float>?
  ) throws {
    let layer = forward.architecture
    let H = layer.hiddenSize
    let (dc, inner) = (dc.room(for: extent.B * H), inner.room(for: extent.B * H))
    dc.update(repeating: 0, count: extent.B * H)
    try forEachPart(of: extent.B) { columns in
      let (first, B) = (columns.lowerBound, columns.count)
      let rounded =
        buffers.rounded + first * products.precision.scratchWidth(layer.tapeWidths.gates)
      for t in (0..<extent.T).reversed() {
        let step = LayerStep(t, of: layer, buffers: buffers, extent: extent, column: first)
        let row = t * extent.B + first
        let dh = dHidden + row * layer.outputSize
        let gradients = StepGradients(
          dh: dh, dhPrevious: t > 0 ? dh - extent.B * layer.outputSize : nil,
          dc: dc + first * H, dCell: dCells.map { $0 + row * H }, inner: inner + first * H)
        try forward.cell.backward(step, gradients, rounded: rounded, B: B)
      }
    }
  }
}
