// Memory for numbers that a computation writes and reads again.

/// Memory of numbers: owned, aligned to a cache line, and only growing.
///
/// Its address stays the same until it grows, so a computation asks for it once. One computation at a time may use it.
final class ScratchBuffer<Element: BitwiseCopyable & Numeric>: @unchecked Sendable {
  /// The numbers that there is room for, at least one.
  private(set) var count: Int
  /// The address of the first, valid until the buffer grows or ends.
  private(set) var start: UnsafeMutablePointer<Element>

  /// Creates a buffer for one number.
  init() {
    start = Self.allocate(1)
    count = 1
  }

  deinit { start.deallocate() }

  /// Makes room for at least a number of elements: zeros where the buffer grows, else what is there.
  ///
  /// - Parameter needed: The number of elements.
  /// - Returns: The address of the first.
  func room(for needed: Int) -> UnsafeMutablePointer<Element> {
    if needed > count {
      // The old memory goes before the new comes.
      start.deallocate()
      start = Self.allocate(needed)
      count = needed
    }
    return start
  }

  private static func allocate(_ count: Int) -> UnsafeMutablePointer<Element> {
    let memory = UnsafeMutableRawPointer.allocate(
      byteCount: count * MemoryLayout<Element>.stride, alignment: 64)
    return memory.initializeMemory(as: Element.self, repeating: 0, count: count)
  }
}
