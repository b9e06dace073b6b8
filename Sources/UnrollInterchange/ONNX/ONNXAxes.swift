// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Tracks the axes of a value through a graph: each operation must leave the function unchanged.

import UnrollTensors

/// The meaning of an axis of a value, for one sequence.
enum ONNXAxis: String {
  /// Time steps.
  case time = "T"
  /// A single element: the batch, the direction, or the last time step.
  case one = "1"
  /// Features: the hidden state, embedding or logits of one token.
  case features = "F"
}

/// A value that is tracked through operations, with the meaning of its axes.
struct ONNXTrace {
  /// The axes; `nil` after a reshape with computed sizes: any axes, features last.
  private(set) var axes: [ONNXAxis]?
  /// `true` if only the last time step remains.
  private(set) var isLastStep = false
  /// The number of features; `nil` for ids, which have none.
  private(set) var width: Int?

  /// Creates the trace of a graph input, or of its embedding.
  init(axes: [ONNXAxis], width: Int? = nil) { (self.axes, self.width) = (axes, width) }

  /// Creates the trace of a layer's result.
  ///
  /// - Parameters:
  ///   - output: The index of the result: 0 for all states `[T, 1, 1, F]`, 1 for the last
  ///     `[1, 1, F]`.
  ///   - width: The size of the hidden state.
  init(output: Int, width: Int) {
    axes = output == 0 ? [.time, .one, .one, .features] : [.one, .one, .features]
    isLastStep = output == 1
    self.width = width
  }

  /// Appends a features axis, for a vector of each id.
  mutating func addFeatures(_ width: Int) {
    axes?.append(.features)
    self.width = width
  }

  /// Applies an operation to the trace.
  ///
  /// - Parameters:
  ///   - node: The operation.
  ///   - graph: The graph with its constants.
  ///   - classes: The number of logits, after a linear output.
  /// - Returns: `nil` if every number stays with its token, else the effect of the operation, in
  ///   words.
  mutating func apply(_ node: ONNXNode, in graph: ONNXGraph, classes: Int = 0) -> String? {
    switch node.operation {
    case "Identity", "Add", "Log": return nil
    case "Dropout", "Cast": return graph.change(by: node)
    case "Transpose": return transpose(node)
    case "Squeeze": return squeeze(node, in: graph)
    case "Unsqueeze": return unsqueeze(node, in: graph)
    case "Reshape": return reshape(node, in: graph)
    case "Flatten": return flatten(node)
    case "Gather": return gather(node, in: graph)
    case "Slice": return slice(node, in: graph)
    case "MatMul", "Gemm":
      width = classes
      return nil
    case "Softmax", "LogSoftmax": return softmax(node, in: graph)
    default: return "the operation \(node.operation)"
    }
  }

  private func softmax(_ node: ONNXNode, in graph: ONNXGraph) -> String? {
    let axis = node.attributes["axis"]?.int ?? (graph.model.operatorSet < 13 ? 1 : -1)
    let last = axes.map { $0.count - 1 }
    return axis == -1 || axis == last ? nil : "axis \(axis)"
  }

  private mutating func transpose(_ node: ONNXNode) -> String? {
    let given = node.attributes["perm"]?.ints ?? []
    guard let axes else {
      return !given.isEmpty && given.last == given.count - 1
        ? nil : "a transposition of the features"
    }
    let order = given.isEmpty ? Array(axes.indices.reversed()) : given
    guard order.sorted() == Array(axes.indices) else { return "a transposition of other axes" }
    let turned = order.map { axes[$0] }
    self.axes = turned
    return width == nil || turned.last == .features ? nil : "a transposition of the features"
  }

  /// Returns the axes of a squeeze, from an attribute or, since operator set 13, a constant.
  private func listedAxes(_ node: ONNXNode, in graph: ONNXGraph, rank: Int) -> [Int]? {
    let listed = node.attributes["axes"]?.ints ?? node.input(1).flatMap { graph.integers($0) }
    return listed.map { $0.map { $0 < 0 ? $0 + rank : $0 } }
  }

  /// Returns an error in words if a value is an attribute where the operator set has an input, or the other
  /// way round; else `nil`.
  private func misplaced(
    _ name: String, since operatorSet: Int, _ node: ONNXNode, in graph: ONNXGraph
  ) -> String? {
    let own = graph.model.operatorSet
    let isInput = own >= operatorSet
    guard isInput ? node.attributes[name] != nil : node.input(1) != nil else { return nil }
    return "\(name) as an \(isInput ? "attribute" : "input") in operator set \(own)"
  }

