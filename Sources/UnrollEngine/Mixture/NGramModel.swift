// A backoff n-gram model.

import UnrollTensors

/// A backoff n-gram model, as the ARPA format describes it.
///
/// N-grams form a tree: the child w of the n-gram `v1 ... vn` is the n-gram `v1 ... vn w`.
public struct NGramModel: Sendable {
  /// The path of the file, for messages.
  public let path: String
  /// The length of the longest n-grams.
  public internal(set) var order = 0
  /// The words; their ids are those of their unigrams.
  var words: [[UInt8]: Int32] = [:]
  /// By n-gram the base-10 logarithm of its probability, after the words before the last one.
  var probabilities: [Float] = []
  /// By n-gram the base-10 logarithm of the weight of shorter contexts after it.
  var backoffs: [Float] = []
  /// The children of n-grams, by the index of the n-gram and the word.
  private var children: [UInt64: Int32] = [:]

  init(path: String) { self.path = path }

  /// The number of words, `<s>`, `</s>` and `<unk>` included.
  public var wordCount: Int { words.count }
  /// The number of n-grams of all lengths.
  public var count: Int { probabilities.count }

  private static func key(_ context: Int32, _ word: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: context)) << 32 | UInt64(UInt32(bitPattern: word))
  }

  /// Returns the n-gram of words; `nil` if the model lacks it.
  func ngram(_ words: some Sequence<Int32>) -> Int32? {
    var found: Int32?
    for word in words {
      guard word >= 0 else { return nil }
      guard let context = found else {
        // The unigrams come first.
        found = word
        continue
      }
      guard let next = children[Self.key(context, word)] else { return nil }
      found = next
    }
    return found
  }

  /// Adds an n-gram of two words or more; returns `false` if there is one.
  mutating func add(_ word: Int32, after context: Int32, probability: Float, backoff: Float) -> Bool
  {
    let index = Int32(probabilities.count)
    guard children.updateValue(index, forKey: Self.key(context, word)) == nil else { return false }
    probabilities.append(probability)
    backoffs.append(backoff)
    return true
  }

  /// Returns the logarithm of the probability of a word.
  ///
  /// - Parameters:
  ///   - word: The word; negative for one that the model gives no probability.
  ///   - context: The words before it, last one last; negative for words outside the model.
  /// - Returns: The natural logarithm.
  func logProbability(of word: Int32, after context: ArraySlice<Int32>) -> Double {
    guard word >= 0 else { return -.infinity }
    var sum = 0.0
    for length in stride(from: min(order - 1, context.count), through: 1, by: -1) {
      guard let before = ngram(context.suffix(length)) else { continue }
      if let found = children[Self.key(before, word)] {
        return (sum + Double(probabilities[Int(found)])) * Self.ln10
      }
      sum += Double(backoffs[Int(before)])
    }
    return (sum + Double(probabilities[Int(word)])) * Self.ln10
  }

  private static let ln10 = Elementary.log(10)
}
