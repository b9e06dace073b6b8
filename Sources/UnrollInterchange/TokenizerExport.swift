// The file of another program's tokenizer, taken out of a checkpoint.

import UnrollFormat
import UnrollTensors
import UnrollTokenization

extension TokenizerDefinition {
  /// Writes the definition byte for byte, whole or not at all.
  ///
  /// - Parameters:
  ///   - path: The file to be.
  ///   - replacing: Whether a file that is there is replaced. If not, it stays.
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