  private mutating func squeeze(_ node: ONNXNode, in graph: ONNXGraph) -> String? {
    if let misplaced = misplaced("axes", since: 13, node, in: graph) { return misplaced }
    guard var axes else { return "a squeeze behind computed sizes" }
    let all = axes.indices.filter { axes[$0] == .one }
    let isWhole = node.attributes["axes"] == nil && node.input(1) == nil
    guard let listed = isWhole ? all : listedAxes(node, in: graph, rank: axes.count) else {
      return "a squeeze of computed axes"
    }
    for axis in Set(listed).sorted(by: >) {
      guard axes.indices.contains(axis) else { return "axes that are not there" }
      guard axes[axis] == .one else { return "a squeeze of the axis \(axes[axis].rawValue)" }
      axes.remove(at: axis)
    }
    self.axes = axes
    return nil
  }

  private mutating func unsqueeze(_ node: ONNXNode, in graph: ONNXGraph) -> String? {
    if let misplaced = misplaced("axes", since: 13, node, in: graph) { return misplaced }
    let count = (node.attributes["axes"]?.ints ?? node.input(1).flatMap { graph.integers($0) })?
      .count
    guard var axes, let count,
      let listed = listedAxes(node, in: graph, rank: axes.count + count)
    else { return "a new axis behind computed sizes" }
    for axis in listed.sorted() {
      guard (0...axes.count).contains(axis) else { return "axes that are not there" }
      axes.insert(.one, at: axis)
    }
    guard width == nil || axes.last == .features else { return "an axis behind the features" }
    self.axes = axes
    return nil
  }

  private mutating func flatten(_ node: ONNXNode) -> String? {
    let axis = node.attributes["axis"]?.int ?? 1
    guard let axes, width != nil, axes.last == .features else { return "a flattening" }
    let place = axis < 0 ? axis + axes.count : axis
    guard axes.indices.contains(place), !axes[place...].contains(.time) else {
      return "a flattening from the axis \(axis)"
    }
    self.axes = [axes.contains(.time) ? .time : .one, .features]
    return nil
  }

  /// Applies a reshape.
  ///
  /// It keeps the order of elements, so for one sequence it has no effect if each feature vector
  /// stays intact.
  private mutating func reshape(_ node: ONNXNode, in graph: ONNXGraph) -> String? {
    guard let name = node.input(1), let sizes = graph.integers(name) else {
      let own = axes.flatMap { axes in
        node.input(1).flatMap { graph.axes(ofSizes: $0, data: node.inputs[0], axes: axes) }
      }
      if let own, width == nil || own.last == .features {
        axes = own
        return nil
      }
      guard let width, let last = node.input(1).flatMap({ graph.lastSize($0) }), last == width
      else {
        return "a reshape to computed sizes"
      }
      axes = nil
      return nil
    }
    guard let axes else {
      guard let width, sizes.last == width else { return "a reshape to \(sizes)" }
      self.axes = nil
      return nil
    }
    guard let shaped = reshaped(axes, to: sizes, in: node) else { return "a reshape to \(sizes)" }
    self.axes = shaped
    return nil
  }

  private func reshaped(_ axes: [ONNXAxis], to sizes: [Int], in node: ONNXNode) -> [ONNXAxis]? {
    let leading = width == nil ? sizes : Array(sizes.dropLast())
    let isCopying = node.attributes["allowzero"]?.int ?? 0 == 0
    var result: [ONNXAxis] = []
    for (index, size) in leading.enumerated() where size != -1 {
      switch size {
      case 0:
        guard isCopying, axes.indices.contains(index), axes[index] != .features else { return nil }
        result.append(axes[index])
      case 1: result.append(.one)
      // A fixed number of time steps.
      default: result.append(.time)
      }
    }
    let hasTime = axes.contains(.time)
    if let place = leading.firstIndex(of: -1) {
      result.insert(hasTime && !result.contains(.time) ? .time : .one, at: place)
    }
    guard result.filter({ $0 == .time }).count == (hasTime ? 1 : 0) else { return nil }
    guard let width else { return result }
    let isSame =
      sizes.last == 0 && isCopying && axes.indices.contains(sizes.count - 1)
      && axes[sizes.count - 1] == .features
    // The inferred size: the product is left for the features if the other sizes are 1 or copied.
    let isRest = sizes.last == -1 && leading.allSatisfy { $0 == 0 || $0 == 1 }
    return sizes.last == width || isSame || isRest ? result + [.features] : nil
  }

  /// Applies a gather of the last element of the time axis, or of the only element of another axis.
  private mutating func gather(_ node: ONNXNode, in graph: ONNXGraph) -> String? {
    let axis = node.attributes["axis"]?.int ?? 0
    guard let axes, let name = node.input(1), let index = graph.integers(name), index.count == 1,
      let rank = graph.constant(name)?.tensor.dimensions.count, rank < 2
    else {
      return "elements chosen by computed indices"
    }
    let place = axis < 0 ? axis + axes.count : axis
    guard axes.indices.contains(place) else { return "axes that are not there" }
    switch axes[place] {
    case .time where index[0] == -1: isLastStep = true
    case .one where index[0] == -1 || index[0] == 0: break
    default: return "element \(index[0]) of the axis \(axes[place].rawValue)"
    }
    self.axes?[place] = .one
    if rank == 0 { self.axes?.remove(at: place) }
    return nil
  }

