// What a pickle describes, as plain values: nothing here was run, imported or called.

/// The index of a node in a `PickleGraph`.
struct PickleReference: Hashable, Sendable {
  let index: Int
}

/// What a node is.
enum PickleValue: Sendable, Equatable {
  case none
  case bool(Bool)
  case int(Int)
  /// An integer beyond 64 bits, little-endian two's complement.
  case largeInt([UInt8])
  case float(Double)
  case string(String)
  case bytes([UInt8])
  /// `items` of the node.
  case list
  /// `items` of the node.
  case tuple
  /// `items` of the node.
  case set
  /// `entries` of the node.
  case dictionary
  /// The name of a class or function, not the thing.
  case global(module: String, name: String)
  /// A call that Python would make to create an object; what it would then be given are `state`,
  /// `items` and `entries`.
  case object(callable: PickleReference, arguments: PickleReference)
  /// A reference to something outside the pickle.
  case persistent(PickleReference)
}

/// A value and what it holds.
struct PickleNode: Sendable {
  var value: PickleValue
  var items: [PickleReference] = []
  var entries: [(key: PickleReference, value: PickleReference)] = []
  var state: PickleReference?
}

/// All nodes of a pickle, in one array.
///
/// References are indices: cycles leak nothing, shared values exist once, and no deep structure is
/// ever freed recursively. Whoever walks the graph has to bound the walk.
struct PickleGraph: Sendable {
  /// The nodes, in order of creation.
  private(set) var nodes: [PickleNode] = []
  /// The pickled value.
  var root = PickleReference(index: 0)

  /// The node of a reference.
  subscript(reference: PickleReference) -> PickleNode {
    get { nodes[reference.index] }
    _modify { yield &nodes[reference.index] }
  }

  /// Makes room for nodes, so that memory for them is not taken twice as they become more.
  mutating func reserveCapacity(_ count: Int) { nodes.reserveCapacity(count) }

  /// Adds a node.
  mutating func add(_ node: PickleNode) -> PickleReference {
    nodes.append(node)
    return PickleReference(index: nodes.count - 1)
  }

  // MARK: - Looking at values

  /// A string's text.
  func string(_ reference: PickleReference) -> String? {
    guard case .string(let text) = self[reference].value else { return nil }
    return text
  }

  /// An integer.
  func int(_ reference: PickleReference) -> Int? {
    guard case .int(let number) = self[reference].value else { return nil }
    return number
  }

  /// A number, as Python would mix `0` and `0.0`.
  func double(_ reference: PickleReference) -> Double? {
    switch self[reference].value {
    case .int(let number): Double(number)
    case .float(let number): number
    default: nil
    }
  }

  /// The items of a tuple.
  func tuple(_ reference: PickleReference) -> [PickleReference]? {
    let node = self[reference]
    return node.value == .tuple ? node.items : nil
  }

  /// The integers of a tuple or list of integers, as `torch.Size` is.
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

  /// The dotted name of a global, also where it is kept outside with the text of its module, as
  /// PyTorch before 1.6 does with classes of modules: `("module", class, file, text)`.
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

  /// The dotted name of what makes an object: its class, or the function that Python would call.
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

  /// The entries of a dictionary, or of an object that is one, such as an `OrderedDict`.
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

  /// The value of an object's attribute.
  func attribute(_ name: String, of reference: PickleReference) -> PickleReference? {
    guard let state = self[reference].state else { return nil }
    return self[state].entries.last { string($0.key) == name }?.value
  }

  /// A value in words, short whatever it holds.
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
