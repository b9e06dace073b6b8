// Messages of Protocol Buffers, written and read.

import Testing
import UnrollSerialization
import UnrollTensors

@Suite("The wire format of Protocol Buffers") struct WireTests {
  @Test("The examples of the documentation of Protocol Buffers have their bytes")
  func knownBytes() {
    var number = WireWriter()
    number.add(1, 150)
    #expect(number.bytes == [0x08, 0x96, 0x01])
    var text = WireWriter()
    text.add(2, "testing")
    #expect(text.bytes == [0x12, 0x07] + Array("testing".utf8))
    var nested = WireWriter()
    nested.add(3) { $0.add(1, 150) }
    #expect(nested.bytes == [0x1a, 0x03, 0x08, 0x96, 0x01])
    var negative = WireWriter()
    negative.add(1, -2)
    #expect(negative.bytes == [0x08, 0xfe] + [UInt8](repeating: 0xff, count: 8) + [0x01])
  }

  @Test("Each kind of field is read as it was written")
  func everyKind() throws {
    var writer = WireWriter()
    writer.add(1, Int.min)
    writer.add(2, Float(-1.5))
    writer.add(3, 0.1)
    writer.add(4, fixed32: 0xdead_beef)
    writer.add(5, "ein Fluss: ο ποταμός")
    writer.add(6, packed: [1, -0.0, .infinity])
    writer.add(7) { inner in
      inner.add(1, 300)
      inner.add(2) { _ in }
    }
    writer.add(1 << 20, 7)
    let message = try #require(WireMessage(writer.bytes))
    #expect(message.int(1) == Int.min)
    #expect(message.float(2) == -1.5)
    #expect(message.doubles(3) == [0.1])
    #expect(message.fixed32(4) == 0xdead_beef)
    #expect(message.text(5) == "ein Fluss: ο ποταμός")
    #expect(message.doubles(6)?.map(\.bitPattern) == [1, -0.0, .infinity].map(\.bitPattern))
    let inner = try #require(message.range(7).flatMap(message.message))
    #expect(inner.int(1) == 300 && inner.range(2)?.isEmpty == true)
    #expect(message.int(1 << 20) == 7)
  }

  @Test("Large bytes stay parts of their own, and the count is that of all")
  func partsAreNotCopied() throws {
    let large = [UInt8](repeating: 7, count: 5000)
    var writer = WireWriter()
    writer.add(1, "before")
    writer.add(2) { $0.add(3, [.owned(large), .owned([1, 2])]) }
    writer.add(4, 1)
    #expect(writer.finished.contains { $0.count == 5000 })
    #expect(writer.count == writer.bytes.count)
    let message = try #require(WireMessage(writer.bytes))
    let inner = try #require(message.range(2).flatMap(message.message))
    #expect(inner.bytes(3) == large + [1, 2] && message.int(4) == 1)
  }

  @Test("A message that is cut off is none", arguments: 1..<10)
  func cutOff(count: Int) {
    var writer = WireWriter()
    writer.add(1, fixed32: 5)
    writer.add(2, "text")
    let isWhole = count == 5
    #expect((WireMessage(Array(writer.bytes.prefix(count))) != nil) == isWhole)
  }
}
