// Inventories to bytes and back; bytes that are none.

import TestSupport
import Testing
import UnrollHDF5

@Suite("Encoded inventories") struct InventoryCodingTests {
  /// The inventory, its numbers by their bits: NaN is not equal to itself.
  private func comparable(_ inventory: Inventory) -> Inventory {
    var inventory = inventory
    for index in inventory.objects.indices {
      inventory.objects[index].attributes = inventory.objects[index].attributes.mapValues {
        guard case .number(let number) = $0 else { return $0 }
        return .text("\(number.bitPattern)")
      }
    }
    return inventory
  }

  @Test("Every inventory comes back from its bytes")
  func roundTrip() throws {
    var generator = SeededGenerator(seed: 31)
    for _ in 0..<2000 {
      let inventory = generator.inventory()
      let read = try #require(Inventory(encoded: inventory.encoded[...]))
      #expect(comparable(read) == comparable(inventory))
    }
  }

  @Test("Truncated or extended bytes are no inventory")
  func truncatedBytes() {
    var generator = SeededGenerator(seed: 32)
    for _ in 0..<20 {
      let bytes = generator.inventory().encoded
      for count in bytes.indices {
        #expect(Inventory(encoded: bytes[..<count]) == nil, "\(count) of \(bytes.count)")
      }
      #expect(Inventory(encoded: (bytes + [0])[...]) == nil)
    }
  }

  /// A count that is too large, or negative, is not believed.
  @Test("False counts in the bytes are refused or read, and never trap")
  func falseCounts() {
    var generator = SeededGenerator(seed: 33)
    var refused = 0
    for _ in 0..<5000 {
      var bytes = generator.inventory().encoded
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        let place = Int.random(in: 0..<bytes.count, using: &generator)
        switch Int.random(in: 0..<3, using: &generator) {
        case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        case 1: bytes[place] = generator.one(of: [0, 1, 0x7F, 0x80, 0xFF])
        default:
          let end = min(place + 8, bytes.count)
          bytes.replaceSubrange(place..<end, with: [UInt8](repeating: 0xFF, count: end - place))
        }
      }
      if Inventory(encoded: bytes[...]) == nil { refused += 1 }
    }
    #expect(refused > 2000, "\(refused)")
  }

  @Test("Text that is not UTF-8 is refused")
  func invalidUTF8() {
    let inventory = Inventory(objects: [
      InventoryObject(path: "/~", kind: .group, linkCount: 1)
    ])
    let bytes = inventory.encoded.map { $0 == UInt8(ascii: "~") ? 0xFF : $0 }
    #expect(Inventory(encoded: bytes[...]) == nil)
  }

  @Test("An inventory of more objects than the limit is refused")
  func objectLimit() {
    let object = InventoryObject(path: "/", kind: .group, linkCount: 1)
    let most = Inventory(
      objects: [InventoryObject](repeating: object, count: Inventory.maximumObjects))
    #expect(Inventory(encoded: most.encoded[...]) == most)
    let more = Inventory(objects: most.objects + [object])
    #expect(Inventory(encoded: more.encoded[...]) == nil)
  }
}
