// Tensors of a torch file: calls that would rebuild them are read as descriptions.

import UnrollTensors

extension TorchFile {
  private static let rebuildModules: Set = ["torch._utils", "torch._tensor"]
  private static let saveAgain =
    "save plain dense tensors: `torch.save(model.state_dict(), \"new.pt\")`"

  /// Returns the tensor that a value describes, or `nil` if it is not a tensor.
  ///
  /// - Throws: `InterchangeError` for unsupported kinds of tensors and for views that exceed a
  ///   storage.
  func tensor(at reference: PickleReference, named name: String) throws -> StoredTensor? {
    var reference = reference
    // A parameter wraps a tensor; more than a few wrappers are a cycle.
    for _ in 0..<4 {
      if let data = parameterData(at: reference) {
        reference = data
        continue
      }
      if let array = arrays[reference] { return try view(of: array, reference, name: name) }
      guard let call = rebuildCall(at: reference) else { return nil }
      switch call.function {
      case "_rebuild_parameter", "_rebuild_parameter_with_state":
        guard let data = call.arguments.first else {
          throw argumentError(name, call.function)
        }
        reference = data
      case "_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3":
        return try view(call.function, call.arguments, name: name)
      default:
        throw error(
          name, expected: "a dense tensor", found: "one that \(call.function) rebuilds",
          fix: Self.saveAgain)
      }
    }
    throw error(name, expected: "a tensor", found: "a parameter of itself", fix: Self.saveAgain)
  }

  /// Returns the record name of a NumPy array.
  private func record(_ reference: PickleReference) -> String { "array \(reference.index)" }

  /// Returns the view of a NumPy array; `nil` if it is not numeric.
  private func view(
    of array: PickledArray, _ reference: PickleReference, name: String
  ) throws -> StoredTensor? {
    guard let element = array.array.type.element else { return nil }
    let view = array.array.view(
      named: record(reference), element, byteCount: array.bytes.count)
    guard let view else {
      throw error(
        name, expected: "as many bytes as an array of \(element.name) has",
        found: "\(array.bytes.count)", fix: "the pickle is damaged; save the model again")
    }
    return view
  }

  /// Returns the tensor of a call `Parameter(tensor, ...)`, as PyTorch before 0.4 pickles
  /// parameters.
  private func parameterData(at reference: PickleReference) -> PickleReference? {
    guard case .object(_, let arguments) = graph[reference].value,
      ["torch.nn.parameter.Parameter", "torch.nn.Parameter"].contains(
        graph.className(reference) ?? "")
    else { return nil }
    return graph[arguments].items.first
  }

  private func rebuildCall(
    at reference: PickleReference
  ) -> (function: String, arguments: [PickleReference])? {
    guard case .object(let callable, let arguments) = graph[reference].value,
      case .global(let module, let function) = graph[callable].value,
      function.hasPrefix("_rebuild_"), Self.rebuildModules.contains(module)
    else { return nil }
    return (function, graph[arguments].items)
  }

  private func argumentError(_ name: String, _ function: String) -> InterchangeError {
    error(
      name, expected: "the arguments of \(function)", found: "others",
      fix: "the pickle is damaged; save the model again")
  }

  /// Returns the view of `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks,
  /// metadata)`; in v3 the type comes before the metadata, and both may lack the metadata.
  private func view(
    _ function: String, _ arguments: [PickleReference], name: String
  ) throws -> StoredTensor {
    // Tensors have at most 64 dimensions; many may share one tuple of sizes.
    guard arguments.count >= 4, graph[arguments[2]].items.count <= 64,
      graph[arguments[3]].items.count <= 64, let offset = graph.int(arguments[1]),
      let sizes = graph.ints(arguments[2]), let strides = graph.ints(arguments[3])
    else { throw argumentError(name, function) }
    var declared: TorchElement?
    if function == "_rebuild_tensor_v3" {
      guard arguments.count >= 7 else { throw argumentError(name, function) }
      declared = try element(ofType: arguments[6], name: name)
    }
    let storage = try storage(at: arguments[0], declared: declared, name: name)
    let tensor = StoredTensor(
      record: storage.record, element: storage.element, offset: offset, sizes: sizes,
      strides: strides, storageCount: storage.count)
    guard var tensor else {
      throw error(
        name, expected: "a view inside the \(storage.count) elements of \(storage.record)",
        found: "sizes \(numbers(sizes)), strides \(numbers(strides)), offset \(offset)",
        fix: "the pickle is damaged; save the model again")
    }
    if function != "_rebuild_tensor" {
      let place = function == "_rebuild_tensor_v3" ? 7 : 6
      tensor.isNegated = try isNegated(arguments.dropFirst(place).first, function, name: name)
    }
    return tensor
  }

  /// Reads what PyTorch stores of a tensor beside its view: `{"neg": True}` if the numbers are those of
  /// the storage with the other sign.
  ///
  /// - Throws: `InterchangeError` for everything else that is set, such as the conjugate bit.
  private func isNegated(
    _ metadata: PickleReference?, _ function: String, name: String
  ) throws -> Bool {
    guard let metadata, graph[metadata].value != .none else { return false }
    guard let entries = graph.entries(metadata) else { throw argumentError(name, function) }
    var isNegated = false
    for entry in entries {
      switch (graph.string(entry.key), graph[entry.value].value) {
      case (_, .bool(false)), (_, .none): continue
      case ("neg", .bool(true)): isNegated = true
      default:
        throw error(
          name, expected: "a tensor of plain numbers",
          found: "one whose metadata sets \(graph.describe(entry.key))",
          fix: "save the numbers that it stands for: `tensor.resolve_conj().resolve_neg().clone()`")
      }
    }
    return isNegated
  }

