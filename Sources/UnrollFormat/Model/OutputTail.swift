// The tails of an adaptive softmax: rare tokens behind entries of the head.

import UnrollTensors

/// The distribution of the output over the vocabulary, by its name on disk.
public enum OutputKind: String, Sendable, Hashable, CaseIterable {
  /// One softmax over all tokens.
  case softmax
  /// A softmax over frequent tokens and the tails, and one over the tokens of each tail (Grave et al. 2017,
  /// "Efficient softmax approximation for GPUs").
  case adaptiveSoftmax = "adaptive_softmax"
}

/// A tail of an adaptive softmax: tokens whose probability is that of the tail times that in the tail.
public struct OutputTail: Sendable, Hashable {
  /// The number of its tokens.
  public var size: Int
  /// The width P of its projection of the hidden state.
  public var projectionSize: Int

  /// Creates the description of a tail.
  public init(size: Int, projectionSize: Int) {
    self.size = size
    self.projectionSize = projectionSize
  }
}

/// The parameters of a tail, by their names on disk.
public enum TailParameter: String, Sendable, Hashable, CaseIterable {
  /// The projection of the hidden state, `[P, H]`.
  case projection
  /// The weight that turns it into the logits of the tail's tokens, `[size, P]`.
  case weight
}

extension Architecture {
  /// The distribution of the output.
  public var outputKind: OutputKind { tails.isEmpty ? .softmax : .adaptiveSoftmax }

  /// The number of tokens that have a row of the output weight: all V without tails.
  public var headSize: Int { max(0, vocabularySize - tails.reduce(0) { $0 + $1.size }) }

  /// The number of rows of the output weight: one for each token of the head, then one for each tail.
  public var outputRows: Int { headSize + tails.count }

  /// The tokens of each tail; those of the head come before them.
  public var tailTokens: [Range<Int>] {
    var start = headSize
    return tails.map { tail in
      defer { start += tail.size }
      return start..<start + tail.size
    }
  }

  /// The first contradiction between the tails and the rest of the model; `nil` if there is none.
  package var contradictionOfTails: (expected: String, found: String)? {
    guard !tails.isEmpty else { return nil }
    let sum = tails.reduce(0) { $0 + $1.size }
    guard tails.allSatisfy({ $0.size > 0 && $0.projectionSize > 0 }), sum < vocabularySize else {
      return (
        "tails with fewer than \(vocabularySize) tokens together, each of a size and a width of at least 1",
        tails.map { "\($0.size) tokens of width \($0.projectionSize)" }.joined(separator: ", ")
      )
    }
    guard !isTied, !hasOutputProjection else {
      return (
        "an adaptive softmax whose weights are its own",
        isTied ? "tied = 1" : "a projection before the head"
      )
    }
    return nil
  }

  /// The parameters of the tails and their shapes, in PyTorch's order.
  var tailParameters: [(path: ParameterPath, shape: Shape)] {
    tails.enumerated().flatMap { index, tail -> [(ParameterPath, Shape)] in
      [
        (.tail(index, .projection), [tail.projectionSize, outputInputSize]),
        (.tail(index, .weight), [tail.size, tail.projectionSize]),
      ]
    }
  }

  /// The tails that PyTorch and fairseq make of the sizes of a vocabulary.
  ///
  /// - Parameters:
  ///   - cutoffs: The first token of each tail, ascending, from 1 to V - 1.
  ///   - factor: Each tail's projection is narrower than the one before by this factor; the first one's than H.
  /// - Returns: The tails, or `nil` where a tail would be empty or its projection without width.
  public func tails(cutoffs: [Int], factor: Double) -> [OutputTail]? {
    var width = Double(outputInputSize)
    var tails: [OutputTail] = []
    guard factor >= 1, cutoffs.first.map({ $0 > 0 }) ?? false else { return nil }
    for (first, end) in zip(cutoffs, cutoffs.dropFirst() + [vocabularySize]) {
      width /= factor
      guard first < end, width >= 1 else { return nil }
      tails.append(OutputTail(size: end - first, projectionSize: Int(width)))
    }
    return tails
  }
}
