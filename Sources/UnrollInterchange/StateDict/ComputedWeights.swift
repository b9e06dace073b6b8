// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Weights that a file stores in parts: weight normalization, spectral normalization, pruning masks.

import Foundation
import UnrollTensors

/// The computation of a weight from several stored tensors.
enum WeightRecipe: Sendable, Hashable {
  /// `v * (g / |v|)`, with the norm over all axes but that of `g`: `torch.nn.utils.weight_norm`.
  case normalized(magnitude: StoredTensor)
  /// `W / (uᵀ W v)`: `torch.nn.utils.spectral_norm` at evaluation.
  case spectral(left: StoredTensor, right: StoredTensor)
  /// `W * mask`: `torch.nn.utils.prune`.
  case masked(by: StoredTensor)

  /// The name of the computation in notes.
  var name: String {
    switch self {
    case .normalized: "weight normalization, v * (g / |v|)"
    case .spectral: "spectral normalization, W / (u W v)"
    case .masked: "the pruning mask, W * mask"
    }
  }

  /// The tensors in addition to the one with the weight's shape.
  var tensors: [StoredTensor] {
    switch self {
    case .normalized(let magnitude): [magnitude]
    case .spectral(let left, let right): [left, right]
    case .masked(let mask): [mask]
    }
  }
}

extension NamedTensors {
  /// Returns the last component of a tensor's name, and the prefix with its dot.
  private static func split(_ name: String) -> (path: Substring, last: Substring) {
    let start = name.lastIndex(of: ".").map(name.index(after:)) ?? name.startIndex
    return (name[..<start], name[start...])
  }

  /// Replaces the stored parts of a weight by the weight that PyTorch computes from them at
  /// evaluation.
  ///
  /// - Returns: A note for each computation.
  /// - Throws: `InterchangeError` for unsupported parametrizations, and for parts whose shapes do
  ///   not fit.
  mutating func computeWeights() throws -> [Note] {
    var byName = Dictionary(tensors.map { ($0.name, $0.tensor) }) { first, _ in first }
    var (computed, used): ([String: NamedTensor], Set<String>) = ([:], [])
    var notes: [Note] = []
    for tensor in tensors {
      guard let parts = try parts(of: tensor.name, in: byName) else { continue }
      guard byName[parts.name] == nil else {
        throw file.error(
          parts.name, expected: "either the weight or the parts that make it", found: "both",
          fix: "leave one out: `--ignore \(parts.name)`, or --ignore for each of "
            + list(parts.used))
      }
      try check(parts.recipe, shape: tensor.tensor.shape, name: tensor.name)
      used.formUnion(parts.used)
      var weight = NamedTensor(name: parts.name, tensor: tensor.tensor, recipe: parts.recipe)
      weight.parts = parts.used
      computed[tensor.name] = weight
      byName[parts.name] = tensor.tensor
      notes.append(
        Note(place: parts.name, message: "computed from \(list(parts.used)): \(parts.recipe.name)"))
    }
    tensors = tensors.compactMap { tensor in
      computed[tensor.name] ?? (used.contains(tensor.name) ? nil : tensor)
    }
    try refuseOtherParts()
    return notes
  }

  /// Refuses parts of a weight without a supported computation.
  private func refuseOtherParts() throws {
    let rest = tensors.first { tensor in
      let last = Self.split(tensor.name).last
      return tensor.name.contains("parametrizations.")
        || (last.hasPrefix("weight")
          && ["_orig", "_mask", "_g", "_v", "_u"].contains(where: last.hasSuffix))
    }
    guard let rest else { return }
    throw file.error(
      rest.fileName,
      expected: "a whole weight, or the parts of weight_norm, spectral_norm or prune",
      found: "a part of a parametrization of another kind, or without its other parts",
      fix: "do not ignore a part; else compute the weight in PyTorch "
        + "(`torch.nn.utils.parametrize.remove_parametrizations(module, \"weight\")`) and save the "
        + "state_dict")
  }

  private typealias Parts = (name: String, recipe: WeightRecipe, used: [String])

  /// Returns the parts of a weight of which a tensor is the one with its shape, if any.
  private func parts(of name: String, in byName: [String: StoredTensor]) throws -> Parts? {
    let (path, last) = Self.split(name)
    if let mark = path.range(of: "parametrizations.") {
      // PATH.parametrizations.WEIGHT.original1
      let weight = path[mark.upperBound...].dropLast()
      let target = String(path[..<mark.lowerBound] + weight)
      if last == "original1", let magnitude = byName["\(path)original0"] {
        return (target, .normalized(magnitude: magnitude), ["\(path)original0", name])
      }
      if last == "original", let left = byName["\(path)0._u"], let right = byName["\(path)0._v"] {
        return (
          target, .spectral(left: left, right: right), [name, "\(path)0._u", "\(path)0._v"]
        )
      }
      return nil
    }
    if last.hasSuffix("_v") {
      let base = name.dropLast(2)
      guard let magnitude = byName["\(base)_g"] else { return nil }
      return (String(base), .normalized(magnitude: magnitude), ["\(base)_g", name])
    }
    guard last.hasSuffix("_orig") else { return nil }
    let base = name.dropLast(5)
    if let mask = byName["\(base)_mask"] {
      return (String(base), .masked(by: mask), [name, "\(base)_mask"])
    }
    if let left = byName["\(base)_u"], let right = byName["\(base)_v"] {
      return (
        String(base), .spectral(left: left, right: right), [name, "\(base)_u", "\(base)_v"]
      )
    }
    return nil
  }

