// Values of pairs of symbols, found by hashing.

/// Two symbols, ordered by the first and then the second.
struct SymbolPair: Hashable, Comparable, Sendable {
  fileprivate let key: UInt64

  init(_ left: Int32, _ right: Int32) {
    key = UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  var left: Int32 { Int32(truncatingIfNeeded: key >> 32) }
  var right: Int32 { Int32(truncatingIfNeeded: key) }

  static func < (a: SymbolPair, b: SymbolPair) -> Bool { a.key < b.key }
}

/// Values by pairs of symbols, whose numbers are not negative.
struct PairTable<Value: Sendable>: Sendable {
  /// Open addressing; a power of two, at least twice the pairs.
  private var keys: [UInt64]
  private var values: [Value]
  private(set) var count = 0
  private let empty: Value
  /// Random and odd, so that a file cannot be made to collide.
  private let multiplier = UInt64.random(in: 0...UInt64.max) | 1

  /// Creates a table; `empty` is any value.
  init(empty: Value) {
    self.empty = empty
    keys = [UInt64](repeating: .max, count: 16)
    values = [Value](repeating: empty, count: 16)
  }

  @inline(__always)
  private func slot(of key: UInt64) -> Int {
    let mixed = key &* multiplier
    var slot = Int(truncatingIfNeeded: mixed ^ (mixed >> 32)) & (keys.count - 1)
    while keys[slot] != .max && keys[slot] != key { slot = (slot + 1) & (keys.count - 1) }
    return slot
  }

  @inline(__always)
  subscript(pair: SymbolPair) -> Value? {
    let slot = slot(of: pair.key)
    return keys[slot] == pair.key ? values[slot] : nil
  }

  mutating func set(_ pair: SymbolPair, to value: Value) {
    if 2 * count >= keys.count { grow() }
    let slot = slot(of: pair.key)
    if keys[slot] == .max { count += 1 }
    (keys[slot], values[slot]) = (pair.key, value)
  }

  private mutating func grow() {
    let old = zip(keys, values).filter { $0.0 != .max }
    keys = [UInt64](repeating: .max, count: 2 * keys.count)
    values = [Value](repeating: empty, count: keys.count)
    for (key, value) in old {
      let slot = slot(of: key)
      (keys[slot], values[slot]) = (key, value)
    }
  }
}
