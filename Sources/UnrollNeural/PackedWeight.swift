// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Matrix products with packed weights.

import CUnrollKernels
import UnrollFormat
import UnrollTensors

/// The weight of `y = x W^T + bias`, packed once and multiplied often.
///
/// A class because the packed memory has identity and exactly one end. Several threads may multiply with one
/// weight at the same time, but not while it is packed.
final class PackedWeight: Sendable {
  /// The number of rows of the weight, the width of y.
  let N: Int
  /// The number of columns of the weight, the width of x.
  let K: Int
  /// The type of the packed weight and of its input x.
  let precision: Precision
  /// The parts of y's columns that are computed one at a time.
  let panels: [Range<Int>]
  private nonisolated(unsafe) let handle: OpaquePointer

  /// Makes room for a weight; `pack` fills it.
  ///
  /// - Parameters:
  ///   - N: The number of rows of the weight.
  ///   - K: The number of its columns.
  ///   - hasBias: `true` if products add a bias.
  ///   - panelWidth: The number of columns of y in a panel; all by default.
  ///   - accumulates: `true` if products are added to the contents of y.
  ///   - precision: The type of the packed weight and of its input x.
  /// - Throws: `NeuralError` if memory is short.
  init(
    N: Int, K: Int, hasBias: Bool, panelWidth: Int? = nil, accumulates: Bool = false,
    precision: Precision
  ) throws {
    self.N = N
    self.K = K
    self.precision = precision
    let width = min(panelWidth ?? N, N)
    panels = stride(from: 0, to: N, by: width).map { $0..<min($0 + width, N) }
    var created: OpaquePointer?
    try check(
      unroll_packed_weight_create(N, K, hasBias, width, accumulates, precision.kernel, &created))
    guard let created else { throw NeuralError.outOfMemory }
    handle = created
  }

  /// Packs a weight.
  ///
  /// - Parameters:
  ///   - weight: `[N, K]`, floating-point. Its mapped pages are released.
  ///   - bias: `[N]`, or `nil`.
  ///   - panelWidth: The number of columns of y in a panel; all by default.
  ///   - accumulates: `true` if products are added to the contents of y.
  ///   - precision: The type of the packed weight and of its input x.
  /// - Throws: `NeuralError` if memory is short.
  convenience init(
    _ weight: Tensor, bias: [Float]?, panelWidth: Int? = nil, accumulates: Bool = false,
    precision: Precision
  ) throws {
    let sizes = weight.shape.dimensions
    try self.init(
      N: sizes[0], K: sizes[1], hasBias: bias != nil, panelWidth: panelWidth,
      accumulates: accumulates, precision: precision)
    try pack(weight, bias: bias)
  }

  /// Packs a weight and replaces the one before.
  ///
  /// - Parameters:
  ///   - weight: A tensor that has `[N, K]`, floating-point, among its rows. Their mapped pages are released.
  ///   - row: The first of the N rows.
  ///   - bias: `[N]`, or `nil` if products add none.
  /// - Throws: `NeuralError` if memory is short.
  func pack(_ weight: Tensor, from row: Int = 0, bias: [Float]?) throws {
    precondition(bias.map { $0.count == N } ?? true, "a bias has one number for each row")
    for (index, panel) in panels.enumerated() {
      let rows = row + panel.lowerBound..<row + panel.upperBound
      let part = bias.map { Array($0[panel]) }
      try weight.withFloats(ofRows: rows) { try check(unroll_pack_panel(handle, index, $0, part)) }
      weight.dropPages(ofRows: rows)
    }
  }

  /// Packs a matrix to multiply with as it stands: `y = x A`.
  ///
  /// - Parameters:
  ///   - columns: A tensor that has A, `[K, N]`, among its rows.
  ///   - row: The first row of A.
  /// - Throws: `NeuralError` if memory is short.
  func pack(transposed columns: Tensor, from row: Int = 0) throws {
    try columns.withFloats(ofRows: row..<row + K) { try check(unroll_pack_columns(handle, $0)) }
  }

  deinit { unroll_packed_weight_destroy(handle) }

  /// Multiplies M rows with one panel.
  ///
  /// - Parameters:
  ///   - x: `[M, K]` of the weight's precision.
  ///   - y: `[M, N]` where N is the panel's width. Out: `x W^T + bias`, or that added to y.
  ///   - M: The number of rows.
  ///   - panel: The panel's index.
  /// - Throws: `NeuralError` if memory is short.
  func multiply(
    _ x: Operand, into y: UnsafeMutablePointer<Float>, M: Int, panel: Int = 0
  ) throws {
    precondition(x.precision == precision, "factors have one precision")
    try check(unroll_product(handle, panel, x.start, x.scales, y, M))
  }

  /// Multiplies M rows of floats with one panel.
  ///
  /// - Parameters:
  ///   - x: `[M, K]`
  ///   - scratch: `[M, scratchWidth(K)]` for x in the weight's precision; not touched in f32.
  ///   - y: `[M, N]` where N is the panel's width. Out: `x W^T + bias`, or that added to y.
  ///   - M: The number of rows.
  ///   - panel: The panel's index.
  /// - Throws: `NeuralError` if memory is short.
  func multiply(
    _ x: UnsafePointer<Float>, in scratch: UnsafeMutablePointer<UInt16>,
    into y: UnsafeMutablePointer<Float>, M: Int, panel: Int = 0
  ) throws {
    try multiply(
      precision.operand(x, rows: M, width: K, in: scratch), into: y, M: M, panel: panel)
  }
}

/// Turns a status of the C kernels into an error.
func check(_ status: unroll_status) throws {
  switch status {
  case UNROLL_OK: return
  case UNROLL_OUT_OF_MEMORY: throw NeuralError.outOfMemory
  case UNROLL_UNSUPPORTED, UNROLL_UNKNOWN_INSTRUCTIONS:
    throw NeuralError.instructions(name: Instructions.wanted)
  default: throw NeuralError.productFailed
  }
}
