// The list of all foreign formats.

import UnrollFormat
import UnrollHDF5
import UnrollTensors

/// The foreign formats that can be read and written.
public enum AllFormats {
  /// The formats, in the order in which they are tried.
  public static let all: [any ForeignFormat.Type] = [
    PyTorchTrainingFormat.self, AWDFormat.self, FastaiFormat.self, ReinventFormat.self,
    PyTorchFormat.self,
    MLXFormat.self, SafetensorsFormat.self, NumPyFormat.self, GGUFFormat.self,
    SherpaFormat.self, ONNXFormat.self,
    ML5Format.self, KerasFormat.self, KerasHDF5Format.self, TensorFlowJSFormat.self,
    TheanoLMFormat.self, Torch7Format.self, TensorFlowFormat.self,
  ]
  /// The formats that can be written.
  public static let written = all.filter { $0.isWritten }

  /// Returns the format of a file, or `nil` if none recognizes it.
  public static func format(of file: MappedFile) -> (any ForeignFormat.Type)? {
    all.first { $0.recognizes(file) }
  }

  /// Returns the format of a file; HDF5 files are distinguished by their content.
  ///
  /// - Parameters:
  ///   - file: The file.
  ///   - reader: Runs libhdf5.
  /// - Returns: The format, or `nil` if none recognizes the file.
  public static func format(
    of file: MappedFile, reader: ContainerReader
  ) -> (any ForeignFormat.Type)? {
    guard let format = format(of: file), format == KerasHDF5Format.self else {
      return self.format(of: file)
    }
    // The format reports a container that cannot be opened.
    let container = try? ForeignContainer(
      .mapped(file, 0..<file.count), name: file.path, reader: reader)
    return container.map(TheanoLMFormat.recognizes) == true ? TheanoLMFormat.self : format
  }

  /// Returns the format for an output file by its extension, or `nil` if none has it.
  public static func format(named path: String) -> (any ForeignFormat.Type)? {
    let name = path.lowercased()
    return all.first { format in format.fileExtensions.contains { name.hasSuffix("." + $0) } }
  }
}
