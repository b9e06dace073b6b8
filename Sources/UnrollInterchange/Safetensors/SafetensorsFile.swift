// A safetensors file: the length of a header, the header in JSON, and the bytes of the tensors.

import UnrollSerialization
import UnrollTensors
import UnrollTokenization

/// An opened safetensors file; every range in its header is within the file.
///
/// The format is specified at https://github.com/huggingface/safetensors: tensors are contiguous,
/// without holes, and cover all bytes after the header.
struct SafetensorsFile: TensorContainer {
  /// The maximum size of a header in bytes, as in the library.
  static let largestHeader = 100_000_000

  private let file: MappedFile
  /// The offset of the first tensor.
  private let dataStart: Int
  /// The byte range of each tensor, relative to `dataStart`.
  private let ranges: [String: Range<Int>]
  /// The tensors, in the order of the header.
  private(set) var tensors: [NamedTensor] = []
  /// The maximum number of commas, colons and brackets of a header, which has some 15 for each
  /// tensor: 100 MB of JSON could expand to a gigabyte of values.
  private static let mostStructures = 400_000

  /// The texts of the entry `__metadata__`.
  private(set) var metadata: [String: String] = [:]

  /// The file's path.
  var path: String { file.path }
  /// `false`: the library sorts tensors by type and name.
  var keepsOrder: Bool { false }
  var place: String { "header" }
  var roomForCopies: Int { 0 }

  /// Returns `true` if a file begins like a safetensors file.
  static func recognizes(_ file: MappedFile) -> Bool {
    guard let length = headerLength(file), length <= max(0, file.count - 8) else { return false }
    return file.copy(8..<9) == [UInt8(ascii: "{")]
      && file.copy(8 + length - 1..<8 + length).last
        .map { [UInt8(ascii: "}"), 0x20].contains($0) } == true
  }

  private static func headerLength(_ file: MappedFile) -> Int? {
    guard file.count >= 10 else { return nil }
    let length = file.copy(0..<8).reversed().reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
    return length >= 2 ? Int(exactly: length) : nil
  }

  /// Opens a file.
  ///
  /// - Throws: `InterchangeError` if its header breaks a rule of the format.
  init(_ file: MappedFile) throws {
    self.file = file
    guard let length = Self.headerLength(file), length <= Self.largestHeader,
      length <= file.count - 8
    else {
      throw Self.error(
        file, "byte 0", expected: "the length of a header of at most 100 MB in the file",
        found: "another number")
    }
    dataStart = 8 + length
    let text = file.copy(8..<dataStart)
    guard jsonStructureCount(text) <= Self.mostStructures else {
      throw Self.error(
        file, "header", expected: "at most \(Self.mostStructures) commas, colons and brackets",
        found: "more", fix: "save only the tensors of the language model")
    }
    let header: JSONValue
    do {
      header = try JSONValue(text)
    } catch let error as JSONError {
      throw Self.error(file, "byte \(8 + error.offset)", expected: "JSON", found: "none")
    }
    guard let members = header.members else {
      throw Self.error(file, "header", expected: "a JSON object", found: "something else")
    }
    var ranges: [String: Range<Int>] = [:]
    for (key, value) in members {
      let name = String(decoding: key, as: UTF8.self)
      if name == "__metadata__" {
        metadata = try Self.metadata(value, file)
        continue
      }
      let (tensor, range) = try Self.entry(value, name: name, file, count: file.count - dataStart)
      guard ranges.updateValue(range, forKey: name) == nil else {
        throw Self.error(file, name, expected: "one tensor of this name", found: "two")
      }
      tensors.append(NamedTensor(name: name, tensor: tensor))
    }
    self.ranges = ranges
    try checkCoverage()
  }

  private static func metadata(_ value: JSONValue, _ file: MappedFile) throws -> [String: String] {
    var texts: [String: String] = [:]
    for (key, value) in value.members ?? [] {
      guard let text = value.text else {
        throw error(file, "__metadata__", expected: "texts", found: "a value of another kind")
      }
      texts[String(decoding: key, as: UTF8.self)] = text
    }
    return texts
  }

