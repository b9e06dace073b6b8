// A pickle of NumPy arrays by their names: the calls that would rebuild them, read as descriptions.

import UnrollTensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// An opened file of `pickle.dump({"name": array, ...}, file)`, protocols 2 to 5.
struct NumPyPickle: TensorContainer {
  /// An array and its bytes, which lie in the pickle.
  private struct Entry {
    let array: NumPyArray
    let bytes: ByteStorage
  }

  private static let saveAgain = "save the arrays with numpy.savez"

  private let file: MappedFile
  /// The pickled value.
  let graph: PickleGraph
  private var entries: [String: Entry] = [:]
  /// The arrays of numbers, in the file's order.
  private(set) var tensors: [NamedTensor] = []
  /// The lists of tokens beside the arrays.
  private(set) var lists: [PickledTokens] = []
  /// What is no array of numbers and no list of tokens.
  private(set) var notes: [Note] = []
  private var listBudget = PickledTokens.Budget()
  /// What texts and calls stand for: many arrays may share one.
  private var made: [PickleReference: [UInt8]] = [:]
  /// How many bytes may be made of them: many calls may share a text.
  private var room: Int

  /// The file's path.
  var path: String { file.path }
  var place: String { "pickle" }
  var roomForCopies: Int { max(64 << 20, file.count) }

  /// Whether a file looks like a pickle that names NumPy.
  static func recognizes(_ file: MappedFile) -> Bool {
    guard file.count > 2, file.copy(0..<1) == [0x80], (2...5).contains(file.bytes[1]),
      file.copy(file.count - 1..<file.count) == [PickleOpcode.stop.rawValue]
    else { return false }
    // The file has to stay mapped meanwhile.
    return withExtendedLifetime(file) { names("numpy", in: file.bytes) }
  }

  private static func names(_ text: StaticString, in bytes: UnsafeRawBufferPointer) -> Bool {
    let count = text.utf8CodeUnitCount
    var rest = bytes
    while rest.count >= count, let start = rest.baseAddress,
      let found = memchr(start, CInt(text.utf8Start.pointee), rest.count - count + 1)
    {
      if memcmp(found, text.utf8Start, count) == 0 { return true }
      rest = UnsafeRawBufferPointer(rebasing: rest[(UnsafeRawPointer(found) - start + 1)...])
    }
    return false
  }

  /// Opens a file and interprets its pickle.
  ///
  /// - Throws: `InterchangeError` if it is damaged or holds no arrays by name.
  init(_ file: MappedFile) throws {
    self.file = file
    room = file.count
    guard file.count <= PickleMachine.largestPickle else {
      throw InterchangeError(
        file: file.path, place: "pickle", expected: "at most \(PickleMachine.largestPickle) bytes",
        found: "\(file.count)", fix: Self.saveAgain)
    }
    do {
      graph = try PickleMachine.graph(of: file.copy(0..<file.count))
    } catch let error as PickleError {
      throw error.interchangeError(
        file, "pickle", fix: "the pickle is damaged; copy it again or \(Self.saveAgain)")
    }
    guard let members = graph.entries(graph.root) else {
      throw error(
        place, expected: "a dictionary of arrays by name", found: graph.describe(graph.root),
        fix: Self.saveAgain)
    }
    for (key, value) in members { try add(value, key: key) }
  }

  private mutating func add(_ value: PickleReference, key: PickleReference) throws {
    guard let name = graph.string(key) else {
      throw error(
        place, expected: "names of arrays", found: "\(graph.describe(key)) as a key",
        fix: Self.saveAgain)
    }
    guard let entry = try entry(value, name: name) else {
      if let list = PickledTokens(value, named: name, in: graph, budget: &listBudget) {
        lists.append(list)
      } else {
        notes.append(Note(place: name, message: "not carried: \(graph.describe(value))"))
      }
      return
    }
    guard let element = entry.array.type.element else {
      notes.append(try entry.array.noteOnContents(named: name, file: file.path))
      return
    }
    guard let view = entry.array.view(named: name, element, byteCount: entry.bytes.count) else {
      throw error(
        name,
        expected: "as many bytes as \(entry.array.type.name) of shape \(entry.array.shape) has",
        found: "\(entry.bytes.count)", fix: Self.saveAgain)
    }
    guard entries.updateValue(entry, forKey: name) == nil else {
      throw error(name, expected: "one array of this name", found: "two", fix: Self.saveAgain)
    }
    tensors.append(NamedTensor(name: name, tensor: view))
  }

  // MARK: - Arrays

  /// The modules that NumPy has kept its functions in, before and since version 2.
  private static let modules = [
    "numpy._core.multiarray", "numpy.core.multiarray", "numpy._core.numeric", "numpy.core.numeric",
  ]

