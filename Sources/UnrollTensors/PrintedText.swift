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
    // Most texts are short: a buffer on the stack.
    let short = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { buffer in
      let length = fill(buffer, format, arguments)
      return (length, length < buffer.count ? text(buffer, length) : nil)
    }
    self =
      short.1
      ?? withUnsafeTemporaryAllocation(of: CChar.self, capacity: short.0 + 1) { buffer in
        text(buffer, fill(buffer, format, arguments))
      }
  }
}

/// Returns the first characters of a buffer.
private func text(_ buffer: UnsafeMutableBufferPointer<CChar>, _ length: Int) -> String {
  String(decoding: UnsafeRawBufferPointer(buffer).prefix(length), as: UTF8.self)
}

/// Fills a buffer with as much of a text as fits, and a NUL; returns the number of bytes of the whole text.
private func fill(
  _ buffer: UnsafeMutableBufferPointer<CChar>, _ format: String, _ arguments: [any CVarArg]
) -> Int {
  max(
    0, Int(withVaList(arguments) { vsnprintf(buffer.baseAddress, buffer.count, format, $0) }))
}
