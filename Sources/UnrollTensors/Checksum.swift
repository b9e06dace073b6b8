// CRC-32C (Castagnoli), as TensorFlow's files have it.

/// Returns the CRC-32C of bytes, masked so that checksums of checksums differ
/// (`tensorflow/core/lib/hash/crc32c.h`).
package func maskedChecksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
  let crc = checksum(bytes)
  return (crc >> 15 | crc << 17) &+ 0xa282_ead8
}

/// Returns the masked CRC-32C of bytes.
package func maskedChecksum(_ bytes: [UInt8]) -> UInt32 {
  bytes.withUnsafeBytes { maskedChecksum($0) }
}

/// Returns the CRC-32C of bytes, eight at a time.
private func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
  checksumTables.withUnsafeBufferPointer { tables in
    var crc = ~0 as UInt32
    var start = 0
    while start + 8 <= bytes.count {
      let eight =
        UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self))
        ^ UInt64(crc)
      crc = 0
      for place in 0..<8 {
        let byte = Int(UInt8(truncatingIfNeeded: eight >> UInt64(8 * place)))
        crc ^= tables[256 * (7 - place) + byte]
      }
      start += 8
    }
    while start < bytes.count {
      crc = tables[Int(UInt8(truncatingIfNeeded: crc) ^ bytes[start])] ^ crc >> 8
      start += 1
    }
    return ~crc
  }
}

/// Eight tables of 256: the checksum of a byte with 0 to 7 zeros behind it.
private let checksumTables: [UInt32] = {
  var tables: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(byte) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0x82f6_3b78 : crc >> 1 }
  }
  for index in 256..<8 * 256 {
    let crc = tables[index - 256]
    tables.append(tables[Int(UInt8(truncatingIfNeeded: crc))] ^ crc >> 8)
  }
  return tables
}()
