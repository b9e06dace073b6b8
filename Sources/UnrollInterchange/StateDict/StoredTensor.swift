// A tensor of a torch file: a view of a storage.

import UnrollTensors

/// The element type of a storage, including types that Unroll does not support.
struct TorchElement: Sendable, Hashable {
  /// PyTorch's name, such as `float32`.
  let name: String
  /// The size of one element in bytes.
  let size: Int

  /// Unroll's type, or `nil` if it has none.
  var dtype: DType? { Self.dtypes[name] }

  /// Returns the element type of `torch.XStorage`, by its name.
  static func storage(_ name: String) -> TorchElement? {
    storageElements[name].flatMap { element($0) }
  }

  /// Returns the element type of `torch.x`, by its name.
  static func element(_ name: String) -> TorchElement? {
    sizes[name].map { TorchElement(name: name, size: $0) }
  }

  private static let storageElements = [
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16", "LongStorage": "int64", "IntStorage": "int32",
    "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8", "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64", "ComplexDoubleStorage": "complex128",
  ]

  private static let sizes = [
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4, "int16": 2,
    "int8": 1, "uint64": 8, "uint32": 4, "uint16": 2, "uint8": 1, "bool": 1, "complex64": 8,
    "complex128": 16, "float8_e4m3fn": 1, "float8_e5m2": 1, "float8_e4m3fnuz": 1,
    "float8_e5m2fnuz": 1,
  ]

  private static let dtypes: [String: DType] = [
    "float64": .float64, "float32": .float32, "float16": .float16, "bfloat16": .bfloat16,
    "int64": .int64, "int32": .int32, "int16": .int16, "int8": .int8, "uint64": .uint64,
    "uint32": .uint32, "uint16": .uint16, "uint8": .uint8,
  ]
}

/// A view of a storage; all its elements are within the storage.
struct StoredTensor: Sendable, Hashable {
  /// The storage's record in the archive.
  let record: String
  /// The type of the elements.
  let element: TorchElement
  /// The first element of the view in the storage, in elements.
  let offset: Int
  /// The dimensions.
  let shape: Shape
  /// The distance of neighbours along each dimension, in elements; never negative.
  let strides: [Int]
  /// The number of elements from `offset` to the last one of the view; 0 for an empty view.
  let span: Int
  /// `true` if the numbers are those of the storage with the other sign: PyTorch's negative bit.
  var isNegated = false

  /// Creates a view, or `nil` if a number is negative or overflows, or if the view exceeds the
  /// storage.
  init?(
    record: String, element: TorchElement, offset: Int, sizes: [Int], strides: [Int],
    storageCount: Int
  ) {
    guard offset >= 0, sizes.count == strides.count, sizes.allSatisfy({ $0 >= 0 }),
      strides.allSatisfy({ $0 >= 0 }), Shape(sizes).elementCount != nil,
      let span = Self.span(sizes: sizes, strides: strides),
      offset <= storageCount, span <= storageCount - offset
    else { return nil }
    self.record = record
    self.element = element
    self.offset = offset
    shape = Shape(sizes)
    // The stride of a dimension of size 1 is never used, so it may have any value.
    self.strides = zip(sizes, strides).map { size, stride in size == 1 ? 0 : stride }
    self.span = span
  }

  /// Creates a view of a whole storage in row-major order, or `nil` if the number of elements
  /// overflows.
  init?(record: String, element: TorchElement, sizes: [Int]) {
    guard sizes.allSatisfy({ $0 >= 0 }), let count = Shape(sizes).elementCount else { return nil }
    var strides = [Int](repeating: 1, count: sizes.count)
    for axis in sizes.indices.dropLast().reversed() {
      // If a dimension is 0 there are no elements, and the other dimensions are unbounded.
      strides[axis] =
        strides[axis + 1].multipliedReportingOverflow(by: max(1, sizes[axis + 1])).partialValue
    }
    self.init(
      record: record, element: element, offset: 0, sizes: sizes,
      strides: count == 0 ? strides.map { _ in 0 } : strides, storageCount: count)
  }

  /// Returns the distance from the first to the last element, plus one; `nil` if it overflows.
  private static func span(sizes: [Int], strides: [Int]) -> Int? {
    if sizes.contains(0) { return 0 }
    var span = 1
    for (size, stride) in zip(sizes, strides) {
      let (distance, tooFar) = (size - 1).multipliedReportingOverflow(by: stride)
      let (sum, tooMuch) = span.addingReportingOverflow(distance)
      if tooFar || tooMuch { return nil }
      span = sum
    }
    return span
  }

  /// The indices of the elements in the storage.
  var range: Range<Int> { offset..<offset + span }

  /// `true` if the elements are contiguous in row-major order.
  var isContiguous: Bool {
    if span == 0 { return true }
    var expected = 1
    for (size, stride) in zip(shape.dimensions, strides).reversed() where size != 1 {
      if stride != expected { return false }
      expected *= size
    }
    return true
  }

  /// `true` if the bytes of the storage are those of the tensor, in row-major order.
  var isStored: Bool { isContiguous && !isNegated }

  /// Copies the elements of a view in row-major order, with their own signs.
  ///
  /// - Parameter storage: The storage; that of a negated view has little-endian floating-point numbers.
  /// - Returns: The bytes.
  func gathered(from storage: ByteStorage) -> [UInt8] {
    var bytes: [UInt8] = []
    let count = shape.elementCount ?? 0
    bytes.reserveCapacity(count * element.size)
    var index = [Int](repeating: 0, count: shape.rank)
    var position = offset
    storage.withUnsafeBytes { source in
      for _ in 0..<count {
        let start = position * element.size
        bytes.append(contentsOf: source[start..<start + element.size])
        position = advance(&index, from: position)
      }
    }
    guard isNegated else { return bytes }
    // The sign of a floating-point number is the highest bit of its last byte.
    for last in stride(from: element.size - 1, to: bytes.count, by: element.size) {
      bytes[last] ^= 0x80
    }
    return bytes
  }

  /// Advances to the next element in row-major order and returns its index.
  private func advance(_ index: inout [Int], from position: Int) -> Int {
    var position = position
    for axis in index.indices.reversed() {
      index[axis] += 1
      position += strides[axis]
      if index[axis] < shape.dimensions[axis] { break }
      position -= index[axis] * strides[axis]
      index[axis] = 0
    }
    return position
  }
}
