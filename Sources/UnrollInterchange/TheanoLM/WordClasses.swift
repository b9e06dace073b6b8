// Word classes: a model of classes written out as one of words.

import UnrollTensors

/// The classes of the words of a model, whose output is a softmax over classes.
///
/// A word has the probability of its class times its share of the class. A softmax over words gives the same if each word
/// has the row of its class, and the logarithm of its share added to the bias: the shares of a class add up to 1.
struct WordClasses {
  /// The class of each word.
  let classes: [Int32]
  /// The logarithm of the share that each word has of its class.
  let logShares: [Double]
  /// The number of classes, C.
  let count: Int

  /// Divides numbers of words by the sum of their class, as TheanoLM does when it reads a file.
  ///
  /// `nil` if a class number is negative or has no word, or a number is not above 0.
  ///
  /// - Parameters:
  ///   - classes: The class of each word.
  ///   - probabilities: A number above 0 for each word.
  init?(_ classes: [Int], probabilities: [Double]) {
    let count = (classes.max() ?? -1) + 1
    guard !classes.isEmpty, classes.allSatisfy({ $0 >= 0 }), count <= classes.count,
      Set(classes).count == count, probabilities.allSatisfy({ $0 > 0 && $0.isFinite })
    else { return nil }
    var sums = [Double](repeating: 0, count: count)
    for (number, probability) in zip(classes, probabilities) { sums[number] += probability }
    guard sums.allSatisfy(\.isFinite), zip(classes, probabilities).allSatisfy({ $1 / sums[$0] > 0 })
    else { return nil }
    self.classes = classes.map { Int32($0) }
    self.count = count
    logShares = zip(classes, probabilities).map { Elementary.log($1 / sums[$0]) }
  }

  /// `true` if each word is a class of its own, of the same number.
  var areWords: Bool { classes.elementsEqual(0..<Int32(classes.count)) }

  /// Returns rows of words from rows of classes.
  ///
  /// - Parameter tensor: `[C, N]`
  /// - Returns: `[V, N]` of the same type.
  func rows(_ tensor: Tensor) -> Tensor {
    let size = tensor.shape.dimensions.dropFirst().reduce(tensor.dtype.size, *)
    let bytes = tensor.withUnsafeBytes { source in
      classes.flatMap { source[Int($0) * size..<(Int($0) + 1) * size] }
    }
    let shape = Shape([classes.count] + tensor.shape.dimensions.dropFirst())
    guard let rows = Tensor(shape: shape, dtype: tensor.dtype, storage: .owned(bytes)) else {
      preconditionFailure("rows of a tensor are a tensor")
    }
    return rows
  }

  /// Returns the bias of words from that of classes, in f64: its sums with shares are exact enough there.
  ///
  /// - Parameter bias: `[C]`
  /// - Returns: `[V]`
  func bias(_ bias: Tensor) -> Tensor {
    let numbers = bias.doubles
    return Tensor(zip(classes, logShares).map { numbers[Int($0)] + $1 })
  }
}
