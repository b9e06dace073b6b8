// A sample of places that is spread over all of them.

/// Draws numbers of a range: one of each of `count` equal stretches.
///
/// - Parameters:
///   - count: How many; all numbers of a range that has no more.
///   - range: What they are drawn from.
///   - seed: What decides, with the stream.
///   - stream: Another one gives other numbers.
/// - Returns: Distinct numbers in order.
public func spreadSample(
  _ count: Int, of range: Range<Int>, seed: UInt32, stream: UInt32
) -> [Int] {
  guard count < range.count else { return Array(range) }
  // Apart from the streams of parameters, which are few.
  var random = RandomNumbers(seed: seed, stream: 0x7361_6d70 &+ stream)
  return (0..<max(count, 0)).map { index in
    let start = range.lowerBound + range.count * index / count
    let end = range.lowerBound + range.count * (index + 1) / count
    return start + Int(random.unit() * Double(end - start))
  }
}
