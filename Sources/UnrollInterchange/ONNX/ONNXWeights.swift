// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Reads the constants of an ONNX file in the order of a checkpoint's parameters.

import Foundation
import UnrollTensors

/// Reads constants from a file and from external data files.
struct ONNXWeights {
  private let model: ONNXModel
  /// The external data files, by location.
  private var files: [String: MappedFile] = [:]
  /// The number of bytes that may still be copied: constants may share their bytes, copies do not.
  private var room: Int

  init(_ model: ONNXModel) {
    self.model = model
    room = model.file.count
  }

  /// Returns the tensor of a constant without copying its bytes.
  ///
  /// - Parameters:
  ///   - constant: The constant.
  ///   - shape: The required shape.
  /// - Returns: The tensor.
  /// - Throws: `InterchangeError` for unsupported types, other shapes, and missing data.
  mutating func tensor(_ constant: ONNXTensor, shape: [Int]) throws -> Tensor {
    guard let dtype = constant.dtype else {
      throw model.error(
        constant.name, expected: "weights of f32, f16, bf16 or f64",
        found: "data type \(constant.type)",
        fix: "quantised models cannot be converted: export the model before it was quantised")
    }
    guard constant.dimensions == shape else {
      throw model.error(
        constant.name, expected: "shape \(Shape(shape))", found: "\(constant.dimensions)",
        fix: "export the model again")
    }
    let storage = try storage(of: constant)
    guard let tensor = Tensor(shape: Shape(shape), dtype: dtype, storage: storage) else {
      throw model.error(
        constant.name, expected: "as many bytes as \(dtype.rawValue) of shape \(Shape(shape)) has",
        found: "\(storage.count)", fix: "the file is damaged, or not whole: export the model again")
    }
    return tensor
  }

  /// Returns the rows of a tensor `[1, n*H, D]` or `[1, n*H]` with its blocks of H rows in another
  /// order.
  ///
  /// - Parameters:
  ///   - constant: The constant.
  ///   - shape: Its shape.
  ///   - blocks: For each block of the result, the index of the source block.
  ///   - count: The number of blocks in the constant.
  /// - Returns: The blocks, `[blocks * H, D]` or `[blocks * H]`.
  /// - Throws: The errors of `tensor`; `InterchangeError` for copies beyond the limit.
  mutating func blocks(
    of constant: ONNXTensor, shape: [Int], _ blocks: [Int], of count: Int
  ) throws -> Tensor {
    let tensor = try tensor(constant, shape: shape)
    let size = tensor.storage.count / count
    let bytes = try copy(blocks.count * size, of: constant) {
      for block in blocks {
        $0 += tensor.withUnsafeBytes { Array($0[block * size..<(block + 1) * size]) }
      }
    }
    let dimensions = [shape[1] / count * blocks.count] + shape.dropFirst(2)
    return try made(dimensions, tensor.dtype, bytes, constant)
  }

  /// Returns the transpose `[V, H]` of a constant `[H, V]`.
  ///
  /// - Throws: The errors of `blocks`.
  mutating func transposed(_ constant: ONNXTensor, shape: [Int]) throws -> Tensor {
    let tensor = try tensor(constant, shape: shape)
    let (H, V, size) = (shape[0], shape[1], tensor.dtype.size)
    let bytes = try copy(tensor.storage.count, of: constant) { bytes in
      tensor.withUnsafeBytes { source in
        for v in 0..<V {
          for h in 0..<H {
            let start = (h * V + v) * size
            bytes += source[start..<start + size]
          }
        }
      }
    }
    return try made([V, H], tensor.dtype, bytes, constant)
  }

  private mutating func copy(
    _ count: Int, of constant: ONNXTensor, _ fill: (inout [UInt8]) -> Void
  ) throws -> [UInt8] {
    guard count <= room else {
      throw model.error(
        constant.name, expected: "numbers of its own",
        found: "numbers that other constants use, too",
        fix: "export the model again")
    }
    room -= count
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    fill(&bytes)
    return bytes
  }

  private func made(
    _ dimensions: [Int], _ dtype: DType, _ bytes: [UInt8], _ constant: ONNXTensor
  ) throws -> Tensor {
    guard let tensor = Tensor(shape: Shape(dimensions), dtype: dtype, storage: .owned(bytes)) else {
      throw model.error(
        constant.name, expected: "whole blocks", found: "\(constant.dimensions)",
        fix: "export the model again")
    }
    return tensor
  }

  // MARK: - External data

  private mutating func storage(of constant: ONNXTensor) throws -> ByteStorage {
    switch constant.numbers {
    case .raw(let range): .mapped(model.file, range)
    case .list(let bytes): .owned(bytes)
    case .external(let entries): try external(entries, of: constant)
    }
  }

  private mutating func external(
    _ entries: [String: String], of constant: ONNXTensor
  ) throws -> ByteStorage {
    let location = entries["location"] ?? ""
    let file = try file(at: location, of: constant)
    let offset = Int(entries["offset"] ?? "0")
    let length = entries["length"].map { Int($0) } ?? offset.map { file.count - $0 }
    guard let offset, let length, let storage = ByteStorage(file, offset: offset, count: length)
    else {
      throw model.error(
        constant.name, expected: "numbers inside the \(file.count) bytes of \(location)",
        found: "offset \(entries["offset"] ?? "0"), length \(entries["length"] ?? "to the end")",
        fix: "the file beside the model is damaged, or not whole: export the model again")
    }
    return storage
  }

  /// Returns an external data file, which must be in the model's folder.
  private mutating func file(at location: String, of constant: ONNXTensor) throws -> MappedFile {
    if let file = files[location] { return file }
    let folder = URL(filePath: model.file.path).deletingLastPathComponent()
      .resolvingSymlinksInPath().path
    let path = "\(folder)/\(location)"
    let resolved = URL(filePath: path).resolvingSymlinksInPath().path
    let isInside =
      !location.isEmpty && !location.hasPrefix("/")
      && !location.split(separator: "/").contains("..") && resolved.hasPrefix(folder + "/")
    guard isInside else {
      throw model.error(
        constant.name, expected: "numbers in the file, or in one of its own folder",
        found: "the location \(location)",
        fix: "such a model may make programs read any file: do not trust it")
    }
    let file = try MappedFile(path: path)
    files[location] = file
    room += file.count
    return file
  }
}
