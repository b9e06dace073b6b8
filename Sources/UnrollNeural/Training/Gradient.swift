// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Gradients of parameters: whole, or only the rows that a window touched.

import CUnrollKernels
import UnrollFormat

/// The gradient of a loss with respect to one parameter.
enum Gradient: Sendable {
  /// One number for each number of the parameter.
  case dense([Float])
  /// Rows of a matrix; the others are zero.
  case rows(RowGradient)

  /// The sum of the squares of all numbers.
  var sumOfSquares: Double {
    switch self {
    case .dense(let values): unroll_sum_of_squares(values, values.count)
    case .rows(let rows): unroll_sum_of_squares(rows.values, rows.values.count)
    }
  }

  /// Adds the gradient to a sum of whole gradients.
  func add(to sum: inout [Float]) {
    switch self {
    case .dense(let values):
      sum.withUnsafeMutableBufferPointer { unroll_add($0.start, values, values.count) }
    case .rows(let rows): rows.add(to: &sum)
    }
  }

  /// Adds a gradient of the same kind: whole ones, or rows.
  mutating func add(_ other: Gradient) {
    if case .rows(var rows) = self, case .rows(let others) = other {
      rows.add(others)
      self = .rows(rows)
    } else if var sum = takeNumbers() {
      other.add(to: &sum)
      self = .dense(sum)
    }
  }

  /// The numbers of a whole gradient; none of rows.
  var numbers: [Float] {
    if case .dense(let numbers) = self { return numbers }
    return []
  }

  /// Returns the numbers of a whole gradient and leaves none, so that they can change in place.
  mutating func takeNumbers() -> [Float]? {
    guard case .dense(let numbers) = self else { return nil }
    self = .dense([])
    return numbers
  }

  /// `true` if all numbers are finite.
  var isFinite: Bool {
    switch self {
    case .dense(let values): unroll_all_finite(values, values.count)
    case .rows(let rows): unroll_all_finite(rows.values, rows.values.count)
    }
  }
}

extension ParameterTree<Gradient> {
  /// Changes the numbers of a whole gradient in place.
  ///
  /// - Returns: The result of the closure, or `nil` for rows, or without a gradient.
  mutating func updateNumbers<Result>(
    _ path: ParameterPath, _ body: (inout [Float]) throws -> Result
  ) rethrows -> Result? {
    guard var numbers = update(path, { $0.takeNumbers() }) ?? nil else { return nil }
    defer { self[path] = .dense(numbers) }
    return try body(&numbers)
  }
}

/// The gradient of an embedding in a window that reads only some of its rows.
struct RowGradient: Sendable {
  /// The numbers of a row, D.
  let width: Int
  /// The U tokens of the window, each once, in order.
  private(set) var tokens: [Int32]
  /// The rows of those tokens, `[U, D]`.
  private(set) var values: [Float]

  /// No rows.
  init(width: Int) {
    self.width = width
    tokens = []
    values = []
  }

  /// Sums the gradients of the positions of each token, in the order of the positions.
  ///
  /// - Parameters:
  ///   - inputs: `[T*B]` the tokens.
  ///   - gradients: `[T*B, D]` the gradients of their embeddings.
  ///   - width: D.
  init(inputs: [Int32], gradients: UnsafePointer<Float>, width: Int) {
    let tokens = Set(inputs).sorted()
    var values = [Float](repeating: 0, count: tokens.count * width)
    let index = Dictionary(uniqueKeysWithValues: zip(tokens, 0...))
    values.withUnsafeMutableBufferPointer { values in
      for (place, token) in inputs.enumerated() {
        guard let row = index[token] else { continue }
        unroll_add(values.start + row * width, gradients + place * width, width)
      }
    }
    self.width = width
    self.tokens = tokens
    self.values = values
  }

  /// Takes rows as they are.
  fileprivate init(width: Int, tokens: [Int32], values: [Float]) {
    self.width = width
    self.tokens = tokens
    self.values = values
  }

  /// Multiplies each row by a number of its token.
  mutating func scale(by factor: (Int32) -> Float) {
    for (index, token) in tokens.enumerated() {
      let mask = factor(token)
      for place in index * width..<(index + 1) * width { values[place] *= mask }
    }
  }

  /// Adds the rows to a whole gradient.
  ///
  /// - Parameter gradient: `[V, D]`
  func add(to gradient: inout [Float]) {
    gradient.withUnsafeMutableBufferPointer { gradient in
      values.withUnsafeBufferPointer { values in
        for (index, token) in tokens.enumerated() {
          unroll_add(gradient.start + Int(token) * width, values.start + index * width, width)
        }
      }
    }
  }
}

// MARK: - Sums of rows

extension RowGradient {
  /// Adds the rows of another gradient: a row of one of them stays as it is.
  mutating func add(_ other: RowGradient) {
    var sum = RowGradient(width: width)
    sum.reserve(tokens.count + other.tokens.count)
    var (own, others) = (0, 0)
    while own < tokens.count || others < other.tokens.count {
      let isOwn =
        others == other.tokens.count
        || (own < tokens.count && tokens[own] <= other.tokens[others])
      guard isOwn else {
        sum.append(other, others)
        others += 1
        continue
      }
      sum.append(self, own)
      if others < other.tokens.count, tokens[own] == other.tokens[others] {
        sum.addToLast(other, others)
        others += 1
      }
      own += 1
    }
    self = sum
  }

  private mutating func reserve(_ count: Int) {
    tokens.reserveCapacity(count)
    values.reserveCapacity(count * width)
  }

  private mutating func append(_ other: RowGradient, _ index: Int) {
    tokens.append(other.tokens[index])
    values += other.values[index * width..<(index + 1) * width]
  }

  private mutating func addToLast(_ other: RowGradient, _ index: Int) {
    let first = values.count - width
    values.withUnsafeMutableBufferPointer { values in
      other.values.withUnsafeBufferPointer {
        unroll_add(values.start + first, $0.start + index * width, width)
      }
    }
  }

  /// Returns the rows of some tokens.
  func selecting(_ isChosen: (Int32) -> Bool) -> RowGradient {
    var chosen = RowGradient(width: width)
    for (index, token) in tokens.enumerated() where isChosen(token) { chosen.append(self, index) }
    return chosen
  }

  /// The rows as bytes: their number, tokens and values, for a rank of the same kind of machine.
  var encoded: [UInt8] {
    withUnsafeBytes(of: tokens.count) { Array($0) } + tokens.withUnsafeBytes { Array($0) }
      + values.withUnsafeBytes { Array($0) }
  }

  /// Returns the gradients whose bytes follow each other.
  static func decoded(_ bytes: [UInt8], width: Int) -> [RowGradient] {
    var rows: [RowGradient] = []
    bytes.withUnsafeBytes { bytes in
      var place = 0
      func take<Element>(_ count: Int, _ zero: Element) -> [Element] {
        let size = count * MemoryLayout<Element>.size
        defer { place += size }
        var elements = Array(repeating: zero, count: count)
        elements.withUnsafeMutableBytes {
          $0.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[place..<place + size]))
        }
        return elements
      }
      while place < bytes.count {
        let count = take(1, 0)[0]
        let tokens = take(count, Int32(0))
        rows.append(
          RowGradient(width: width, tokens: tokens, values: take(count * width, Float(0))))
      }
    }
    return rows
  }
}
