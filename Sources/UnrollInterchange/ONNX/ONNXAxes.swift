// swift-format-ignore-file: AlwaysUseLowerCamelCase
// What operations between layers do to the axes of a value: each is shown to leave the function unchanged.

import UnrollTensors

/// The meaning of an axis of a value.
enum ONNXAxis: String {
  /// Time steps.
  case time = "T"
  /// Directions, of which there is one.
  case direction = "D"
  /// Sequences of a batch.
  case batch = "B"
  /// Features: the hidden state, embedding or logits of one token.
  case features = "F"
}

/// A value followed from the layer that makes it, with the meaning of its axes.
struct ONNXTrace {
  /// The axes; `nil` once an operation has merged some of them.
  private(set) var axes: [ONNXAxis]?
  /// `true` if only the last time step is left.
  private(set) var isLastStep = false

  /// A value whose axes are not followed.
  init() { axes = nil }

  /// The axes of a layer's result.
  ///
  /// - Parameter output: The index of the result: 0 all states `[T, D, B, F]`, 1 the last `[D, B, F]`.
  init(output: Int) {
    axes = output == 0 ? [.time, .direction, .batch, .features] : [.direction, .batch, .features]
    isLastStep = output == 1
  }

  /// Follows a value through an operation.
  ///
  /// - Parameters:
  ///   - node: The operation.
  ///   - graph: The graph with its constants.
  ///   - width: The number of features, if it is known.
  /// - Returns: `nil` if it leaves every number with its token, else what it does, in words.
  mutating func apply(_ node: ONNXNode, in graph: ONNXGraph, width: Int?) -> String? {
    switch node.operation {
    case "Identity": return nil
    case "Dropout", "Cast": return graph.change(by: node)
    case "Transpose": return transpose(node)
    case "Squeeze", "Unsqueeze": return change(rank: node, in: graph)
    case "Reshape", "Flatten": return reshape(node, in: graph, width: width)
    case "Gather": return gather(node, in: graph)
    case "Slice": return slice(node, in: graph)
    default: return "the operation \(node.operation)"
    }
  }

  private mutating func transpose(_ node: ONNXNode) -> String? {
    guard let axes else {
      let order = node.attributes["perm"]?.ints ?? []
      return order.last == order.count - 1 ? nil : "a transposition of the features"
    }
    let order = node.attributes["perm"]?.ints ?? Array(axes.indices.reversed())
    guard order.sorted() == Array(axes.indices) else { return "a transposition of other axes" }
    self.axes = order.map { axes[$0] }
    return self.axes?.last == .features ? nil : "a transposition of the features"
  }

  /// The axes of a squeeze, from an attribute or, since operator set 13, a constant.
  private func listedAxes(_ node: ONNXNode, in graph: ONNXGraph, rank: Int) -> [Int]? {
    let listed = node.attributes["axes"]?.ints ?? node.input(1).flatMap { graph.integers($0) }
    return listed.map { $0.map { $0 < 0 ? $0 + rank : $0 } }
  }

  private mutating func change(rank node: ONNXNode, in graph: ONNXGraph) -> String? {
    guard let axes else { return nil }
    let isSqueeze = node.operation == "Squeeze"
    guard let listed = listedAxes(node, in: graph, rank: axes.count + (isSqueeze ? 0 : 1)) else {
      self.axes = nil
      return nil
    }
    var changed = axes
    for axis in listed.sorted(by: >) where isSqueeze {
      guard changed.indices.contains(axis) else { return "axes that are not there" }
      guard changed[axis] != .features else { return "the features squeezed" }
      // An axis of one element leaves every number in its place.
      changed.remove(at: axis)
    }
    for axis in listed.sorted() where !isSqueeze {
      guard axis < changed.count else { return "an axis behind the features" }
      changed.insert(.direction, at: max(0, axis))
    }
    self.axes = changed
    return nil
  }

  private mutating func reshape(_ node: ONNXNode, in graph: ONNXGraph, width: Int?) -> String? {
    guard node.operation == "Reshape" else {
      self.axes = nil
      return nil
    }
    guard let sizes = node.input(1).flatMap({ graph.integers($0) }) else {
      // A computed shape is that of the batch.
      self.axes = nil
      return nil
    }
    guard width == nil || sizes.last == width || sizes.last == -1 else {
      return "a reshape that cuts the features into \(sizes.last ?? 0)"
    }
    guard let axes else { return nil }
    let rest = axes.filter { $0 != .direction }
    self.axes = sizes.count == axes.count ? axes : sizes.count == rest.count ? rest : nil
    return nil
  }

