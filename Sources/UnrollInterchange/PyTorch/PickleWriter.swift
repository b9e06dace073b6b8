// Writes pickles of protocol 2 with the same opcodes as Python's pickler.

/// A pickle under construction.
///
/// Like Python's pickler, it memoizes values and refers to the memo when a string or name repeats.
/// Equal values give equal bytes.
struct PickleWriter {
  /// The opcodes so far.
  private(set) var bytes: [UInt8] = []
  private var memoized: [String: Int] = [:]
  private var memoCount = 0

  /// Starts a pickle.
  init() {
    put(.proto)
    bytes.append(2)
  }

  /// Writes an opcode without argument.
  mutating func put(_ opcode: PickleOpcode) { bytes.append(opcode.rawValue) }

  /// Stores the topmost value in the memo.
  mutating func memoize() {
    if let index = UInt8(exactly: memoCount) {
      put(.binput)
      bytes.append(index)
    } else {
      put(.longBinput)
      bytes.append(littleEndian: UInt32(memoCount))
    }
    memoCount += 1
  }

  /// Writes a string.
  mutating func string(_ text: String) {
    // Python names have no leading space, so names and strings can share the dictionary.
    once(" " + text) { writer in
      writer.put(.binunicode)
      writer.bytes.append(littleEndian: UInt32(text.utf8.count))
      writer.bytes.append(contentsOf: text.utf8)
    }
  }

  /// Writes the name of a class or function.
  mutating func global(_ module: String, _ name: String) {
    once("\(module)\n\(name)\n") { writer in
      writer.put(.global)
      writer.bytes.append(contentsOf: "\(module)\n\(name)\n".utf8)
    }
  }

  /// Writes a nonnegative integer.
  mutating func int(_ number: Int) {
    if let small = UInt8(exactly: number) {
      put(.binint1)
      bytes.append(small)
    } else if let short = UInt16(exactly: number) {
      put(.binint2)
      bytes.append(littleEndian: short)
    } else if let long = Int32(exactly: number) {
      put(.binint)
      bytes.append(littleEndian: long)
    } else {
      // Little-endian two's complement of minimal length, including the sign bit.
      let count = (Int.bitWidth - number.leadingZeroBitCount) / 8 + 1
      put(.long1)
      bytes.append(UInt8(count))
      bytes.append(contentsOf: (0..<count).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) })
    }
  }

  /// Writes a floating-point number.
  mutating func double(_ number: Double) {
    put(.binfloat)
    bytes.append(contentsOf: withUnsafeBytes(of: number.bitPattern.bigEndian, Array.init))
  }

  /// Writes a dictionary; the closure writes keys and values alternately.
  mutating func dictionary(_ entries: (inout PickleWriter) -> Void) {
    put(.emptyDict)
    memoize()
    put(.mark)
    entries(&self)
    put(.setitems)
  }

  /// Writes a list; the closure writes its items.
  mutating func list(_ items: (inout PickleWriter) -> Void) {
    put(.emptyList)
    memoize()
    put(.mark)
    items(&self)
    put(.appends)
  }

  /// Writes a tuple of at most three integers.
  mutating func tuple(_ numbers: [Int]) {
    guard !numbers.isEmpty else { return put(.emptyTuple) }
    precondition(numbers.count <= 3, "longer tuples start with MARK")
    for number in numbers { int(number) }
    put([.tuple1, .tuple2, .tuple3][numbers.count - 1])
    memoize()
  }

  /// Writes a value the first time, and a memo reference afterwards.
  private mutating func once(_ key: String, _ write: (inout PickleWriter) -> Void) {
    guard let index = memoized[key] else {
      write(&self)
      memoized[key] = memoCount
      memoize()
      return
    }
    if let index = UInt8(exactly: index) {
      put(.binget)
      bytes.append(index)
    } else {
      put(.longBinget)
      bytes.append(littleEndian: UInt32(index))
    }
  }
}
