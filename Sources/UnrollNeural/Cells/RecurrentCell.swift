// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The equations of a kind of cell; a layer runs them over windows.

import UnrollFormat
import UnrollTensors

/// A kind of cell: one time step forwards, one backwards, and the same in double precision.
///
/// The layer multiplies the input of all steps by `weight_ih`, which depends on no earlier step. A cell does what
/// does: it turns that product and the states before into the states after.
///
/// To add a cell: a row of `CellFacts`, a type here, and its line in `LayerArchitecture.cellType`.
protocol RecurrentCell: Sendable {
  /// Returns the numbers that a tape keeps of one time step and stream.
  static func tapeWidths(of layer: LayerArchitecture) -> TapeWidths

  /// `true` if something comes between the product with the input and that with the hidden state, so that `bias_hh`
  /// stays with the second.
  static var keepsHiddenBias: Bool { get }

  /// Returns the biases that the product with the input adds, `[G*H]`, and those that a product of the cell adds.
  static func biases(
    of layer: LayerArchitecture, input: [Float]?, hidden: [Float]?
  ) -> (input: [Float]?, hidden: [Float]?)

  /// Makes room for the weights of a layer; `pack` fills it.
  ///
  /// - Parameters:
  ///   - layer: The sizes and variants.
  ///   - precision: The compute precision.
  ///   - isTrained: `true` if there will be backward passes.
  /// - Throws: `NeuralError` if memory is short.
  init(_ layer: LayerArchitecture, precision: Precision, isTrained: Bool) throws

  /// Packs the weights that the cell multiplies by.
  ///
  /// - Parameters:
  ///   - parameter: Returns a parameter of the layer.
  ///   - bias: `[G*H]`, the bias of the product with the hidden state, as `biases` returned it.
  /// - Throws: `NeuralError` if memory is short.
  func pack(_ parameter: (LayerParameter) -> Tensor, bias: [Float]?) throws

  /// Runs one time step.
  ///
  /// - Parameters:
  ///   - step: In: the product with the input, the states before. Out: activations, the states after.
  ///   - rounded: Scratch for products.
  ///   - B: The number of streams.
  /// - Throws: `NeuralError` if memory is short.
  func forward(_ step: LayerStep, rounded: UnsafeMutablePointer<UInt16>, B: Int) throws

  /// Goes back through one time step.
  ///
  /// - Parameters:
  ///   - step: In: the results of the forward pass. Out: gradients in place of gates and recurrent parts.
  ///   - gradients: Out: those of the states at t-1.
  ///   - rounded: Scratch for products.
  ///   - B: The number of streams.
  /// - Throws: `NeuralError` if memory is short.
  func backward(
    _ step: LayerStep, _ gradients: StepGradients, rounded: UnsafeMutablePointer<UInt16>, B: Int
  ) throws

  /// Computes the gradients of the weights that the cell multiplies by, and of `bias_hh`.
  ///
  /// - Parameters:
  ///   - window: The window after its backward pass.
  ///   - gradients: Out: the gradients; `bias_ih` is there already.
  /// - Throws: `NeuralError` if memory is short.
  func addGradients(of window: BackwardWindow, to gradients: inout LayerGradients) throws

  /// Runs one time step of one stream in double precision, as `spec/FORMAT.md`, section 4, has it.
  ///
  /// - Parameters:
  ///   - layer: The sizes and variants.
  ///   - x: `[G*H]` the product with the input, biases added.
  ///   - state: The states before.
  ///   - weights: The parameters of the layer.
  /// - Returns: The states after.
  static func reference(
    _ layer: LayerArchitecture, _ x: [Double], _ state: ReferenceState, _ weights: ReferenceWeights
  ) -> ReferenceState
}

extension RecurrentCell {
  // A cell without a product of its own has neither weights nor their gradients.
  func pack(_ parameter: (LayerParameter) -> Tensor, bias: [Float]?) throws {}
  func addGradients(of window: BackwardWindow, to gradients: inout LayerGradients) throws {}

  static var keepsHiddenBias: Bool { false }

  /// One bias, the sum of both, where nothing comes between the two products.
  static func biases(
    of layer: LayerArchitecture, input: [Float]?, hidden: [Float]?
  ) -> (input: [Float]?, hidden: [Float]?) {
    guard !keepsHiddenBias else { return (input, hidden) }
    guard let input, let hidden else { return (input, nil) }
    return (zip(input, hidden).map(+), nil)
  }
}

extension LayerArchitecture {
  /// The type that computes the layer's cell.
  var cellType: any RecurrentCell.Type {
    switch cell {
    case .lstm: LSTMCell.self
    case .gru: reset == .before ? ResetBeforeGRUCell.self : GRUCell.self
    case .rnn: VanillaCell.self
    case .minGRU: MinGRUCell.self
    case .qrnn: QRNNCell.self
    }
  }

  /// The numbers of each kind that a tape keeps of one time step and stream.
  var tapeWidths: TapeWidths { cellType.tapeWidths(of: self) }

  /// The width of the product's input: that of the layer's input, as often as its window says.
  var seenSize: Int { inputWindow * inputSize }
}

/// The numbers of each kind that a tape keeps of one time step and stream.
struct TapeWidths {
  /// The activations of the gates: G*H.
  let gates: Int
  /// A cell state, or the input of an inner product.
  var cells = 0
  /// The recurrent part of the gates, or the input of a projection.
  var recurrent = 0
}

/// The gradients of the loss with respect to the states of one time step, `[B, ...]`.
struct StepGradients {
  /// `[B, H|P]` of the hidden state at t.
  let dh: UnsafeMutablePointer<Float>
  /// `[B, H|P]` Out: of the hidden state at t-1, is added; `nil` at the first step of the window.
  let dhPrevious: UnsafeMutablePointer<Float>?
  /// `[B, H]`, in: of the cell state at t, through the steps after; out: of that at t-1.
  let dc: UnsafeMutablePointer<Float>
  /// `[B, H]` Out: of the cell state at t through everything; `nil` if nobody asks.
  let dCell: UnsafeMutablePointer<Float>?
  /// `[B, H]` scratch: the gradient of the input of an inner product.
  let inner: UnsafeMutablePointer<Float>
}

/// A window after its backward pass, for the gradients of weights.
struct BackwardWindow {
  let buffers: TapeBuffers
  /// `[T*B, H|P]` the gradients of the hidden states.
  let dHidden: UnsafePointer<Float>
  let products: Products
  let T: Int
  let B: Int

  /// Computes the gradient of a weight of the hidden states: gradients of the gates times the states before them.
  ///
  /// - Parameters:
  ///   - gates: `[T*B, rows]` the gradients of the recurrent parts.
  ///   - rows: The number of rows of the weight, or of those that multiply the states as they are.
  ///   - width: The width of the hidden states.
  ///   - gradient: `[rows, width]`. Out: the gradient.
  /// - Throws: `NeuralError` if memory is short.
  func multiplyHidden(
    _ gates: UnsafePointer<Float>, rows: Int, width: Int,
    into gradient: UnsafeMutablePointer<Float>
  ) throws {
    try products.multiply(
      .transpose(gates), Factor(buffers.h), into: gradient, M: rows, N: width, K: B)
    guard T > 1 else { return }
    // The last hidden state of the window comes before no gate.
    try products.multiply(
      .transpose(gates + B * rows), Factor(buffers.hidden), into: gradient, adds: true, M: rows,
      N: width, K: (T - 1) * B)
  }
}
