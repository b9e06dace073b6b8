// An opened file of Lua's Torch: look-ups in tables, and tensors as views of storages.

import UnrollTensors

/// A file of `torch.save` of Lua's Torch.
struct Torch7File {
  /// The file.
  let file: MappedFile
  /// The value of the file.
  let root: Torch7Value
  private let nodes: [Torch7Node]
  /// The binary form: the bytes of the file, unless it is in ASCII.
  private let bytes: ByteStorage

  private static let damaged = "the file is damaged: copy it again"

  /// Returns `true` if a file begins as Torch's files of a table or an object do.
  static func recognizes(_ file: MappedFile) -> Bool {
    let start = file.copy(0..<12)
    let isTable = start.starts(with: [3, 0, 0, 0, 1, 0, 0, 0])
    let isObject = start.starts(with: [4, 0, 0, 0, 1, 0, 0, 0])
    return (start.count == 12 && (isTable || isObject)) || isASCII(file)
  }

  /// Returns `true` if a file begins as Torch's ASCII files do: each number on a line of its own.
  private static func isASCII(_ file: MappedFile) -> Bool {
    ["3\n1\n", "4\n1\n"].contains { file.copy(0..<4).elementsEqual($0.utf8) }
  }

  /// Opens a file.
  ///
  /// A `long` has 8 bytes, or 4 on the machines of 32 bits and on Windows; no number in the file says
  /// which: the one under which the file ends where it should.
  ///
  /// - Throws: `InterchangeError` if it is damaged.
  init(_ file: MappedFile) throws {
    func damaged(_ failure: Torch7Parser.Failure) -> InterchangeError {
      InterchangeError(
        file: file.path, place: "byte \(failure.offset)", expected: failure.expected,
        found: failure.found, fix: Self.damaged)
    }
    self.file = file
    let isASCII = Self.isASCII(file)
    do {
      bytes = isASCII ? .owned(try Torch7Text.binary(of: file)) : .mapped(file, 0..<file.count)
    } catch let failure as Torch7Parser.Failure {
      throw damaged(failure)
    }
    var parser = Torch7Parser(bytes, longSize: Torch7Text.longSize)
    do {
      root = try parser.parse()
    } catch let failure as Torch7Parser.Failure {
      guard !isASCII else { throw damaged(failure) }
      var other = Torch7Parser(bytes, longSize: 4)
      do {
        root = try other.parse()
      } catch let otherFailure as Torch7Parser.Failure {
        // The right size gets further.
        throw damaged(otherFailure.offset > failure.offset ? otherFailure : failure)
      }
      parser = other
    }
    nodes = parser.nodes
  }

  /// Returns an error about a part of the file.
  func error(
    _ place: String, expected: String, found: String, fix: String = damaged
  ) -> InterchangeError {
    InterchangeError(file: file.path, place: place, expected: expected, found: found, fix: fix)
  }

  // MARK: - Look-ups

  private func node(_ value: Torch7Value?) -> Torch7Node? {
    guard case .node(let index)? = value else { return nil }
    return nodes[index]
  }

  /// Returns the class of an object, a tensor or a storage; `nil` for other values.
  func className(_ value: Torch7Value?) -> String? {
    node(value).flatMap { $0.className.isEmpty ? nil : $0.className }
  }

  /// Returns the entries of a table, or the fields of an object; none of other values.
  func entries(_ value: Torch7Value?) -> [(key: Torch7Value, value: Torch7Value)] {
    guard let node = node(value) else { return [] }
    guard case .object(let body) = node.content else { return node.entries }
    return self.node(body)?.entries ?? []
  }

  /// Returns the value of a key; `nil` if there is none.
  func value(_ key: Torch7Value, of table: Torch7Value?) -> Torch7Value? {
    entries(table).first { $0.key == key }?.value
  }

  /// Returns the value of a field.
  func field(_ name: String, of table: Torch7Value?) -> Torch7Value? {
    value(Torch7Value(name), of: table)
  }

