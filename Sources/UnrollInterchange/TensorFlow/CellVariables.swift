// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The variables of TensorFlow 1's recurrent cells: their names, shapes and gates.

import UnrollFormat
import UnrollTensors

/// The variables of a cell of `tf.nn.rnn_cell`, by their roles.
///
/// A kernel is `[D+H, gates * H]`, input rows first. The gates of an LSTM are i, j, f, o, where j is the candidate.
/// A GRU has a kernel for r, u and one for the candidate; r acts before the product, and its u is our z.
struct CellVariables {
  /// A class of cells.
  enum Kind: String, CaseIterable {
    case basicLSTM = "basic_lstm_cell"
    /// `LSTMCell` and `LSTMBlockCell`.
    case lstm = "lstm_cell"
    case fusedLSTM = "lstm_fused_cell"
    /// Weights of cuDNN, to whose forget gate nothing is added.
    case cudnnLSTM = "cudnn_compatible_lstm_cell"
    case gru = "gru_cell"
    case plain = "basic_rnn_cell"

    var cell: Cell {
      switch self {
      case .basicLSTM, .lstm, .fusedLSTM, .cudnnLSTM: .lstm
      case .gru: .gru
      case .plain: .rnn
      }
    }
  }

  /// The role of a variable.
  enum Role: Hashable {
    case kernel
    case bias
    /// Of a GRU, whose kernel and bias are those of the gates.
    case candidateKernel
    case candidateBias
    /// Of an LSTM with `num_proj`.
    case projection
  }

  /// The scope of the cell, such as `rnnlm/multi_rnn_cell/cell_0/lstm_cell`.
  let scope: String
  let kind: Kind
  /// The names of the variables.
  private(set) var names: [Role: String] = [:]
  /// The sizes, once they are known.
  private(set) var inputSize = 0
  private(set) var hiddenSize = 0
  /// The width of the state after a projection.
  private(set) var projectionSize: Int?

  /// The parts of names before TensorFlow 1.0, and those that they became.
  private static let oldNames = [
    "BasicLSTMCell": "basic_lstm_cell", "LSTMCell": "lstm_cell", "GRUCell": "gru_cell",
    "BasicRNNCell": "basic_rnn_cell", "Gates": "gates", "Candidate": "candidate",
    "Matrix": "kernel", "Bias": "bias", "W_0": "kernel", "B": "bias",
  ]

  /// Returns the cell and the role that a name says; `nil` for other variables.
  ///
  /// Before TensorFlow 1.2 a kernel was called `weights` and a bias `biases`; before 1.0 `Linear/Matrix` and
  /// `Linear/Bias`, below the name of a class.
  private static func parse(_ name: String) -> (scope: String, kind: Kind, role: Role)? {
    let parts = name.split(separator: "/").map { oldNames[String($0)] ?? String($0) }
      .filter { $0 != "Linear" }
    guard parts.count >= 2, let last = parts.last,
      ["kernel", "weights", "bias", "biases"].contains(last)
    else { return nil }
    let isKernel = ["kernel", "weights"].contains(last)
    var scope = parts.dropLast()
    if let kind = scope.last.flatMap(Kind.init), kind != .gru {
      return (scope.joined(separator: "/"), kind, isKernel ? .kernel : .bias)
    }
    let part = scope.removeLast()
    guard let kind = scope.last.flatMap(Kind.init) else { return nil }
    let role: Role
    switch (kind.cell, part) {
    case (.gru, "gates"): role = isKernel ? .kernel : .bias
    case (.gru, "candidate"): role = isKernel ? .candidateKernel : .candidateBias
    case (.lstm, "projection") where isKernel: role = .projection
    default: return nil
    }
    return (scope.joined(separator: "/"), kind, role)
  }

  /// Finds the cells among variables.
  ///
  /// - Parameter names: The names of variables.
  /// - Returns: The cells, in the order of their names.
  static func all(in names: [String]) -> [CellVariables] {
    var cells: [CellVariables] = []
    var indices: [String: Int] = [:]
    for name in names {
      guard let (scope, kind, role) = parse(name) else { continue }
      let index = indices[scope] ?? cells.count
      if index == cells.count { cells.append(CellVariables(scope: scope, kind: kind)) }
      indices[scope] = index
      cells[index].names[role] = name
    }
    return cells
  }

  private init(scope: String, kind: Kind) {
    self.scope = scope
    self.kind = kind
  }

  // MARK: - Order

  /// The parts of the scope above the cell, each without the number at its end, and the numbers.
  private var numbered: (parts: [String], numbers: [Int]) {
    let split = scope.split(separator: "/").dropLast().map { part -> (String, Int) in
      let digits = part.reversed().prefix { $0.isASCII && $0.isNumber }.count
      guard digits > 0, let number = Int(part.suffix(digits)) else { return (String(part), -1) }
      let base = part.dropLast(digits)
      return (String(base.last == "_" ? base.dropLast() : base), number)
    }
    return (split.map(\.0), split.map(\.1))
  }

