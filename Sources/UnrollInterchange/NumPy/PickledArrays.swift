// NumPy arrays in a pickle: calls that would rebuild them are read as descriptions.

import UnrollTensors

/// An array and its bytes within the pickle.
struct PickledArray {
  let array: NumPyArray
  let bytes: ByteStorage
}

/// Reads the arrays of one pickle.
struct PickledArrays {
  /// An array whose call has other arguments than NumPy writes.
  struct Damaged: Error {
    /// The name of the call.
    let function: String
  }

  /// The bytes of texts and calls, cached since arrays may share them.
  private var made: [PickleReference: [UInt8]] = [:]
  /// The number of bytes that may still be decoded: many calls may share a text.
  private var room: Int

  /// Creates a reader.
  ///
  /// - Parameter room: The number of bytes that may be decoded from texts.
  init(room: Int) { self.room = room }

  /// The modules of NumPy's functions, before and since version 2.
  private static let modules = [
    "numpy._core.multiarray", "numpy.core.multiarray", "numpy._core.numeric", "numpy.core.numeric",
  ]

  /// Returns the array that a value describes, or `nil` if it is not an array.
  ///
  /// - Throws: `Damaged` if the call has other arguments than NumPy writes.
  mutating func array(
    _ value: PickleReference, in graph: PickleGraph
  ) throws(Damaged) -> PickledArray? {
    guard case .object(let callable, let arguments) = graph[value].value,
      case .global(let module, let function) = graph[callable].value, Self.modules.contains(module)
    else { return nil }
    let found: PickledArray?
    switch function {
    case "_reconstruct":
      let state = graph[value].state
      found = if let state { rebuilt(state, graph) } else { nil }
    case "_frombuffer": found = buffered(graph[arguments].items, graph)
    default: return nil
    }
    guard let found else { throw Damaged(function: function) }
    return found
  }

  /// Returns the value of a NumPy scalar, `scalar(dtype, bytes)`; `nil` if it is not an integer.
  mutating func integer(_ value: PickleReference, in graph: PickleGraph) -> Int? {
    guard case .object(let callable, let arguments) = graph[value].value,
      case .global(let module, "scalar") = graph[callable].value, Self.modules.contains(module)
    else { return nil }
    let items = graph[arguments].items
    guard items.count == 2, let type = Self.type(items[0], graph), !type.isBigEndian,
      type.name.first == "i" || type.name.first == "u",
      let bytes = bytes(items[1], in: graph), bytes.count == type.element?.size
    else { return nil }
    let fill: Int = type.name.first == "i" && (bytes.last ?? 0) & 0x80 != 0 ? -1 : 0
    return bytes.reversed().reduce(fill) { $0 << 8 | Int($1) }
  }

  /// Returns the strings of an array of NumPy's or Python's strings; `nil` for other arrays.
  mutating func texts(_ value: PickleReference, in graph: PickleGraph) -> [[UInt8]]? {
    guard case .object(let callable, _) = graph[value].value,
      case .global(let module, "_reconstruct") = graph[callable].value,
      Self.modules.contains(module), let state = graph[value].state,
      let parts = graph.tuple(state), parts.count == 5, let type = Self.type(parts[2], graph)
    else { return nil }
    if type.name.hasPrefix("O") {
      let items = graph[parts[4]].items
      let texts = items.compactMap { PickledValue(graph: graph, reference: $0).tokenText }
      return texts.count == items.count && !texts.isEmpty ? texts : nil
    }
    return bytes(parts[4], in: graph).flatMap { type.texts($0) }
  }

  /// Returns the array of the state `(version, shape, dtype, is_fortran, bytes)` of
  /// `_reconstruct(ndarray, (0,), b"b")`.
  private mutating func rebuilt(_ state: PickleReference, _ graph: PickleGraph) -> PickledArray? {
    guard let parts = graph.tuple(state), parts.count == 5, graph.int(parts[0]) == 1,
      let shape = Self.shape(parts[1], graph), let type = Self.type(parts[2], graph),
      case .bool(let isFortran) = graph[parts[3]].value
    else { return nil }
    let array = NumPyArray(type: type, shape: shape, isFortranOrder: isFortran)
    // Arrays of objects have a list instead of bytes.
    if type.element == nil { return PickledArray(array: array, bytes: .owned([])) }
    return bytes(parts[4], in: graph).map { PickledArray(array: array, bytes: .owned($0)) }
  }

  /// Returns the array of `_frombuffer(bytes, dtype, shape, order)`, which protocol 5 writes.
  private mutating func buffered(
    _ arguments: [PickleReference], _ graph: PickleGraph
  ) -> PickledArray? {
    guard arguments.count == 4, let bytes = bytes(arguments[0], in: graph),
      let type = Self.type(arguments[1], graph),
      let shape = Self.shape(arguments[2], graph), let order = graph.string(arguments[3]),
      ["C", "F"].contains(order)
    else { return nil }
    return PickledArray(
      array: NumPyArray(type: type, shape: shape, isFortranOrder: order == "F"),
      bytes: .owned(bytes))
  }

  /// Returns the dimensions, at most NumPy's 64: many arrays may share a tuple.
  private static func shape(_ reference: PickleReference, _ graph: PickleGraph) -> [Int]? {
    graph[reference].items.count <= 64 ? graph.ints(reference) : nil
  }

  /// Returns the type of `dtype("f4", False, True)` with the state `(3, "<", ...)`.
  private static func type(_ reference: PickleReference, _ graph: PickleGraph) -> NumPyType? {
    guard graph.className(reference) == "numpy.dtype",
      case .object(_, let arguments) = graph[reference].value,
      let name = graph[arguments].items.first.flatMap(graph.string),
      let state = graph[reference].state.flatMap(graph.tuple), state.count > 1,
      let order = graph.string(state[1])
    else { return nil }
    return NumPyType(order + name)
  }

  /// Returns bytes, including those that Python 3 writes for Python 2,
  /// `_codecs.encode(text, "latin1")`, and those of Python 2, a text if they are valid as one.
  mutating func bytes(_ reference: PickleReference, in graph: PickleGraph) -> [UInt8]? {
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
}
