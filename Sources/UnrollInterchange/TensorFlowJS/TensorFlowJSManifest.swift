// The weights of a TensorFlow.js model: a list in JSON, and files of raw numbers.

import UnrollFormat
import UnrollSerialization
import UnrollTensors
import UnrollTokenization

/// The weights that `weightsManifest` of a `model.json` lists.
///
/// A group has files (shards) that are joined; its tensors lie in them one after the other,
/// little-endian. A quantized tensor is widened to f32: `q * scale + min` in double precision, rounded
/// once, or exactly from f16.
struct TensorFlowJSManifest {
  /// A tensor with its name.
  struct Weight {
    let name: String
    let tensor: Tensor
  }

  /// The weights, in the order of the manifest.
  private(set) var weights: [Weight] = []

  private let file: MappedFile
  private static let mostEntries = 10_000
  /// The longest name of a tensor, in bytes.
  private static let longestName = 500
  private static let whole = "give model.json inside the whole folder of the model"

  /// Opens the files of a manifest, which are in the same folder or below it.
  ///
  /// - Throws: `InterchangeError` if the manifest is damaged, or names a file elsewhere; `FileError` if
  ///   one cannot be read.
  init(_ manifest: JSONValue, of file: MappedFile) throws {
    self.file = file
    let groups = manifest.array ?? []
    guard !groups.isEmpty, groups.count <= Self.mostEntries else {
      throw error("", expected: "groups of weights", found: "\(groups.count)")
    }
    var names: Set<String> = []
    for (index, group) in groups.enumerated() {
      let place = "weightsManifest[\(index)]"
      let shards = try Shards(paths: group["paths"], place: place, manifest: self)
      var offset = 0
      for entry in group["weights"]?.array ?? [] {
        let weight = try weight(entry, in: shards, at: &offset, place: place)
        guard names.insert(weight.name).inserted, names.count <= Self.mostEntries else {
          throw error(
            "\(place).\(weight.name)", expected: "one tensor of this name", found: "several")
        }
        weights.append(weight)
      }
      guard offset == shards.count else {
        throw error(
          place, expected: "\(offset) bytes for its weights",
          found: "\(shards.count) in its files")
      }
    }
  }

  fileprivate func error(
    _ place: String, expected: String, found: String
  ) -> InterchangeError {
    InterchangeError(
      file: file.path, place: place.isEmpty ? "weightsManifest" : place, expected: expected,
      found: found, fix: Self.whole)
  }

  /// Returns a tensor, and moves the offset behind its bytes.
  private func weight(
    _ entry: JSONValue, in shards: Shards, at offset: inout Int, place: String
  ) throws -> Weight {
    guard let name = entry["name"]?.text, name.utf8.count <= Self.longestName,
      name.split(separator: "/", omittingEmptySubsequences: false).allSatisfy({ !$0.isEmpty }),
      let sizes = entry["shape"]?.array,
      let type = entry["dtype"]?.text
    else {
      throw error(place, expected: "a name, a shape and a dtype of each tensor", found: "others")
    }
    let place = "\(place).\(name)"
    let dimensions = sizes.compactMap(\.int)
    guard dimensions.count == sizes.count, dimensions.allSatisfy({ $0 >= 0 }) else {
      throw error(place, expected: "a shape of whole numbers", found: "another one")
    }
    let form = try form(entry, type: type, place: place)
    let shape = Shape(dimensions)
    guard let size = shape.byteCount(of: form.stored), size <= shards.count - offset else {
      throw error(
        place, expected: "\(form.stored.rawValue) of shape \(shape)",
        found: "\(shards.count - offset) bytes left in the files")
    }
    let bytes = shards.bytes(offset..<offset + size)
    offset += size
    guard let stored = Tensor(shape: shape, dtype: form.stored, storage: bytes) else {
      throw error(place, expected: "\(size) bytes", found: "others")
    }
    return Weight(name: name, tensor: form.widened(stored))
  }

  /// The type of stored numbers, and how they are widened.
  private struct Form {
    let stored: DType
    /// The scale and the smallest value of quantized numbers.
    var scale: (factor: Double, minimum: Double)?
    /// `true` if numbers are to be f32.
    var isNarrow = false

    func widened(_ tensor: Tensor) -> Tensor {
      guard isNarrow else { return tensor }
      guard let scale else { return Tensor(tensor.floats() ?? [], shape: tensor.shape) }
      let values = tensor.withUnsafeBytes { bytes in
        func value(_ number: some BinaryInteger) -> Float {
          Float(Double(number) * scale.factor + scale.minimum)
        }
        return stored == .uint8
          ? bytes.elements(of: UInt8.self) { value($0) }
          : bytes.elements(of: UInt16.self) { value($0) }
      }
      return Tensor(values, shape: tensor.shape)
    }
  }

  private func form(_ entry: JSONValue, type: String, place: String) throws -> Form {
    guard let quantization = entry["quantization"] else {
      let types: [String: DType] = [
        "float32": .float32, "float16": .float16, "int32": .int32, "uint8": .uint8, "bool": .uint8,
      ]
      guard let stored = types[type] else {
        throw error(place, expected: "numbers of float32", found: type)
      }
      return Form(stored: stored)
    }
    guard type == "float32" else {
      throw error(place, expected: "quantized numbers of float32", found: "of \(type)")
    }
    let stored = quantization["dtype"]?.text ?? "none"
    if stored == "float16" { return Form(stored: .float16, isNarrow: true) }
    guard let dtype = ["uint8": DType.uint8, "uint16": .uint16][stored],
      let scale = quantization["scale"]?.number, let minimum = quantization["min"]?.number,
      scale.isFinite, minimum.isFinite
    else {
      throw error(
        place, expected: "a quantization of uint8 or uint16 with scale and min, or of float16",
        found: stored)
    }
    return Form(stored: dtype, scale: (scale, minimum), isNarrow: true)
  }

  /// The files of a group, joined.
  private struct Shards {
    private let files: [MappedFile]
    /// The offset of each file in the whole, and the end.
    private let offsets: [Int]

    var count: Int { offsets[files.count] }

    init(paths: JSONValue?, place: String, manifest: TensorFlowJSManifest) throws {
      let paths = paths?.array ?? []
      let most = TensorFlowJSManifest.mostEntries
      guard paths.count <= most else {
        throw manifest.error(
          place, expected: "at most \(most) files", found: "\(paths.count)")
      }
      files = try paths.map { path in
        let text = path.text ?? ""
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        let isInside = parts.allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." }
        guard isInside, !text.contains(":"), !text.contains("\\"), !text.contains("\0") else {
          throw manifest.error(
            place, expected: "files in the model's folder", found: "\"\(text)\"")
        }
        return try MappedFile(path: SplitPath(manifest.file.path).sibling(text))
      }
      var offsets = [0]
      for file in files { offsets.append(offsets[offsets.count - 1] + file.count) }
      self.offsets = offsets
    }

    /// Returns bytes of the whole: in their file, or copied if they begin and end in different ones.
    func bytes(_ range: Range<Int>) -> ByteStorage {
      let parts = files.indices.compactMap { index -> ByteStorage? in
        let part = range.clamped(to: offsets[index]..<offsets[index + 1])
        guard !part.isEmpty else { return nil }
        let start = part.lowerBound - offsets[index]
        return .mapped(files[index], start..<start + part.count)
      }
      if parts.count == 1 { return parts[0] }
      return .owned(parts.flatMap { part in part.withUnsafeBytes { Array($0) } })
    }
  }
}