  /// The index of the time axis, if it is known.
  private func isTime(_ axis: Int) -> Bool {
    guard let axes else { return false }
    let index = axis < 0 ? axis + axes.count : axis
    return axes.indices.contains(index) && axes[index] == .time
  }

  /// The last element of the time axis, or the only one of the directions and layers.
  private mutating func gather(_ node: ONNXNode, in graph: ONNXGraph) -> String? {
    let axis = node.attributes["axis"]?.int ?? 0
    guard let axes, let index = node.input(1).flatMap({ graph.integers($0) }), index.count == 1 else {
      return "elements chosen by computed indices"
    }
    let place = axis < 0 ? axis + axes.count : axis
    guard axes.indices.contains(place) else { return "axes that are not there" }
    let isScalar = node.input(1).flatMap { graph.constant($0) }?.tensor.dimensions.isEmpty ?? false
    switch axes[place] {
    case .time where index[0] == -1: isLastStep = true
    case .direction where index[0] == -1 || index[0] == 0: break
    default: return "element \(index[0]) of the axis \(axes[place].rawValue)"
    }
    if isScalar {
      self.axes?.remove(at: place)
    } else {
      self.axes?[place] = .direction
    }
    return nil
  }

  /// The last element of the time axis: from -1 to the end.
  private mutating func slice(_ node: ONNXNode, in graph: ONNXGraph) -> String? {
    func list(_ index: Int, _ name: String) -> [Int]? {
      node.input(index).flatMap { graph.integers($0) } ?? node.attributes[name].map(\.ints)
    }
    guard let starts = list(1, "starts"), let ends = list(2, "ends"), starts.count == 1,
      ends.count == 1
    else { return "a slice of computed bounds" }
    let axis = list(3, "axes")?.first ?? 0
    let step = node.input(4).flatMap { graph.integers($0) }?.first ?? 1
    // 2^31 - 1 and 2^63 - 1 stand for the end.
    guard isTime(axis), starts[0] == -1, ends[0] >= Int(Int32.max), step == 1, let axes else {
      return "a slice from \(starts[0]) to \(ends[0]) of the axis \(axis)"
    }
    isLastStep = true
    let place = axis < 0 ? axis + axes.count : axis
    self.axes?[place] = .direction
    return nil
  }
}

extension ONNXGraph {
  /// The integers of a constant of at most 64; `nil` if the value is computed or of another type.
  func integers(_ name: String) -> [Int]? {
    guard let (tensor, _) = constant(name), tensor.dimensions.reduce(1, *) <= 64 else { return nil }
    return tensor.integers(in: model.file)
  }

  /// The change that a dropout or a cast makes to numbers, in words; `nil` if they stay as they are.
  func change(by node: ONNXNode) -> String? {
    switch node.operation {
    case "Dropout":
      guard let mode = node.input(2) else { return nil }
      guard let (tensor, _) = constant(mode), tensor.isZero(in: model.file) else {
        return "a dropout in training mode"
      }
      return nil
    case "Cast":
      let type = node.attributes["to"]?.int ?? 0
      // f32 and f64 hold every number of the engine.
      return [1, 11].contains(type) ? nil : "a cast to the data type \(type)"
    default: return nil
    }
  }
}

extension ONNXTensor {
  /// The bytes of small constants that lie in the file.
  private func bytes(in file: MappedFile) -> [UInt8]? {
    switch numbers {
    case .raw(let range): range.count <= 4_096 ? file.copy(range) : nil
    case .list(let bytes): bytes
    case .external: nil
    }
  }

  /// The values of a constant of 32- or 64-bit integers.
  func integers(in file: MappedFile) -> [Int]? {
    guard let bytes = bytes(in: file) else { return nil }
    return bytes.withUnsafeBytes { bytes in
      switch type {
      case 7: bytes.elements(of: UInt64.self) { Int(Int64(bitPattern: $0)) }
      case 6: bytes.elements(of: UInt32.self) { Int(Int32(bitPattern: $0)) }
      default: nil
      }
    }
  }

  /// `true` if every byte of a small constant is zero.
  func isZero(in file: MappedFile) -> Bool {
    bytes(in: file)?.allSatisfy { $0 == 0 } ?? false
  }

  /// The values of a small constant as numbers.
  func values(in file: MappedFile) -> [Double]? {
    if let integers = integers(in: file) { return integers.map(Double.init) }
    guard let bytes = bytes(in: file) else { return nil }
    return bytes.withUnsafeBytes { bytes in
      switch type {
      case 1: bytes.elements(of: UInt32.self) { Double(Float(bitPattern: $0)) }
      case 11: bytes.elements(of: UInt64.self) { Double(bitPattern: $0) }
      default: nil
      }
    }
  }
}
