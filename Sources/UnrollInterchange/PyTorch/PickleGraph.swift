// The content of a pickle as plain values: nothing is run, imported or called.

/// The index of a node in a `PickleGraph`.
struct PickleReference: Hashable, Sendable {
  let index: Int
}

/// The value of a node.
enum PickleValue: Sendable, Equatable {
  case none
  case bool(Bool)
  case int(Int)
  /// An integer beyond 64 bits, little-endian two's complement.
  case largeInt([UInt8])
  case float(Double)
  case string(String)
  case bytes([UInt8])
  /// A list, in `items` of the node.
  case list
  /// A tuple, in `items` of the node.
  case tuple
  /// A set, in `items` of the node.
  case set
  /// A dictionary, in `entries` of the node.
  case dictionary
  /// The name of a class or function.
  case global(module: String, name: String)
  /// A call that Python would make to create an object; `state`, `items` and `entries` are what it
  /// would then set.
  case object(callable: PickleReference, arguments: PickleReference)
  /// A reference to an object outside the pickle.
  case persistent(PickleReference)
}

/// A value and its contents.
struct PickleNode: Sendable {
  var value: PickleValue
  var items: [PickleReference] = []
  var entries: [(key: PickleReference, value: PickleReference)] = []
  var state: PickleReference?
}

/// All nodes of a pickle, in one array.
///
/// References are indices: cycles cannot leak, shared values exist once, and deep structures are
/// not freed recursively. A walk of the graph must be bounded by its caller.
struct PickleGraph: Sendable {
  /// The nodes, in order of creation.
  private(set) var nodes: [PickleNode] = []
  /// The pickled value.
  var root = PickleReference(index: 0)

  /// Returns the node of a reference.
  subscript(reference: PickleReference) -> PickleNode {
    get { nodes[reference.index] }
    _modify { yield &nodes[reference.index] }
  }

  /// Reserves memory for nodes, to avoid reallocation.
  mutating func reserveCapacity(_ count: Int) { nodes.reserveCapacity(count) }

  /// Adds a node.
  mutating func add(_ node: PickleNode) -> PickleReference {
    nodes.append(node)
    return PickleReference(index: nodes.count - 1)
  }

  // MARK: - Access to values

  /// Returns the text of a string.
  func string(_ reference: PickleReference) -> String? {
    guard case .string(let text) = self[reference].value else { return nil }
    return text
  }

  /// Returns an integer.
  func int(_ reference: PickleReference) -> Int? {
    guard case .int(let number) = self[reference].value else { return nil }
    return number
  }

  /// Returns a number, integer or float.
  func double(_ reference: PickleReference) -> Double? {
    switch self[reference].value {
    case .int(let number): Double(number)
    case .float(let number): number
    default: nil
    }
  }

  /// Returns the items of a tuple.
  func tuple(_ reference: PickleReference) -> [PickleReference]? {
    let node = self[reference]
    return node.value == .tuple ? node.items : nil
  }

  /// Returns the integers of a tuple or list, such as a `torch.Size`.
  func ints(_ reference: PickleReference) -> [Int]? {
    let node = self[reference]
    guard node.value == .tuple || node.value == .list else { return nil }
    var numbers: [Int] = []
    for item in node.items {
      guard let number = int(item) else { return nil }
      numbers.append(number)
    }
    return numbers
  }

  /// Returns the dotted name of a global, including the persistent form with source text that
  /// PyTorch before 1.6 uses for module classes: `("module", class, file, text)`.
  func globalName(_ reference: PickleReference) -> String? {
    var reference = reference
    if case .persistent(let identifier) = self[reference].value, let parts = tuple(identifier),
      parts.count >= 2, string(parts[0]) == "module"
    {
      reference = parts[1]
    }
    guard case .global(let module, let name) = self[reference].value else { return nil }
    return "\(module).\(name)"
  }

  /// Returns the dotted name of the class of an object, or of the function that Python would call
  /// for it.
  func className(_ reference: PickleReference) -> String? {
    guard case .object(let callable, let arguments) = self[reference].value else { return nil }
    let name = globalName(callable)
    // Protocols 0 and 1 write `copyreg._reconstructor(class, base, state)`.
    if name == "copy_reg._reconstructor" || name == "copyreg._reconstructor",
      let first = self[arguments].items.first
    {
      return globalName(first)
    }
    return name
  }

  /// Returns the entries of a dictionary, or of a dictionary-like object such as an `OrderedDict`.
  func entries(_ reference: PickleReference) -> [(key: PickleReference, value: PickleReference)]? {
    let node = self[reference]
    if node.value == .dictionary { return node.entries }
    guard case .object(_, let arguments) = node.value,
      let name = className(reference), Self.dictionaryClasses.contains(name)
    else { return nil }
    // Python 2 wrote `OrderedDict([[key, value], ...])`.
    let pairs = self[arguments].items.first.map { self[$0].items } ?? []
    let given = pairs.compactMap { pair -> (key: PickleReference, value: PickleReference)? in
      let items = self[pair].items
      return items.count == 2 ? (items[0], items[1]) : nil
    }
    return given + node.entries
  }

  private static let dictionaryClasses: Set = [
    "collections.OrderedDict", "collections.defaultdict", "collections.Counter",
  ]

  /// Returns the value of an object's attribute.
  func attribute(_ name: String, of reference: PickleReference) -> PickleReference? {
    guard let state = self[reference].state else { return nil }
    return self[state].entries.last { string($0.key) == name }?.value
  }

  /// Returns a short description of a value.
  func describe(_ reference: PickleReference) -> String {
    let node = self[reference]
    switch node.value {
    case .none: return "None"
    case .bool(let value): return value ? "True" : "False"
    case .int(let number): return "the integer \(number)"
    case .largeInt(let bytes): return "an integer of \(bytes.count) bytes"
    case .float(let number): return "the number \(number)"
    case .string(let text): return "the string \"\(text.prefix(60))\""
    case .bytes(let bytes): return "\(bytes.count) bytes"
    case .list: return "a list of \(node.items.count) items"
    case .tuple: return "a tuple of \(node.items.count) items"
    case .set: return "a set of \(node.items.count) items"
    case .dictionary: return "a dictionary of \(node.entries.count) entries"
    case .global(let module, let name): return "the name \(module.prefix(60)).\(name.prefix(60))"
    case .object:
      return "an object made by \(className(reference)?.prefix(120) ?? "another object")"
    case .persistent:
      return globalName(reference).map { "the name \($0.prefix(120))" }
        ?? "a reference to a storage"
    }
  }
}
