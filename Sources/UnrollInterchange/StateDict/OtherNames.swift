// State_dicts under other names than word_language_model's, write-only: `PyTorchFormat` reads them.

import UnrollFormat
import UnrollTensors
import UnrollTokenization

/// A format that is written under its own name and read as PyTorch's.
public protocol PyTorchDialect: ForeignFormat {}

extension PyTorchDialect {
  /// `false`: `PyTorchFormat` reads its files.
  public static var isRead: Bool { false }

  /// Returns `false`: `PyTorchFormat` recognizes its files.
  public static func recognizes(_ file: MappedFile) -> Bool { false }

  /// Reads as `PyTorchFormat` does.
  ///
  /// - Throws: The errors of `PyTorchFormat.read`.
  public static func read(_ file: MappedFile, options: ReadingOptions) throws -> Conversion {
    try PyTorchFormat.read(file, options: options)
  }
}

/// A state_dict under the names of salesforce/awd-lstm-lm.
public enum AWDFormat: PyTorchDialect {
  /// The name in reports.
  public static let name = "awd-lstm"
  /// The extensions that distinguish it from other state_dicts.
  public static let fileExtensions = ["awd.pt", "awd.pth"]
  /// Its layers are LSTMs, or QRNNs.
  public static let cells: [Cell] = [.lstm, .qrnn]

  /// Returns notes on everything but the weights.
  ///
  /// - Throws: `InterchangeError` for layers that the program does not support.
  public static func exportNotes(for checkpoint: Checkpoint) throws -> [Note] {
    try PyTorchFormat.exportNotes(for: checkpoint, naming: .awdLSTM)
  }

  /// Writes the state_dict.
  ///
  /// - Throws: `InterchangeError` for layers that the program does not support, `FileError` if the
  ///   file cannot be written.
  public static func write(
    _ checkpoint: Checkpoint, to path: String, progress: (Int) -> Void
  ) throws {
    try PyTorchFormat.write(checkpoint, naming: .awdLSTM, to: path, progress: progress)
  }
}

/// A state_dict under the names of fastai's language models.
public enum FastaiFormat: PyTorchDialect {
  /// The name in reports.
  public static let name = "fastai"
  /// The extensions that distinguish it from other state_dicts.
  public static let fileExtensions = ["fastai.pth", "fastai.pt"]
  /// Its layers are LSTMs, or QRNNs.
  public static let cells: [Cell] = [.lstm, .qrnn]

  /// Returns notes on everything but the weights.
  ///
  /// - Throws: `InterchangeError` for layers that the program does not support.
  public static func exportNotes(for checkpoint: Checkpoint) throws -> [Note] {
    try PyTorchFormat.exportNotes(for: checkpoint, naming: .fastai)
  }

  /// Writes the state_dict.
  ///
  /// - Throws: `InterchangeError` for layers that the program does not support, `FileError` if the
  ///   file cannot be written.
  public static func write(
    _ checkpoint: Checkpoint, to path: String, progress: (Int) -> Void
  ) throws {
    try PyTorchFormat.write(checkpoint, naming: .fastai, to: path, progress: progress)
  }
}