  /// Returns the description of a tensor,
  /// `{"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}`.
  private static func entry(
    _ value: JSONValue, name: String, _ file: MappedFile, count: Int
  ) throws -> (StoredTensor, Range<Int>) {
    guard let dtype = value["dtype"]?.text, let sizes = value["shape"]?.array?.map(\.int),
      let offsets = value["data_offsets"]?.array?.map(\.int), offsets.count == 2,
      let start = offsets[0], let end = offsets[1], !sizes.contains(nil)
    else {
      throw error(
        file, name, expected: "a dtype, a shape and two data_offsets", found: "other members")
    }
    let dimensions = sizes.compactMap { $0 }
    guard let element = elements[dtype].flatMap(TorchElement.element) else {
      throw error(
        file, name, expected: "a type that is known", found: "\"\(dtype)\"",
        fix: "convert the tensor to F32 first")
    }
    guard start >= 0, start <= end, end <= count else {
      throw error(
        file, name, expected: "data_offsets inside the \(count) bytes of data",
        found: "\(start) to \(end)")
    }
    guard let tensor = StoredTensor(record: name, element: element, sizes: dimensions),
      tensor.span <= count / element.size, tensor.span * element.size == end - start
    else {
      throw error(
        file, name, expected: "as many bytes as \(dtype) of shape \(dimensions) has",
        found: "\(end - start)")
    }
    return (tensor, start..<end)
  }

  /// The PyTorch names of safetensors types.
  private static let elements = [
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "I16": "int16", "U16": "uint16", "F16": "float16",
    "BF16": "bfloat16", "I32": "int32", "U32": "uint32", "F32": "float32", "F64": "float64",
    "I64": "int64", "U64": "uint64", "F8_E5M2": "float8_e5m2", "F8_E4M3": "float8_e4m3fn",
  ]

  /// Checks that tensors are contiguous and cover the file.
  private func checkCoverage() throws {
    var place = 0
    for (name, range) in ranges.sorted(by: {
      ($0.value.lowerBound, $0.value.upperBound) < ($1.value.lowerBound, $1.value.upperBound)
    }) {
      guard range.lowerBound == place else {
        throw error(
          name, expected: "data from byte \(place) on, behind the tensor before",
          found: "data from byte \(range.lowerBound) on", fix: Self.saveAgain)
      }
      place = range.upperBound
    }
    guard place == file.count - dataStart else {
      throw error(
        place: "end", expected: "\(place) bytes of data", found: "\(file.count - dataStart)")
    }
  }

  private func error(place: String, expected: String, found: String) -> InterchangeError {
    error(place, expected: expected, found: found, fix: Self.saveAgain)
  }

  static let saveAgain = "the file is damaged, or not whole: save the model again"

  private static func error(
    _ file: MappedFile, _ place: String, expected: String, found: String, fix: String = saveAgain
  ) -> InterchangeError {
    InterchangeError(file: file.path, place: place, expected: expected, found: found, fix: fix)
  }

  // MARK: TensorContainer

  func error(_ place: String, expected: String, found: String, fix: String) -> InterchangeError {
    Self.error(file, place, expected: expected, found: found, fix: fix)
  }

  /// Returns no notes: the format has no checksums.
  func verifyStorages(of tensors: [StoredTensor]) throws -> [Note] { [] }

  func contents(of tensor: StoredTensor, named name: String, room: inout Int) throws -> Tensor {
    guard let dtype = tensor.element.dtype, dtype.isFloat else {
      throw error(
        name, expected: "F16, BF16, F32 or F64", found: tensor.element.name,
        fix: "convert it first: `tensor.float()`, then save the file")
    }
    guard let range = ranges[tensor.record],
      let storage = ByteStorage(file, offset: dataStart + range.lowerBound, count: range.count),
      let numbers = Tensor(shape: tensor.shape, dtype: dtype, storage: storage)
    else {
      throw error(name, expected: "a tensor of the file", found: "none", fix: Self.saveAgain)
    }
    return numbers
  }
}