  /// Applies a slice of the last element of the time axis, from -1 to the end, or of all elements
  /// of an axis.
  private mutating func slice(_ node: ONNXNode, in graph: ONNXGraph) -> String? {
    if let misplaced = misplaced("starts", since: 10, node, in: graph) { return misplaced }
    func list(_ index: Int, _ name: String) -> [Int]? {
      node.input(index).flatMap { graph.integers($0) } ?? node.attributes[name].map(\.ints)
    }
    guard let axes, let starts = list(1, "starts"), let ends = list(2, "ends"),
      starts.count == ends.count,
      let listed = node.input(3) == nil && node.attributes["axes"] == nil
        ? Array(starts.indices) : list(3, "axes"),
      let steps = node.input(4) == nil ? starts.map({ _ in 1 }) : list(4, "steps"),
      listed.count == starts.count, steps.count == starts.count
    else { return "a slice of computed bounds" }
    for index in starts.indices {
      let (start, end, axis) = (starts[index], ends[index], listed[index])
      let place = axis < 0 ? axis + axes.count : axis
      guard axes.indices.contains(place), steps[index] == 1 else { return "a slice with steps" }
      // 2^31 - 1 and 2^63 - 1 mean the end.
      let isToEnd = end >= Int(Int32.max)
      switch axes[place] {
      case _ where start == 0 && isToEnd: break
      case .one where start == 0 && end == 1: break
      case .one where start == -1 && isToEnd: break
      case .time where start == -1 && isToEnd:
        isLastStep = true
        self.axes?[place] = .one
      default: return "a slice from \(start) to \(end) of the axis \(axes[place].rawValue)"
      }
    }
    return nil
  }
}

extension ONNXGraph {
  /// Returns the integers of a small constant; `nil` if the value is computed or of another type.
  func integers(_ name: String) -> [Int]? {
    if let (node, _) = producer(of: name), node.operation == "Constant" {
      if let list = node.attributes["value_ints"]?.ints { return list }
      if let number = node.attributes["value_int"]?.int { return [number] }
    }
    return constant(name)?.tensor.integers(in: model.file)
  }

  /// Returns the last of computed sizes if it is constant: that of the last concatenated part.
  func lastSize(_ name: String) -> Int? {
    var name = name
    for _ in model.nodes {
      if let sizes = integers(name) { return sizes.last }
      guard let (node, _) = producer(of: name),
        let next = ["Cast", "Identity"].contains(node.operation)
          ? node.input(0) : node.operation == "Concat" ? node.inputs.last : nil
      else { return nil }
      name = next
    }
    return nil
  }

  /// Returns the change of values by a dropout or a cast, in words; `nil` if they are unchanged.
  func change(by node: ONNXNode) -> String? {
    switch node.operation {
    case "Dropout":
      guard model.operatorSet >= 7 else { return "a dropout of operator set \(model.operatorSet)" }
      guard let mode = node.input(2) else { return nil }
      guard let (tensor, _) = constant(mode), tensor.isZero(in: model.file) else {
        return "a dropout in training mode"
      }
      return nil
    case "Cast":
      let type = node.attributes["to"]?.int ?? 0
      // f32 and f64 represent every value of the engine.
      return [1, 11].contains(type) ? nil : "a cast to the data type \(type)"
    default: return nil
    }
  }
}

extension ONNXTensor {
  /// Returns the bytes of small constants in the file.
  private func bytes(in file: MappedFile) -> [UInt8]? {
    switch numbers {
    case .raw(let range): range.count <= 4_096 ? file.copy(range) : nil
    case .list(let bytes): bytes
    case .external: nil
    }
  }

  /// Returns the values of a constant of 32- or 64-bit integers.
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

  /// Returns `true` if every byte of a small constant is zero.
  func isZero(in file: MappedFile) -> Bool {
    bytes(in: file).map { !$0.isEmpty && $0.allSatisfy { $0 == 0 } } ?? false
  }

  /// Returns the values of a small numeric constant.
  func values(in file: MappedFile) -> [Double]? {
    if let integers = integers(in: file) { return integers.map(Double.init) }
    guard let bytes = bytes(in: file) else { return nil }
    return bytes.withUnsafeBytes { bytes in
      switch type {
      case 1: bytes.elements(of: UInt32.self) { Double(Float(bitPattern: $0)) }
      case 10: bytes.elements(of: UInt16.self) { Double(Float(Float16(bitPattern: $0))) }
      case 11: bytes.elements(of: UInt64.self) { Double(bitPattern: $0) }
      default: nil
      }
    }
  }
}
