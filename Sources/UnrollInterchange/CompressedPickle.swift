// Pickles compressed by joblib or gzip.

import CZlib
import UnrollTensors
import UnrollTokenization

/// A compressed pickle, as `joblib.dump(value, path, compress=3)` writes it.
enum CompressedPickle {
  /// Returns the name of a compression that is recognized by its first bytes but not supported.
  private static func otherCompression(_ start: [UInt8]) -> String? {
    // The digit after `BZh` is the block size.
    if start.starts(with: "BZh".utf8), start.dropFirst(4).starts(with: "1AY&".utf8) { return "bz2" }
    let signs: [(name: String, start: [UInt8])] = [
      ("xz", [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00]), ("lzma", [0x5D, 0x00, 0x00]),
      ("lz4", [0x04, 0x22, 0x4D, 0x18]),
    ]
    return signs.first { start.starts(with: $0.start) }?.name
  }

  /// Returns the pickle in a file of zlib or gzip; `nil` if there is none.
  ///
  /// - Throws: `TextError` if the compression is unsupported, or the pickle too large.
  static func contents(of file: MappedFile) throws -> [UInt8]? {
    let start = file.copy(0..<min(file.count, 8))
    if let other = otherCompression(start) {
      throw TextError(
        path: file.path, line: nil, expected: "a pickle, plain or compressed by zlib or gzip",
        found: "compression \(other)",
        fix: "write it again in Python: "
          + "`import joblib; joblib.dump(joblib.load(\"\(file.path)\"), \"plain.joblib\")`")
    }
    // zlib's header: method 8 with a window of 32 KiB, and a multiple of 31.
    let isZlib =
      start.count > 2 && start[0] == 0x78
      && (Int(start[0]) << 8 + Int(start[1])) % 31 == 0 && start[1] & 0x20 == 0
    // joblib before 0.10: `ZF`, and the size as 19 hexadecimal characters.
    let isOldZlib = start.starts(with: [0x5A, 0x46, 0x30, 0x78])
    guard isZlib || isOldZlib || start.starts(with: [0x1F, 0x8B]) else { return nil }
    let header = isOldZlib ? 21 : 0
    guard file.count > header else { return nil }
    let bytes = file.copy(header..<file.count)
    guard let pickle = inflated(bytes, atMost: PickleMachine.largestPickle + 1) else { return nil }
    guard pickle.count <= PickleMachine.largestPickle else {
      throw TextError(
        path: file.path, line: nil, expected: "at most \(PickleMachine.largestPickle) bytes",
        found: "more when decompressed", fix: "list the tokens in a text file, one a line")
    }
    // Pickles of protocols 0 and 1 have no signature.
    let isPickle =
      pickle.first == 0x80
      || (pickle.last == PickleOpcode.stop.rawValue
        && (try? PickleMachine.graph(of: pickle)) != nil)
    return isPickle ? pickle : nil
  }

  /// Inflates a zlib or gzip stream; returns `nil` if it is damaged or truncated.
  private static func inflated(_ bytes: [UInt8], atMost limit: Int) -> [UInt8]? {
    var stream = z_stream()
    let size = CInt(MemoryLayout<z_stream>.size)
    // Adding 32 to the window bits detects zlib or gzip by the header.
    guard bytes.count < 1 << 30, inflateInit2_(&stream, MAX_WBITS + 32, ZLIB_VERSION, size) == Z_OK
    else { return nil }
    defer { inflateEnd(&stream) }
    var result: [UInt8] = []
    var input = bytes
    var block = [UInt8](repeating: 0, count: 1 << 16)
    return input.withUnsafeMutableBufferPointer { input in
      stream.next_in = input.baseAddress
      stream.avail_in = UInt32(input.count)
      while result.count < limit {
        let status = block.withUnsafeMutableBufferPointer { block in
          stream.next_out = block.baseAddress
          stream.avail_out = UInt32(block.count)
          return inflate(&stream, Z_NO_FLUSH)
        }
        let written = block.count - Int(stream.avail_out)
        result += block[..<written]
        if status == Z_STREAM_END { return result }
        guard status == Z_OK, written > 0 || stream.avail_in > 0 else { return nil }
      }
      return result
    }
  }
}
