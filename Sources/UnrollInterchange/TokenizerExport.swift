// Writes another program's tokenizer file, stored in a checkpoint.

import UnrollFormat
import UnrollTensors
import UnrollTokenization

extension TokenizerDefinition {
  /// Writes the definition byte for byte, atomically.
  ///
  /// - Parameters:
  ///   - path: The output file.
  ///   - replacing: `true` to replace an existing file; otherwise it is preserved.
  /// - Throws: `FileError` if it cannot be written.
  public func write(to path: String, replacing: Bool = false) throws {
    let atomic = try AtomicFile(path, replacing: replacing)
    do {
      var file = try SequentialFile(emptying: atomic.temporaryPath)
      try bytes.withUnsafeBytes { try file.write($0) }
      try file.close()
      try atomic.commit()
    } catch {
      atomic.discard()
      throw error
    }
  }
}
