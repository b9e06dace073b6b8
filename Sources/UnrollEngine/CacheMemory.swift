// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The memory of a neural cache.

import UnrollTensors

/// The states and tokens that a cache remembers, oldest first.
struct CacheMemory {
  let cache: NeuralCache
  let H: Int
  private var states: [Float] = []
  private var tokens: [Int32] = []

  init(_ cache: NeuralCache, H: Int) { (self.cache, self.H) = (cache, H) }

  /// Mixes the model's probabilities with the cache's, then adds the targets and their states to
  /// the cache.
  ///
  /// - Parameters:
  ///   - own: `[T]` the model's log-probabilities.
  ///   - targets: `[T]`
  ///   - hidden: `[T, H]` the hidden states that the targets were predicted from.
  /// - Returns: `[T]`
  mutating func mix(_ own: [Float], targets: [Int32], hidden: [Float]) -> [Float] {
    targets.indices.map { t in
      let state = hidden[t * H..<(t + 1) * H]
      let mixed = tokens.isEmpty ? own[t] : mix(own[t], targets[t], state)
      add(state, followedBy: targets[t])
      return mixed
    }
  }

  /// Remembers a state and the token that followed it.
  ///
  /// - Parameters:
  ///   - state: `[H]`
  ///   - token: The token.
  mutating func add(_ state: ArraySlice<Float>, followedBy token: Int32) {
    states += state
    tokens.append(token)
    // Removing old states in large blocks costs less than moving all states at each token.
    if tokens.count == 2 * cache.size {
      tokens.removeFirst(cache.size)
      states.removeFirst(cache.size * H)
    }
  }

  /// Mixes a distribution of the model with the cache's, if there is a state to remember.
  ///
  /// - Parameters:
  ///   - own: `[V]` log-probabilities.
  ///   - state: `[H]` the hidden state that they follow from.
  /// - Returns: `[V]` probabilities.
  func mixed(_ own: ArraySlice<Float>, after state: ArraySlice<Float>) -> [Double] {
    var probabilities = own.map { Elementary.exp(Double($0)) }
    guard !tokens.isEmpty else { return probabilities }
    for index in probabilities.indices { probabilities[index] *= 1 - cache.weight }
    let weights = weights(of: state)
    let sum = weights.reduce(0, +)
    for (weight, token) in zip(weights, tokens.suffix(cache.size)) {
      probabilities[Int(token)] += cache.weight * weight / sum
    }
    return probabilities
  }

  private func mix(_ own: Float, _ target: Int32, _ state: ArraySlice<Float>) -> Float {
    var (sum, ofTarget) = (0.0, 0.0)
    for (weight, token) in zip(weights(of: state), tokens.suffix(cache.size)) {
      sum += weight
      if token == target { ofTarget += weight }
    }
    let mixed = (1 - cache.weight) * Elementary.exp(Double(own)) + cache.weight * ofTarget / sum
    return Float(Elementary.log(mixed))
  }

  /// Returns the weights of the remembered states, at most the size of the cache, relative to the largest.
  private func weights(of state: ArraySlice<Float>) -> [Double] {
    let first = max(0, tokens.count - cache.size)
    let scores = (first..<tokens.count).map { place in
      cache.theta * Double(dot(states[place * H..<(place + 1) * H], state))
    }
    let largest = scores.max() ?? 0
    return scores.map { Elementary.exp($0 - largest) }
  }

  private func dot(_ a: ArraySlice<Float>, _ b: ArraySlice<Float>) -> Float {
    a.withUnsafeBufferPointer { a in
      b.withUnsafeBufferPointer { b in
        // Sixteen partial sums: the compiler may not reorder the additions of a single one.
        var sums = SIMD16<Float>.zero
        let whole = a.count - a.count % 16
        for start in stride(from: 0, to: whole, by: 16) {
          for lane in 0..<16 { sums[lane] += a[start + lane] * b[start + lane] }
        }
        return (whole..<a.count).reduce(sums.sum()) { $0 + a[$1] * b[$1] }
      }
    }
  }
}
