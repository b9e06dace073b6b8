// The file of a page, written piece by piece.

import Foundation
import UnrollFormat
import UnrollReport
import UnrollTensors

extension Output {
  /// Writes a page into a file atomically.
  ///
  /// - Throws: `FileError` if that fails, or if a file exists and is not to be replaced.
  static func write(_ page: Document, to path: String, replacing: Bool) throws {
    let file = try AtomicFile(path, replacing: replacing)
    do {
      var output = BufferedFile(try OpenFile(file.temporaryPath, O_TRUNC))
      try page.write(to: &output)
      try output.finish()
      try file.commit()
    } catch {
      file.discard()
      throw error
    }
  }
}

/// A file that texts are written to through a buffer; a failure is an error of `finish`.
private struct BufferedFile: TextOutputStream {
  private let file: OpenFile
  private var buffer: [UInt8] = []
  private var failure: FileError?

  private static let bufferSize = 64 << 10

  init(_ file: OpenFile) { self.file = file }

  mutating func write(_ text: String) {
    buffer.append(contentsOf: text.utf8)
    if buffer.count >= Self.bufferSize { flush() }
  }

  private mutating func flush() {
    do {
      if failure == nil { try file.write(buffer) }
    } catch {
      failure = error
    }
    buffer.removeAll(keepingCapacity: true)
  }

  /// Writes the rest.
  ///
  /// - Throws: `FileError` if a text could not be written.
  mutating func finish() throws(FileError) {
    flush()
    if let failure { throw failure }
  }
}