  private func check(_ recipe: WeightRecipe, shape: Shape, name: String) throws {
    let dimensions = shape.dimensions
    let fits: Bool
    switch recipe {
    case .normalized(let magnitude):
      let sizes = magnitude.shape.dimensions
      let axes = dimensions.indices.filter { sizes.count == dimensions.count && sizes[$0] != 1 }
      fits =
        sizes.isEmpty
        || (sizes.count == dimensions.count && axes.count <= 1
          && axes.allSatisfy { sizes[$0] == dimensions[$0] })
    case .spectral(let left, let right):
      fits =
        dimensions.count == 2 && left.shape == [dimensions[0]] && right.shape == [dimensions[1]]
    case .masked(let mask): fits = mask.shape == shape
    }
    guard fits else {
      let others = recipe.tensors.map { $0.shape.description }
      throw file.error(
        name, expected: "parts that make one weight by \(recipe.name)",
        found: "shapes \(shape) and \(list(others))",
        fix:
          "compute the weight in PyTorch (remove_weight_norm, remove_spectral_norm, prune.remove) "
          + "and save the state_dict")
    }
  }

  // MARK: - Numbers

  /// Returns the values of a tensor as the model uses them.
  ///
  /// - Parameters:
  ///   - tensor: The tensor.
  ///   - room: The number of bytes that may be copied. Out: reduced by the copied bytes.
  /// - Returns: The values; for a computed weight in f64 if the file has f64, else in f32.
  /// - Throws: The errors of `TensorContainer.contents(of:named:room:)`.
  func contents(of tensor: NamedTensor, room: inout Int) throws -> Tensor {
    var result = try file.contents(of: tensor.tensor, named: tensor.name, room: &room)
    if let recipe = tensor.recipe {
      let parts = try recipe.tensors.map { part in
        try file.contents(of: part, named: tensor.name, room: &room).doubles
      }
      let computed = recipe.values(
        result.doubles, rows: tensor.tensor.shape.dimensions.first ?? 1, parts: parts,
        isByColumn: recipe.isByColumn(tensor.tensor.shape))
      result =
        result.dtype == .float64
        ? Tensor(
          shape: result.shape, dtype: .float64,
          storage: .owned(computed.withUnsafeBytes { Array($0) })) ?? result
        : Tensor(computed.map(Float.init), shape: result.shape)
    }
    return result
  }
}

extension WeightRecipe {
  /// Returns `true` if a magnitude has one number for each column of a matrix rather than for each
  /// row.
  fileprivate func isByColumn(_ shape: Shape) -> Bool {
    guard case .normalized(let magnitude) = self, shape.rank == 2, magnitude.shape.rank == 2
    else { return false }
    return magnitude.shape.dimensions[0] == 1 && magnitude.shape.dimensions[1] != 1
  }

  /// Computes the weight.
  ///
  /// - Parameters:
  ///   - values: The values of the stored weight, row-major.
  ///   - rows: The number of its rows.
  ///   - parts: The values of `tensors`.
  ///   - isByColumn: `true` if a magnitude belongs to a column.
  /// - Returns: The values of the weight, row-major.
  fileprivate func values(
    _ values: [Double], rows: Int, parts: [[Double]], isByColumn: Bool
  ) -> [Double] {
    let columns = values.count / max(1, rows)
    switch self {
    case .masked: return zip(values, parts[0]).map(*)
    case .spectral:
      var sigma = 0.0
      for row in 0..<rows {
        let product = (0..<columns).reduce(0.0) { $0 + values[row * columns + $1] * parts[1][$1] }
        sigma += parts[0][row] * product
      }
      return values.map { $0 / sigma }
    case .normalized:
      let magnitudes = parts[0]
      func group(_ index: Int) -> Int {
        magnitudes.count == 1 ? 0 : isByColumn ? index % columns : index / columns
      }
      var squares = [Double](repeating: 0, count: magnitudes.count)
      for (index, value) in values.enumerated() { squares[group(index)] += value * value }
      return values.enumerated().map { index, value in
        value * (magnitudes[group(index)] / squares[group(index)].squareRoot())
      }
    }
  }
}