  /// Returns a whole number in a field.
  func integer(_ name: String, of table: Torch7Value?) -> Int? {
    guard case .number(let number)? = field(name, of: table) else { return nil }
    return Int(exactly: number)
  }

  /// Returns the values of the keys from 1 on, in order; other keys are left out.
  func list(_ value: Torch7Value?) -> [Torch7Value] {
    let entries = entries(value)
    let numbered = Dictionary(
      entries.compactMap { entry -> (Int, Torch7Value)? in
        guard case .number(let number) = entry.key else { return nil }
        return Int(exactly: number).map { ($0, entry.value) }
      }
    ) { first, _ in first }
    var items: [Torch7Value] = []
    while let item = numbered[items.count + 1] { items.append(item) }
    return items
  }

  // MARK: - Tensors

  /// The maximum number of bytes of all parameters: several may be views of the same bytes.
  var roomForTensors: Int { max(64 << 20, bytes.count) }

  /// Returns `true` if a value is a tensor.
  func isTensor(_ value: Torch7Value?) -> Bool {
    if case .tensor? = node(value)?.content { true } else { false }
  }

  /// Returns the whole numbers of a storage or tensor of longs, at most a dozen.
  func longs(_ value: Torch7Value?) -> [Int]? {
    guard case .storage(let element, let range)? = node(value)?.content, range.count <= 96,
      ["int64", "int32"].contains(element.name)
    else { return nil }
    let storage = bytes[range]
    return storage.withUnsafeBytes { bytes in
      element.size == 8
        ? bytes.elements(of: Int64.self) { Int($0) } : bytes.elements(of: Int32.self) { Int($0) }
    }
  }

  /// Returns the numbers of a tensor, in the file if they are contiguous, else copied.
  ///
  /// - Parameters:
  ///   - value: The tensor.
  ///   - place: Its location, for messages.
  ///   - rank: The number of its dimensions.
  ///   - room: The number of bytes that tensors may have. Out: reduced by those of this one.
  /// - Returns: The tensor.
  /// - Throws: `InterchangeError` if it is no tensor of floating-point numbers within a storage, has
  ///   another number of dimensions, or has no elements.
  func tensor(
    _ value: Torch7Value?, _ place: String, rank: Int, room: inout Int
  ) throws -> Tensor {
    guard case .tensor(let sizes, let strides, let offset, let reference)? = node(value)?.content
    else {
      throw error(
        place, expected: "a tensor of \(rank) dimensions",
        found: className(value).map { "an object of \($0)" } ?? value?.description ?? "none")
    }
    guard case .storage(let element, let range)? = node(reference)?.content else {
      throw error(place, expected: "a tensor with numbers", found: "one without a storage")
    }
    guard let dtype = element.dtype, dtype.isFloat, sizes.count == rank, !sizes.contains(0) else {
      throw error(
        place, expected: "floating-point numbers of \(rank) dimensions",
        found: "\(element.name) of the sizes \(list(sizes.map(String.init)))")
    }
    guard
      let view = StoredTensor(
        record: "", element: element, offset: offset, sizes: sizes, strides: strides,
        storageCount: range.count / element.size),
      let size = view.shape.byteCount(of: dtype)
    else {
      throw error(
        place, expected: "a view of the \(range.count / element.size) numbers of its storage",
        found: "one beyond them")
    }
    guard size <= room else {
      throw error(
        place, expected: "tensors not much larger than the file in all", found: "larger ones")
    }
    room -= size
    let storage = bytes[range]
    let start = view.offset * element.size
    let bytes: ByteStorage =
      view.isStored ? storage[start..<start + size] : .owned(view.gathered(from: storage))
    guard let tensor = Tensor(shape: view.shape, dtype: dtype, storage: bytes) else {
      throw error(place, expected: "\(size) bytes", found: "others")
    }
    return tensor
  }

  private func list(_ items: [String]) -> String { UnrollInterchange.list(items) }
}
