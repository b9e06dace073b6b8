// Numbers as C's printf writes them.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

extension String {
  /// Creates a text as C's `printf` writes it, such as `String(printf: "%.2f", 1.5)`, "1.50".
  ///
  /// Foundation's `String(format:)` gives the same text, but adds 34 MB of ICU's data to the program.
  ///
  /// - Parameters:
  ///   - format: The format of `printf(3)`, for arguments of these types: `%ld` for `Int`.
  ///   - arguments: The numbers.
  package init(printf format: String, _ arguments: any CVarArg...) {
    var buffer = [CChar](repeating: 0, count: 64)
    var length = fill(&buffer, format, arguments)
    if length >= buffer.count {
      buffer = [CChar](repeating: 0, count: length + 1)
      length = fill(&buffer, format, arguments)
    }
    self.init(decoding: buffer.prefix(length).map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}

/// Fills a buffer with as much of a text as fits, and a NUL; returns the number of bytes of the whole text.
private func fill(
  _ buffer: inout [CChar], _ format: String, _ arguments: [any CVarArg]
) -> Int {
  max(0, Int(withVaList(arguments) { vsnprintf(&buffer, buffer.count, format, $0) }))
}
