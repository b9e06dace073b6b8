// Every foreign format, once.

import UnrollTensors

/// The foreign formats that can be read.
public enum AllFormats {
  /// The formats, in the order in which they are tried.
  public static let all: [any ForeignFormat.Type] = [PyTorchFormat.self]

  /// The format of a file, or `nil` if none recognizes it.
  public static func format(of file: MappedFile) -> (any ForeignFormat.Type)? {
    all.first { $0.recognizes(file) }
  }
}
