// A sample of numbers that is spread evenly over a range.

/// Draws numbers of a range: one from each of `count` equal stretches.
///
/// - Parameters:
///   - count: The number of draws; a range with no more numbers is returned whole.
///   - range: The range to draw from.
///   - seed: The random seed.
///   - stream: The number of the random sequence of the seed.
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
