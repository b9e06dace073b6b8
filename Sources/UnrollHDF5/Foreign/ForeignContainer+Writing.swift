// Datasets written as an HDF5 file of another program.

import UnrollTensors

extension ForeignContainer {
  /// Writes datasets into a file that exists, in the order of their paths.
  ///
  /// - Parameters:
  ///   - datasets: The tensors and their paths; the groups of these are made.
  ///   - path: The file; its contents are overwritten.
  ///   - progress: Called with the number of bytes written since the last call.
  /// - Throws: `HDF5Error` if the file cannot be written.
  package static func write(
    _ datasets: [(path: String, tensor: Tensor)], to path: String, progress: (Int) -> Void
  ) throws {
    let writer = try FileWriter(creating: path)
    try writer.reserve(sizeBound(of: datasets))
    try write(datasets, to: writer, progress: progress)
    try writer.close()
  }

  /// Returns an upper bound of the bytes of a file: data, and a generous share of metadata an object.
  private static func sizeBound(of datasets: [(path: String, tensor: Tensor)]) -> Int {
    datasets.reduce(16 * 1024) { $0 + $1.tensor.storage.count + 16 * 1024 }
  }

  private static func write(
    _ datasets: [(path: String, tensor: Tensor)], to writer: borrowing FileWriter,
    progress: (Int) -> Void
  ) throws {
    var groups: Set<String> = []
    for (path, tensor) in datasets {
      let parts = path.split(separator: "/").dropLast()
      for end in parts.indices {
        let group = "/" + parts[...end].joined(separator: "/")
        if groups.insert(group).inserted { try writer.createGroup(group) }
      }
      try tensor.withUnsafeBytes {
        try writer.createDataset(
          path, element: tensor.dtype, dimensions: tensor.shape.dimensions, bytes: $0)
      }
      progress(tensor.storage.count)
    }
  }

  /// Writes datasets into a file without a name, which the system removes when nothing uses it any more.
  ///
  /// - Parameters:
  ///   - datasets: The tensors and their paths.
  ///   - path: A file in whose folder there is room.
  ///   - progress: Called with the number of bytes written since the last call.
  /// - Returns: The bytes of the file.
  /// - Throws: `FileError` or `HDF5Error` if it cannot be written.
  package static func image(
    of datasets: [(path: String, tensor: Tensor)], beside path: String, progress: (Int) -> Void
  ) throws -> MappedFile {
    let scratch = try ScratchFile(beside: path)
    let writer = try FileWriter(creating: scratch.path)
    try writer.reserve(sizeBound(of: datasets))
    scratch.removeName()
    try write(datasets, to: writer, progress: progress)
    try writer.close()
    return try scratch.map()
  }
}