  /// Returns cells in the order of the one number in which their scopes differ; `nil` if they differ in anything else.
  static func ordered(_ cells: [CellVariables]) -> [CellVariables]? {
    guard let first = cells.first?.numbered else { return nil }
    let keys = cells.map(\.numbered)
    guard keys.allSatisfy({ $0.parts == first.parts }) else { return nil }
    let places = first.numbers.indices.filter { place in
      Set(keys.map { $0.numbers[place] }).count > 1
    }
    guard cells.count > 1 else { return cells }
    guard places.count == 1, Set(keys.map { $0.numbers[places[0]] }).count == cells.count else {
      return nil
    }
    return zip(cells, keys).sorted { $0.1.numbers[places[0]] < $1.1.numbers[places[0]] }.map(\.0)
  }

  // MARK: - Shapes

  /// The roles that a cell of the kind has.
  private var roles: [Role] {
    kind.cell == .gru ? [.kernel, .bias, .candidateKernel, .candidateBias] : [.kernel, .bias]
  }

  /// Sets the sizes and checks the shape of each variable.
  ///
  /// - Parameters:
  ///   - tensor: Returns a variable.
  ///   - refusal: Creates an error from a location, an expectation and a finding.
  /// - Throws: The errors of `tensor` and `refusal`.
  mutating func measure(
    _ tensor: (String) throws -> Tensor,
    refusal: (_ place: String, _ expected: String, _ found: String) -> InterchangeError
  ) throws {
    for role in roles where names[role] == nil {
      throw refusal(scope, "a kernel and a bias of the cell", "\(list(names.values.sorted()))")
    }
    func shape(_ role: Role) throws -> [Int] {
      guard let name = names[role] else { return [] }
      let tensor = try tensor(name)
      guard tensor.dtype.isFloat else {
        throw refusal(name, "weights of f32, f16, bf16 or f64", tensor.dtype.rawValue)
      }
      return tensor.shape.dimensions
    }
    let gates = kind.cell == .lstm ? 4 : kind.cell == .gru ? 2 : 1
    let kernel = try shape(.kernel)
    guard kernel.count == 2, kernel[1] > 0, kernel[1].isMultiple(of: gates) else {
      throw refusal(names[.kernel] ?? scope, "a matrix with \(gates) gates", "shape \(kernel)")
    }
    hiddenSize = kernel[1] / gates
    if names[.projection] != nil {
      let projection = try shape(.projection)
      guard projection.count == 2, projection[0] == hiddenSize, projection[1] > 0 else {
        throw refusal(
          names[.projection] ?? scope, "a matrix of \(hiddenSize) rows", "shape \(projection)")
      }
      projectionSize = projection[1]
    }
    inputSize = kernel[0] - outputSize
    guard inputSize > 0 else {
      throw refusal(
        names[.kernel] ?? scope, "more than \(outputSize) rows, those of the input first",
        "shape \(kernel)")
    }
    let expected: [(Role, [Int])] = [
      (.bias, [kernel[1]]), (.candidateKernel, [kernel[0], hiddenSize]),
      (.candidateBias, [hiddenSize]),
    ]
    for (role, shape) in expected where names[role] != nil {
      let found = try tensor(names[role] ?? "").shape
      guard found == Shape(shape) else {
        throw refusal(names[role] ?? scope, "shape \(Shape(shape))", "\(found)")
      }
    }
  }

  /// The width of the state.
  var outputSize: Int { projectionSize ?? hiddenSize }

  /// The layer without its forget bias and activation.
  var layer: LayerArchitecture {
    var layer = LayerArchitecture(
      cell: kind.cell, inputSize: inputSize, hiddenSize: hiddenSize, bias: .single)
    if kind.cell == .gru { layer.reset = .before }
    layer.projectionSize = projectionSize
    return layer
  }

  // MARK: - Parameters

  /// Returns the parameters of the layer.
  ///
  /// - Parameter tensor: Returns the values for a variable: its own, or those that an optimizer keeps.
  /// - Returns: The parameters; `nil` if the two kernels of a GRU have different types.
  func parameters(
    _ tensor: (String) throws -> Tensor
  ) rethrows -> [(parameter: LayerParameter, tensor: Tensor)]? {
    func matrix(_ role: Role) throws -> Tensor? { try names[role].map { try tensor($0) } }
    guard let kernel = try matrix(.kernel), let bias = try matrix(.bias) else { return nil }
    func halves(_ kernel: Tensor) -> [Tensor] {
      [kernel.rows(0..<inputSize), kernel.rows(inputSize..<inputSize + outputSize)].map {
        $0.transposed()
      }
    }
    switch kind.cell {
    case .lstm:
      let weights = halves(kernel).map { $0.gates(from: .tensorFlow) }
      let projection = try matrix(.projection)
      return [
        (.weightIH, weights[0]), (.weightHH, weights[1]),
        (.bias, bias.gates(from: .tensorFlow)),
      ] + (projection.map { [(.weightHR, $0.transposed())] } ?? [])
    case .gru:
      guard let candidate = try matrix(.candidateKernel),
        let candidateBias = try matrix(.candidateBias),
        let input = Tensor(stacking: [halves(kernel)[0], halves(candidate)[0]]),
        let recurrent = Tensor(stacking: [halves(kernel)[1], halves(candidate)[1]]),
        let bias = Tensor(stacking: [bias, candidateBias])
      else { return nil }
      return [(.weightIH, input), (.weightHH, recurrent), (.bias, bias)]
    default:
      let weights = halves(kernel)
      return [(.weightIH, weights[0]), (.weightHH, weights[1]), (.bias, bias)]
    }
  }
}
