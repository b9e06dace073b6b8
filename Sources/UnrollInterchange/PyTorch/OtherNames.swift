// State_dicts under other names than word_language_model's, written only: `PyTorchFormat` reads them.

import UnrollFormat
import UnrollTensors
import UnrollTokenization

/// A state_dict under the names of salesforce/awd-lstm-lm.
public enum AWDFormat: ForeignFormat {
  /// The name in reports.
  public static let name = "awd-lstm"
  /// What tells it from other state_dicts.
  public static let fileExtensions = ["awd.pt", "awd.pth"]
  /// Its files are PyTorch's.
  public static let isRead = false

  /// No file: what it writes is read as one of PyTorch.
  public static func recognizes(_ file: MappedFile) -> Bool { false }

  /// Reads as `PyTorchFormat` does.
  ///
  /// - Throws: What that throws.
  public static func read(_ file: MappedFile, options: ReadingOptions) throws -> Conversion {
    try PyTorchFormat.read(file, options: options)
  }

  /// Everything but the weights.
  ///
  /// - Throws: `InterchangeError` for layers that the program does not have.
  public static func losses(of checkpoint: Checkpoint) throws -> [Note] {
    try PyTorchFormat.losses(of: checkpoint, naming: .awdLSTM)
  }

  /// Writes the state_dict.
  ///
  /// - Throws: `InterchangeError` for layers that the program does not have, `FileError` if the file
  ///   cannot be written.
  public static func write(
    _ checkpoint: Checkpoint, to path: String, progress: (Int) -> Void
  ) throws {
    try PyTorchFormat.write(checkpoint, naming: .awdLSTM, to: path, progress: progress)
  }
}

/// A state_dict under the names of fastai's language models.
public enum FastaiFormat: ForeignFormat {
  /// The name in reports.
  public static let name = "fastai"
  /// What tells it from other state_dicts.
  public static let fileExtensions = ["fastai.pth", "fastai.pt"]
  /// Its files are PyTorch's.
  public static let isRead = false

  /// No file: what it writes is read as one of PyTorch.
  public static func recognizes(_ file: MappedFile) -> Bool { false }

  /// Reads as `PyTorchFormat` does.
  ///
  /// - Throws: What that throws.
  public static func read(_ file: MappedFile, options: ReadingOptions) throws -> Conversion {
    try PyTorchFormat.read(file, options: options)
  }

  /// Everything but the weights.
  ///
  /// - Throws: `InterchangeError` for layers that the program does not have.
  public static func losses(of checkpoint: Checkpoint) throws -> [Note] {
    try PyTorchFormat.losses(of: checkpoint, naming: .fastai)
  }

  /// Writes the state_dict.
  ///
  /// - Throws: `InterchangeError` for layers that the program does not have, `FileError` if the file
  ///   cannot be written.
  public static func write(
    _ checkpoint: Checkpoint, to path: String, progress: (Int) -> Void
  ) throws {
    try PyTorchFormat.write(checkpoint, naming: .fastai, to: path, progress: progress)
  }
}
