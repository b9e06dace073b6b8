// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Rule Q008.

import UnrollTensors

extension Rule {
  /// The spectral radius of a plain recurrent layer's `weight_hh` SHOULD be within bounds.
  static let recurrenceKeepsItsSize = Rule(
    id: "Q008", level: .note, cost: .bytes,
    summary: """
      The spectral radius of the `weight_hh` of a plain recurrent layer of 8 to 2,048 units SHOULD \
      be at least 0.05, and at most 5 with tanh and 2 with relu.
      """,
    why: """
      A state, or its gradient, grows or shrinks by this factor with every token: far below 1 the \
      layer remembers nothing, far above 1 it saturates (tanh) or explodes (relu). Layers that \
      were trained had 0.7 to 2.4. Gated layers have no such bound: the gates hold the state.
      """,
    example: "`/model/layers/00/weight_hh` of a layer with relu has a spectral radius of 3.1.",
    fix: "train with a smaller learning rate, clipping, or an orthogonal start of `weight_hh`"
  ) { contents in
    (contents.architecture?.layers ?? []).enumerated().compactMap { index, layer in
      let path = ParameterPath.layer(index, .weightHH).description
      // Larger ones take longer to multiply than their file takes to read.
      guard layer.cell == .rnn, (8...2048).contains(layer.hiddenSize),
        contents.summaries[path]?.isFinite == true, let weight = contents.tensor(path)?.floats()
      else { return nil }
      let radius = spectralRadius(of: weight, size: layer.hiddenSize)
      let bounds: ClosedRange<Float> = layer.activation == .relu ? 0.05...2 : 0.05...5
      guard !bounds.contains(radius) else { return nil }
      return Violation(
        object: path,
        expected: "a spectral radius from \(bounds.lowerBound) to \(bounds.upperBound)",
        found: "about \(radius)")
    }
  }
}

/// Returns the largest absolute value of a matrix's eigenvalues, to about a tenth.
///
/// By Gelfand's formula: the mean growth of a vector under the matrix, which also converges where the
/// largest eigenvalues are a complex pair, and a power iteration does not.
///
/// - Parameters:
///   - matrix: The rows, `[H, H]`.
///   - H: The size, at least 1.
/// - Returns: The estimate; 0 for a matrix that takes the vector to 0.
private func spectralRadius(of matrix: [Float], size H: Int) -> Float {
  // Signs in no regular order, the same in every run.
  var vector = (0..<H).map { ($0 * ($0 + 1) / 2) % 3 == 0 ? Float(1) : -1 }
  var growth = 1.0
  for step in 0..<24 {
    let product = matrix.withUnsafeBufferPointer { matrix in
      vector.withUnsafeBufferPointer { vector in
        (0..<H).map { dot(UnsafeBufferPointer(rebasing: matrix[$0 * H..<($0 + 1) * H]), vector) }
      }
    }
    let norm = product.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
    guard norm > 0, norm.isFinite else { return Float(norm) }
    // The first 8 products turn the vector; the mean is that of the other 16.
    if step >= 8 { growth *= norm.squareRoot().squareRoot().squareRoot().squareRoot() }
    vector = product.map { Float(Double($0) / norm) }
  }
  return Float(growth)
}

/// Returns the product of two vectors of equal length.
private func dot(_ a: UnsafeBufferPointer<Float>, _ b: UnsafeBufferPointer<Float>) -> Float {
  var sums = SIMD16<Float>()
  var place = 0
  let (left, right) = (UnsafeRawBufferPointer(a), UnsafeRawBufferPointer(b))
  while place + 16 <= a.count {
    let offset = place * MemoryLayout<Float>.size
    sums +=
      left.loadUnaligned(fromByteOffset: offset, as: SIMD16<Float>.self)
      * right.loadUnaligned(fromByteOffset: offset, as: SIMD16<Float>.self)
    place += 16
  }
  return (place..<a.count).reduce(sums.sum()) { $0 + a[$1] * b[$1] }
}