  /// The array that a value describes, or `nil` if it is none.
  private mutating func entry(_ value: PickleReference, name: String) throws -> Entry? {
    guard case .object(let callable, let arguments) = graph[value].value,
      case .global(let module, let function) = graph[callable].value, Self.modules.contains(module)
    else { return nil }
    let found: Entry?
    switch function {
    case "_reconstruct":
      let state = graph[value].state
      found = if let state { rebuilt(state) } else { nil }
    case "_frombuffer": found = buffered(graph[arguments].items)
    default: return nil
    }
    guard let found else {
      throw error(
        name, expected: "the arguments of \(function)", found: "others",
        fix: "the pickle is damaged; \(Self.saveAgain)")
    }
    return found
  }

  /// The state `(version, shape, dtype, is_fortran, bytes)` of `_reconstruct(ndarray, (0,), b"b")`.
  private mutating func rebuilt(_ state: PickleReference) -> Entry? {
    guard let parts = graph.tuple(state), parts.count == 5, graph.int(parts[0]) == 1,
      let shape = shape(parts[1]), let type = type(parts[2]),
      case .bool(let isFortran) = graph[parts[3]].value
    else { return nil }
    let array = NumPyArray(type: type, shape: shape, isFortranOrder: isFortran)
    // Objects have a list in the place of their bytes.
    if type.element == nil { return Entry(array: array, bytes: .owned([])) }
    return bytes(parts[4]).map { Entry(array: array, bytes: .owned($0)) }
  }

  /// The arguments of `_frombuffer(bytes, dtype, shape, order)`, which protocol 5 writes.
  private mutating func buffered(_ arguments: [PickleReference]) -> Entry? {
    guard arguments.count == 4, let bytes = bytes(arguments[0]), let type = type(arguments[1]),
      let shape = shape(arguments[2]), let order = graph.string(arguments[3]),
      ["C", "F"].contains(order)
    else { return nil }
    return Entry(
      array: NumPyArray(type: type, shape: shape, isFortranOrder: order == "F"),
      bytes: .owned(bytes))
  }

  /// The dimensions, of which NumPy allows 64: many arrays may share a tuple.
  private func shape(_ reference: PickleReference) -> [Int]? {
    graph[reference].items.count <= 64 ? graph.ints(reference) : nil
  }

  /// The type that `dtype("f4", False, True)` with the state `(3, "<", ...)` is.
  private func type(_ reference: PickleReference) -> NumPyType? {
    guard graph.className(reference) == "numpy.dtype",
      case .object(_, let arguments) = graph[reference].value,
      let name = graph[arguments].items.first.flatMap(graph.string),
      let state = graph[reference].state.flatMap(graph.tuple), state.count > 1,
      let order = graph.string(state[1])
    else { return nil }
    return NumPyType(order + name)
  }

  /// Bytes, also as Python 3 writes them for Python 2, `_codecs.encode(text, "latin1")`, and as Python 2
  /// writes them, as a text where they happen to be one.
  private mutating func bytes(_ reference: PickleReference) -> [UInt8]? {
    if let bytes = made[reference] { return bytes }
    let bytes: [UInt8]?
    switch graph[reference].value {
    case .bytes(let bytes): return bytes
    case .string(let text): bytes = takeRoom(for: text) ? Array(text.utf8) : nil
    case .object(_, let arguments):
      let items = graph[arguments].items
      guard graph.className(reference) == "_codecs.encode", items.count == 2,
        let text = graph.string(items[0]), graph.string(items[1]) == "latin1", takeRoom(for: text)
      else { return nil }
      bytes = Self.latin1(text)
    default: return nil
    }
    made[reference] = bytes
    return bytes
  }

  private mutating func takeRoom(for text: String) -> Bool {
    room -= text.utf8.count
    return room >= 0
  }

  private static func latin1(_ text: String) -> [UInt8]? {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.utf8.count)
    for scalar in text.unicodeScalars {
      guard let byte = UInt8(exactly: scalar.value) else { return nil }
      bytes.append(byte)
    }
    return bytes
  }

  // MARK: TensorContainer

  func error(_ place: String, expected: String, found: String, fix: String) -> InterchangeError {
    InterchangeError(file: file.path, place: place, expected: expected, found: found, fix: fix)
  }

  /// Nothing: pickles have no checksums.
  func verifyStorages(of tensors: [TorchTensor]) throws -> [Note] { [] }

  func contents(of tensor: TorchTensor, named name: String, room: inout Int) throws -> Tensor {
    guard let entry = entries[tensor.record] else {
      throw error(name, expected: "an array of the file", found: "none", fix: Self.saveAgain)
    }
    return try entry.array.numbers(
      of: tensor, named: name, in: entry.bytes, room: &room, error: error)
  }
}
