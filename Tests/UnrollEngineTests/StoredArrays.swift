// Named arrays of an HDF5 file or an archive of NumPy arrays, as the readers of models find them.

import Testing
import UnrollFormat
import UnrollHDF5
import UnrollTensors

@testable import UnrollInterchange

/// The rows of each array in a file.
struct StoredArrays {
  /// By name, the rows; integers as floats.
  private(set) var rows: [String: [[Float]]] = [:]

  /// - Throws: The errors of reading the file.
  init(_ path: String) throws {
    let file = try MappedFile(path: path)
    if path.hasSuffix(".npz") {
      let archive = try ZipArchive(file)
      for (name, record) in archive.records {
        #expect(try archive.verify(record), "\(name)")
        let bytes = file.copy(record.data)
        let header = try NPYHeader(Array(bytes.prefix(NPYHeader.largestSize)))
        #expect(!header.isFortranOrder && ["<f4", "<i8"].contains(header.type))
        try add(
          String(name.dropLast(4)), Array(bytes[header.size...]), header.shape,
          isFloat: header.type == "<f4")
      }
    } else {
      let container = try ForeignContainer(
        .mapped(file, 0..<file.count), name: path, reader: .inProcess)
      for dataset in container.datasets {
        let tensor = try #require(container.tensor(dataset))
        try add(
          String(dataset.dropFirst()), tensor.withUnsafeBytes { Array($0) },
          tensor.shape.dimensions, isFloat: tensor.dtype == .float32)
      }
    }
  }

  private mutating func add(
    _ name: String, _ bytes: [UInt8], _ shape: [Int], isFloat: Bool
  ) throws {
    let values: [Float] = bytes.withUnsafeBytes { bytes in
      isFloat
        ? stride(from: 0, to: bytes.count, by: 4).map {
          bytes.loadUnaligned(fromByteOffset: $0, as: Float.self)
        }
        : stride(from: 0, to: bytes.count, by: 8).map {
          Float(bytes.loadUnaligned(fromByteOffset: $0, as: Int64.self))
        }
    }
    let width = shape.count == 2 ? shape[1] : 1
    #expect(shape[0] * width == values.count)
    rows[name] = (0..<shape[0]).map { Array(values[$0 * width..<($0 + 1) * width]) }
  }
}
