// A GGUF file as a container of named tensors.

import UnrollTensors

/// An opened GGUF file; the data of every tensor lie within the file.
struct GGUFFile: TensorContainer {
  /// The signature before the header.
  static let signature = Array("GGUF".utf8)
  /// The maximum length of an architecture's name; all of ggml's are shorter.
  private static let longestArchitecture = 256
  static let writeAgain = "the file is damaged; copy it again or write it again"

  /// The header.
  let header: GGUFHeader
  /// The tensors, in the file's order.
  private(set) var tensors: [NamedTensor] = []
  private let file: MappedFile
  private var ranges: [String: Range<Int>] = [:]

  /// The file's path.
  var path: String { file.path }
  var place: String { "header" }
  var roomForCopies: Int { 0 }

  /// Returns `true` if a file begins with the signature of GGUF.
  static func recognizes(_ file: MappedFile) -> Bool { file.copy(0..<4) == signature }

  /// Opens a file and locates its tensors.
  ///
  /// - Throws: `InterchangeError` if its header breaks a rule of the format, or if tensors are
  ///   quantized.
  init(_ file: MappedFile) throws {
    self.file = file
    header = try GGUFHeader(file)
    try checkArchitecture()
    var expected = 0
    for info in header.tensors {
      let element = try element(of: info)
      guard
        let byteCount = Shape(info.sizes).elementCount.flatMap({ count -> Int? in
          let (bytes, overflows) = count.multipliedReportingOverflow(by: element.size)
          return overflows ? nil : bytes
        }), info.offset == expected, byteCount <= file.count - header.dataStart - expected
      else {
        throw error(
          info.name, expected: "numbers from byte \(expected) of the data on, in the file",
          found: "shape \(Shape(info.sizes)) of \(element.name) at byte \(info.offset)",
          fix: Self.writeAgain)
      }
      let start = header.dataStart + expected
      guard ranges.updateValue(start..<start + byteCount, forKey: info.name) == nil else {
        throw error(
          info.name, expected: "one tensor of this name", found: "two", fix: Self.writeAgain)
      }
      tensors.append(NamedTensor(name: info.name, tensor: try view(of: info, element)))
      expected = header.padded(expected + byteCount)
    }
    try checkEnd()
  }

  /// Refuses other architectures, whose tensors have other names.
  private func checkArchitecture() throws {
    let key = GGUFFormat.Key.architecture
    let found = header.text(key, atMost: Self.longestArchitecture)
    guard found == GGUFFormat.architecture else {
      throw error(
        key, expected: "\"\(GGUFFormat.architecture)\", a recurrent language model",
        found: found.map { "\"\($0)\"" } ?? (header.values[key] == nil ? "none" : "no name"),
        fix: "models of other architectures are not recurrent: they have no checkpoint here")
    }
  }

  private func element(of info: GGUFTensorInfo) throws -> TorchElement {
    guard let type = GGMLType(number: info.type) else {
      throw error(
        info.name, expected: "a type of ggml that is known", found: "number \(info.type)",
        fix: "write it as f32, f16 or bf16")
    }
    guard let element = type.element else {
      throw error(
        info.name, expected: "f32, f16 or bf16", found: "quantised blocks (\(type.name))",
        fix: "give the file from before quantisation: blocks do not hold the weights themselves")
    }
    return element
  }

  private func view(of info: GGUFTensorInfo, _ element: TorchElement) throws -> StoredTensor {
    guard let view = StoredTensor(record: info.name, element: element, sizes: info.sizes) else {
      throw error(
        info.name, expected: "a shape that fits", found: "\(Shape(info.sizes))",
        fix: Self.writeAgain)
    }
    return view
  }

  /// Refuses files with more than alignment padding after the last tensor.
  private func checkEnd() throws {
    let end = ranges.values.map(\.upperBound).max() ?? header.dataStart
    let last = header.padded(end - header.dataStart) + header.dataStart
    guard file.count <= max(last, header.dataStart) else {
      throw error(
        "end", expected: "at most \(last) bytes", found: "\(file.count)", fix: Self.writeAgain)
    }
  }

  // MARK: TensorContainer

  func error(_ place: String, expected: String, found: String, fix: String) -> InterchangeError {
    InterchangeError(file: file.path, place: place, expected: expected, found: found, fix: fix)
  }

  /// Returns no notes: the format has no checksums.
  func verifyStorages(of tensors: [StoredTensor]) throws -> [Note] { [] }

  func contents(of tensor: StoredTensor, named name: String, room: inout Int) throws -> Tensor {
    guard let dtype = tensor.element.dtype, [.float32, .float16, .bfloat16].contains(dtype) else {
      throw error(
        name, expected: "f32, f16 or bf16", found: tensor.element.name,
        fix: "write it as f32 first: ggml's operations have no other numbers")
    }
    guard let range = ranges[tensor.record],
      let storage = ByteStorage(file, offset: range.lowerBound, count: range.count),
      let numbers = Tensor(shape: tensor.shape, dtype: dtype, storage: storage)
    else {
      throw error(name, expected: "a tensor of the file", found: "none", fix: Self.writeAgain)
    }
    return numbers
  }
}

/// A tensor type of ggml.
struct GGMLType {
  /// The number on disk.
  let number: Int
  /// ggml's name, such as `Q4_K`.
  let name: String
  /// The element type; `nil` for quantized types with blocks that share a scale.
  var element: TorchElement? { Self.elements[name].flatMap(TorchElement.element) }

  /// Creates the type of a number on disk, or `nil` if ggml has none.
  init?(number: Int) {
    guard let name = Self.names[number] else { return nil }
    self.number = number
    self.name = name
  }

  /// Creates the type of a tensor to write; `nil` for unsupported types.
  init?(_ dtype: DType) {
    switch dtype {
    case .float32: self.init(number: 0)
    case .float16: self.init(number: 1)
    case .bfloat16: self.init(number: 30)
    default: return nil
    }
  }

  private static let elements = [
    "F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float64", "I8": "int8",
    "I16": "int16", "I32": "int32", "I64": "int64",
  ]

  /// The names of `enum ggml_type` in ggml.h; missing numbers were removed there.
  private static let names = [
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1",
    10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS",
    17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S",
    23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 30: "BF16",
    34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4", 40: "NVFP4", 41: "Q1_0",
  ]
}
