// A NumPy array independent of its container: type, shape and order.

import UnrollTensors

/// The description of an array.
struct NumPyArray {
  /// The type of the elements.
  let type: NumPyType
  /// The dimensions.
  let shape: [Int]
  /// `true` if the first index varies fastest.
  let isFortranOrder: Bool

  /// Returns the view of the elements in the order of the indices.
  ///
  /// - Parameters:
  ///   - name: The array's name.
  ///   - element: The type of its elements.
  ///   - byteCount: The number of its bytes.
  /// - Returns: The view, or `nil` if the number of bytes does not fit.
  func view(named name: String, _ element: TorchElement, byteCount: Int) -> StoredTensor? {
    let sizes = isFortranOrder ? shape.reversed() : shape
    // The strides, last index fastest; an array with a dimension of 0 has no elements.
    var (strides, count): ([Int], Int?) = ([], 1)
    for size in sizes.reversed() {
      strides.insert(count ?? 0, at: 0)
      count = count.flatMap {
        let (product, overflows) = $0.multipliedReportingOverflow(by: size)
        return overflows ? nil : product
      }
    }
    guard let count, count <= byteCount / element.size, count * element.size == byteCount else {
      return nil
    }
    return StoredTensor(
      record: name, element: element, offset: 0, sizes: shape,
      strides: isFortranOrder ? strides.reversed() : strides, storageCount: count)
  }

  /// Returns a note on an array that is not numeric.
  ///
  /// - Parameters:
  ///   - name: The array's name.
  ///   - file: The file's path.
  /// - Returns: The note.
  /// - Throws: `InterchangeError` if its name is that of a weight.
  func noteOnContents(named name: String, file: String) throws -> Note {
    let isWeight = ["weight", "bias"].contains { name.contains($0) }
    guard !isWeight else {
      throw InterchangeError(
        file: file, place: name, expected: "an array of floating-point numbers",
        found: type.description, fix: "save it as numbers: `array.astype(\"float32\")`")
    }
    return Note(place: name, message: "not preserved: an array of \(type)")
  }

  /// Returns the elements of a view of this array, in its order and little-endian.
  ///
  /// - Parameters:
  ///   - tensor: The view.
  ///   - name: Its name, for messages.
  ///   - bytes: The array's bytes in the file.
  ///   - room: The number of bytes that may be copied. Out: reduced by the copied bytes.
  ///   - error: Creates an error about the file.
  /// - Returns: The elements.
  /// - Throws: `InterchangeError` for types that are not used for weights, and for copies beyond
  ///   `room`.
  func numbers(
    of tensor: StoredTensor, named name: String, in bytes: ByteStorage,
    room: inout Int,
    error: (_ place: String, _ expected: String, _ found: String, _ fix: String) -> InterchangeError
  ) throws -> Tensor {
    guard let dtype = tensor.element.dtype, dtype.isFloat else {
      throw error(
        name, "float16, float32 or float64", tensor.element.name,
        "save it as numbers: `array.astype(\"float32\")`")
    }
    var storage = bytes
    if !tensor.isContiguous || type.isBigEndian {
      guard storage.count <= room else {
        throw error(
          name, "arrays not much larger than the file in all", "shape \(tensor.shape)",
          "save fewer arrays: only those of the model")
      }
      room -= storage.count
      storage = .owned(tensor.gathered(from: storage))
    }
    if type.isBigEndian { storage = .owned(swapped(storage, size: dtype.size)) }
    guard let numbers = Tensor(shape: tensor.shape, dtype: dtype, storage: storage) else {
      throw error(name, "shape \(tensor.shape)", "other bytes", NumPyFile.saveAgain)
    }
    return numbers
  }

  private func swapped(_ storage: ByteStorage, size: Int) -> [UInt8] {
    storage.withUnsafeBytes { bytes in
      bytes.indices.map { index in bytes[index - index % size + size - 1 - index % size] }
    }
  }
}

/// A NumPy type: byte order, kind and size.
struct NumPyType: CustomStringConvertible {
  /// The kind and the size, such as `f4`.
  let name: String
  /// `true` if the byte order is big-endian.
  let isBigEndian: Bool

  /// Parses a type such as `<f4`; `nil` for invalid text.
  init?(_ text: String) {
    guard let order = text.first, "<>|".contains(order) else { return nil }
    name = String(text.dropFirst())
    isBigEndian = order == ">"
    let isKnown = element != nil || name.first.map { "OUSVMm".contains($0) } == true
    guard isKnown, element.map({ ($0.size == 1) == (order == "|") }) ?? true else { return nil }
  }

  /// The element type, or `nil` for types that are not numeric.
  var element: TorchElement? { Self.elements[name].flatMap(TorchElement.element) }

  private static let elements = [
    "f2": "float16", "f4": "float32", "f8": "float64", "i1": "int8", "i2": "int16", "i4": "int32",
    "i8": "int64", "u1": "uint8", "u2": "uint16", "u4": "uint32", "u8": "uint64", "b1": "bool",
    "c8": "complex64", "c16": "complex128",
  ]

  /// The content of an array, in words.
  var description: String {
    switch name.first {
    case "O": "Python objects (a pickle, which is never run)"
    case "U", "S": "texts"
    case "V": "raw bytes (\(name))"
    case "M", "m": "times"
    default: name
    }
  }
}

extension NumPyType {
  /// Returns the strings of an array of fixed-length strings, `U` (UTF-32) or `S` (bytes), in
  /// UTF-8; `nil` for other and damaged types.
  func texts(_ bytes: [UInt8]) -> [[UInt8]]? {
    guard let kind = name.first, kind == "U" || kind == "S", let length = Int(name.dropFirst()),
      length > 0
    else { return nil }
    let size = kind == "U" ? 4 * length : length
    guard bytes.count.isMultiple(of: size) else { return nil }
    var texts: [[UInt8]] = []
    for start in stride(from: 0, to: bytes.count, by: size) {
      let field = bytes[start..<start + size]
      if kind == "S" {
        texts.append(Array(field.reversed().drop { $0 == 0 }.reversed()))
        continue
      }
      var text = ""
      for offset in stride(from: start, to: start + size, by: 4) {
        let unit = (0..<4).reduce(UInt32(0)) { value, index in
          value | UInt32(bytes[offset + (isBigEndian ? 3 - index : index)]) << (8 * UInt32(index))
        }
        guard unit != 0 else { break }
        guard let scalar = Unicode.Scalar(unit) else { return nil }
        text.unicodeScalars.append(scalar)
      }
      texts.append(Array(text.utf8))
    }
    return texts
  }
}
