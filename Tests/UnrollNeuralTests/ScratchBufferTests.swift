// Memory that computations use again.

import Testing

@testable import UnrollNeural

@Suite("Scratch buffers") struct ScratchBufferTests {
  @Test("A buffer keeps its numbers and its address until it grows")
  func keepsNumbers() {
    let buffer = ScratchBuffer<Float>()
    let first = buffer.room(for: 100)
    for index in 0..<100 { first[index] = Float(index) }
    #expect(buffer.room(for: 60) == first && buffer.room(for: 100) == first)
    #expect(first[99] == 99 && buffer.count == 100)
  }

  @Test("New room holds zeros and begins at a cache line", arguments: [1, 3, 1000, 1 << 20])
  func beginsWithZeros(count: Int) {
    let buffer = ScratchBuffer<Float>()
    let start = buffer.room(for: count)
    #expect(UInt(bitPattern: start) % 64 == 0)
    #expect(UnsafeBufferPointer(start: start, count: count).allSatisfy { $0 == 0 })
  }

  @Test("A buffer has an address before anything is asked of it")
  func hasAddress() {
    let buffer = ScratchBuffer<UInt16>()
    #expect(buffer.room(for: 0) == buffer.start && buffer.start.pointee == 0)
  }
}
