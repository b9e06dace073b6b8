// Variables of Keras 1, which has a matrix for each gate: `lstm_1_W_i`, `lstm_1_U_i`, `lstm_1_b_i`, ...

import UnrollFormat
import UnrollTensors

/// The name of a variable of one gate.
struct KerasGates {
  /// W, the kernel, U, the recurrent kernel, or b, the bias.
  let role: Character
  /// The gate.
  let gate: Character

  /// The gates in the order of later versions, which stack them in one matrix.
  static let orders: [[Character]] = [["i", "f", "c", "o"], ["z", "r", "h"]]

  /// Parses a name; `nil` for other kinds of names.
  init?(_ place: String) {
    guard let match = place.firstMatch(of: /_([WUb])_([ifcozrh])(?::0)?$/),
      let role = match.1.first, let gate = match.2.first
    else { return nil }
    self.role = role
    self.gate = gate
  }
}

extension KerasVariables {
  /// Returns the variables at the paths of a layer; those of gates are concatenated, as in later
  /// versions.
  ///
  /// - Throws: `InterchangeError` if some cannot be read, or a gate is missing.
  mutating func variables(_ places: [String]) throws -> [KerasVariable] {
    var variables: [KerasVariable] = []
    for place in places { variables.append(try variable(place)) }
    let gates = places.compactMap(KerasGates.init)
    guard !gates.isEmpty else { return variables }
    func refusal(_ found: String) -> InterchangeError {
      file.error(
        places[0], expected: "W, U and b of the gates i, f, c, o or z, r, h, as Keras 1 has them",
        found: found, fix: "such layers are not converted")
    }
    guard gates.count == places.count,
      let order = KerasGates.orders.first(where: { Set($0) == Set(gates.map(\.gate)) }),
      places.count == 3 * order.count
    else { throw refusal(list(places)) }
    return try (["W", "U", "b"] as [Character]).map { role in
      let parts = order.compactMap { gate in
        gates.firstIndex { $0.role == role && $0.gate == gate }.map { variables[$0] }
      }
      guard parts.count == order.count, Set(parts.map(\.tensor.shape)).count == 1,
        Set(parts.map(\.tensor.dtype)).count == 1,
        let tensor = Tensor(sideBySide: parts.map(\.tensor))
      else { throw refusal("matrices of several shapes or types") }
      return KerasVariable(place: parts[0].place, tensor: tensor)
    }
  }
}

extension Tensor {
  /// Concatenates the rows of tensors of equal shape and type.
  fileprivate init?(sideBySide parts: [Tensor]) {
    guard let first = parts.first, let width = first.shape.dimensions.last else { return nil }
    let dtype = first.dtype
    let rowSize = width * dtype.size
    let rows = first.shape.dimensions.dropLast().reduce(1, *)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(rows * rowSize * parts.count)
    let sources = parts.map { $0.withUnsafeBytes { Array($0) } }
    guard sources.allSatisfy({ $0.count == rows * rowSize }) else { return nil }
    for row in 0..<rows {
      for source in sources { bytes += source[row * rowSize..<(row + 1) * rowSize] }
    }
    let dimensions = Array(first.shape.dimensions.dropLast()) + [width * parts.count]
    self.init(shape: Shape(dimensions), dtype: dtype, storage: .owned(bytes))
  }
}
