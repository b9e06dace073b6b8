// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The layers after the recurrent layers of a Keras model: one or two linear layers, or the
// embedding.

import UnrollFormat
import UnrollTensors

extension KerasLanguageModel {
  /// Refuses one-hot vectors whose width differs from the first layer's input.
  func checkEncoding(_ tokens: Int) throws {
    guard architecture.embeddingSize != tokens else { return }
    throw error(
      "config",
      "one-hot vectors of \(architecture.embeddingSize) numbers, as the first layer reads",
      "\(tokens)")
  }

  /// Sets the sizes of the output.
  mutating func addOutput(_ parts: [KerasPart]) throws {
    let tokens =
      architecture.input == .embedding ? architecture.vocabularySize : architecture.embeddingSize
    architecture.vocabularySize = tokens
    guard let last = parts.last else { return }
    if parts.count == 2 {
      try checkCount(parts[0], 1...2)
      let (_, P) = try matrix(parts[0].variables.first, of: parts[0])
      architecture.hasOutputProjection =
        P == architecture.embeddingSize && architecture.input == .embedding
    }
    if case .reversed(let isTied) = last.computes {
      architecture.isTied = isTied
      architecture.hasOutputBias = parts.count == 2 && parts[0].variables.count == 2
      return
    }
    try checkCount(last, 1...2)
    let (_, V) = try matrix(last.variables[0], of: last)
    guard tokens == V else {
      throw file.error(
        last.variables[0].place, expected: "\(tokens) columns, one for each token", found: "\(V)",
        fix: fix(tokens, V))
    }
    architecture.hasOutputBias =
      last.variables.count == 2 || (parts.count == 2 && parts[0].variables.count == 2)
  }

  /// Returns the advice for an output whose size differs from the embedding's.
  private func fix(_ tokens: Int, _ V: Int) -> String {
    if abs(tokens - V) <= 8 {
      return
        "only models that predict each of the tokens that they read are converted: the embedding "
        + "has \(tokens) rows and the output \(V) columns; leave rows that are never used away in Keras"
    }
    return V < tokens / 2 && V <= 1000
      ? "only models that predict each next token are converted, not those that classify texts"
      : "only models that predict each of the tokens that they read are converted"
  }

  /// Sets the output's parameters from its variables.
  mutating func takeOutput(_ parts: [KerasPart]) throws {
    guard let last = parts.last else { return }
    let H = architecture.topSize
    var first: (kernel: Tensor, bias: Tensor?)?
    if parts.count == 2 {
      let (_, P) = try matrix(parts[0].variables[0], of: parts[0])
      first = try linear(parts[0], [H, P])
    }
    let width = first.map { $0.kernel.shape.dimensions[1] } ?? H
    let weight: Tensor
    var bias: Tensor?
    switch last.computes {
    case .reversed(true):
      guard let embedding = parameters[.embeddingWeight] else { return }
      guard architecture.embeddingSize == width else {
        throw error(last.name, "\(width) columns, as many as its input has", "\(embedding.shape)")
      }
      weight = embedding
    case .reversed(false):
      // The variable is in the weight's orientation and the embedding's second one.
      isFolded = true
      weight = try linear(last, [width, architecture.vocabularySize]).kernel.transposed()
    default:
      let found = try linear(last, [width, architecture.vocabularySize])
      weight = found.kernel.transposed()
      bias = found.bias
    }
    try set(weight, bias, behind: first, at: parts[0].name)
  }

  /// Returns the variables of a linear layer.
  private func linear(_ part: KerasPart, _ shape: [Int]) throws -> (kernel: Tensor, bias: Tensor?) {
    try checkCount(part, 1...2)
    let kernel = try tensor(part.variables[0], shape)
    let bias = part.variables.count == 2 ? try tensor(part.variables[1], [shape[1]]) : nil
    return (kernel, bias)
  }

  /// Sets the output's parameters; a linear layer before it becomes the projection, or is
  /// multiplied into the weight.
  private mutating func set(
    _ weight: Tensor, _ bias: Tensor?, behind first: (kernel: Tensor, bias: Tensor?)?,
    at place: String
  ) throws {
    var weight = weight
    var bias = bias
    if let first {
      if let inner = first.bias {
        let product = weight.product(with: inner.reshaped([inner.shape.dimensions[0], 1]))
        let sum = bias.map { zip($0.doubles, product).map(+) } ?? product
        bias = try Tensor(sum).converted(to: weight.dtype)
        fold(place, "its bias is in the output's")
      }
      if architecture.hasOutputProjection {
        parameters[.outputProjection] = first.kernel.transposed()
      } else {
        let columns = first.kernel.shape.dimensions[0]
        try checkProduct(columns, weight.dtype.size, at: place)
        let product = weight.product(with: first.kernel.transposed())
        let dtype = weight.dtype
        weight = try Tensor(product).converted(to: dtype).reshaped([
          architecture.vocabularySize, columns,
        ])
        fold(place, "its kernel is in the output's weight")
      }
    }
    if !architecture.isTied { parameters[.outputWeight] = weight }
    if let bias { parameters[.outputBias] = bias }
  }

  /// Refuses a product of two thin matrices that is far larger than both.
  private func checkProduct(_ columns: Int, _ size: Int, at place: String) throws {
    let (count, isHuge) = architecture.vocabularySize.multipliedReportingOverflow(by: columns)
    let bound = file.byteCount.multipliedReportingOverflow(by: 16)
    guard !isHuge, bound.overflow || count / 16 * size <= bound.partialValue / 16 + (2 << 20) else {
      throw error(
        place, "a product of kernels of at most 16 times the bytes of the file and 32 MiB",
        "[\(architecture.vocabularySize), \(columns)]")
    }
  }

  private mutating func fold(_ place: String, _ what: String) {
    isFolded = true
    notes.append(
      Note(place: place, message: "a linear layer before the output: \(what), rounded once"))
  }
}

extension Tensor {
  /// Returns the product of two matrices, row by row.
  fileprivate func product(with other: Tensor) -> [Double] {
    let rows = shape.dimensions[0]
    let inner = shape.dimensions[1]
    let columns = other.shape.dimensions[1]
    let a = doubles
    let b = other.doubles
    var product = [Double](repeating: 0, count: rows * columns)
    for row in 0..<rows {
      for k in 0..<inner {
        let factor = a[row * inner + k]
        for column in 0..<columns {
          product[row * columns + column] += factor * b[k * columns + column]
        }
      }
    }
    return product
  }
}