  private func numbers(_ values: [Int]) -> String {
    "[" + list(values.map(String.init)) + "]"
  }

  /// Returns the element type of a `torch.dtype`, which is pickled by name.
  private func element(ofType reference: PickleReference, name: String) throws -> TorchElement {
    guard case .global("torch", let type) = graph[reference].value,
      let element = TorchElement.element(type)
    else {
      throw error(
        name, expected: "a known torch.dtype", found: graph.describe(reference),
        fix: "convert it first: `model.float()`, then save the state_dict")
    }
    return element
  }

  // MARK: - Storages

  /// The name of the pickle in messages.
  private var pickleName: String {
    pickleRecord.hasSuffix("data.pkl") ? "data.pkl" : "the pickle"
  }

  /// Returns the storage of `("storage", torch.XStorage, key, location, numel)`; an untyped storage
  /// counts bytes.
  private func storage(
    at reference: PickleReference, declared: TorchElement?, name: String
  ) throws -> (record: String, element: TorchElement, count: Int) {
    if EmbeddedStorage.isCall(reference, in: graph) {
      let record = EmbeddedStorage.record(reference)
      guard storages[record] != nil,
        let (element, count) = EmbeddedStorage.element(reference, in: graph)
      else {
        throw error(
          name, expected: "a storage of little-endian numbers in the pickle", found: "another one",
          fix: "save the state_dict with `torch.save`")
      }
      return (record, element, count)
    }
    guard case .persistent(let identifier) = graph[reference].value,
      let parts = graph.tuple(identifier), parts.count >= 5,
      graph.string(parts[0]) == "storage", let key = graph.string(parts[2]),
      let numel = graph.int(parts[4]), numel >= 0,
      case .global(_, let type) = graph[parts[1]].value
    else {
      throw error(
        name, expected: "a storage of this file", found: graph.describe(reference),
        fix: "the pickle is damaged; save the model again")
    }
    guard let stored = type == "UntypedStorage" ? declared : TorchElement.storage(type) else {
      throw error(
        name, expected: "a tensor of floating-point numbers", found: "a torch.\(type)",
        fix: Self.saveAgain)
    }
    let unit = type == "UntypedStorage" ? 1 : stored.size
    let record = storagePrefix + key
    let available = storages[record]?.count
    let (byteCount, overflow) = numel.multipliedReportingOverflow(by: unit)
    guard !overflow, byteCount == available else {
      throw error(
        record, expected: "\(numel) elements of \(unit) bytes, as \(pickleName) says",
        found: available.map { "\($0) bytes" } ?? "no such record",
        fix: "the file is damaged; copy it again or save the model again")
    }
    let element = declared ?? stored
    return (record, element, byteCount / element.size)
  }

  // MARK: - Contents

  /// The maximum number of bytes of all copies of tensors, however small their storages are: a file
  /// may expand each tensor, and hold many views of one storage.
  var roomForCopies: Int { max(64 << 20, file.count) }

  /// Returns the elements of a tensor, mapped if they are contiguous, else copied.
  ///
  /// - Parameters:
  ///   - tensor: The tensor.
  ///   - name: Its name, for messages.
  ///   - room: The number of bytes that may be copied. Out: reduced by the copied bytes.
  /// - Returns: The tensor.
  /// - Throws: `InterchangeError` for types that are not used for weights, and for copies beyond
  ///   `room`.
  func contents(
    of tensor: StoredTensor, named name: String, room: inout Int
  ) throws -> Tensor {
    if let reference = arrayReference(tensor), let array = arrays[reference] {
      return try array.array.numbers(
        of: tensor, named: name, in: array.bytes, room: &room, error: error)
    }
    guard let dtype = tensor.element.dtype, dtype.isFloat else {
      throw error(
        name, expected: "float16, bfloat16, float32 or float64", found: tensor.element.name,
        fix: "convert it first: `model.float()`, then save the state_dict")
    }
    guard let storage = storages[tensor.record],
      let byteCount = tensor.shape.byteCount(of: dtype), tensor.isStored || byteCount <= room
    else {
      throw error(
        name, expected: "tensors not much larger than the file in all",
        found: "shape \(tensor.shape) expanded from \(tensor.span) elements",
        fix: "save a contiguous copy: `tensor.contiguous()`")
    }
    if !tensor.isStored { room -= byteCount }
    guard
      let result = Tensor(
        shape: tensor.shape, dtype: dtype, storage: bytes(of: tensor, in: storage))
    else {
      throw error(
        name, expected: "\(byteCount) bytes", found: "others",
        fix: "the file is damaged; save the model again")
    }
    return result
  }

  /// Returns the NumPy array that a tensor is a view of.
  private func arrayReference(_ tensor: StoredTensor) -> PickleReference? {
    guard tensor.record.hasPrefix("array ") else { return nil }
    return Int(tensor.record.dropFirst("array ".count)).map(PickleReference.init)
  }

  private func bytes(of tensor: StoredTensor, in storage: ByteStorage) -> ByteStorage {
    guard tensor.isStored else { return .owned(tensor.gathered(from: storage)) }
    let start = tensor.offset * tensor.element.size
    return storage[start..<start + tensor.span * tensor.element.size]
  }

  /// Checks the storages of tensors against their CRC-32.
  ///
  /// - Returns: A note on storages without one.
  /// - Throws: `InterchangeError` if one differs.
  func verifyStorages(of tensors: [StoredTensor]) throws -> [Note] {
    // Files of PyTorch before 1.6 have no checksums.
    guard let archive else { return [] }
    let records = Set(tensors.map(\.record)).sorted().compactMap { archive.records[$0] }
    return archive.notes(ofUnverified: try archive.unverified(records))
  }
}
