// Computed sizes of a reshape, as exporters with dynamic axes write them: products of the value's
// own axes.

extension ONNXGraph {
  /// Returns the meanings of the axes after a reshape.
  ///
  /// - Parameters:
  ///   - name: The computed sizes: concatenated parts.
  ///   - data: The value to reshape.
  ///   - axes: Its axes.
  /// - Returns: The meanings; `nil` if a size is not that of axes of the value, or an axis is left
  ///   out.
  func axes(ofSizes name: String, data: String, axes: [ONNXAxis]) -> [ONNXAxis]? {
    guard let (join, _) = producer(of: name), join.operation == "Concat" else { return nil }
    let parts = join.inputs.map { axis(ofSize: $0, data: data, axes: axes, depth: 0) }
    let known = parts.compactMap { $0 }
    // For one sequence, the sizes other than 1 must be the value's own, in order.
    guard known.count == parts.count, known.filter({ $0 != .one }) == axes.filter({ $0 != .one })
    else { return nil }
    return known
  }

  /// Returns the meaning of one size: an axis of the value, or a product of axes of which at most
  /// one is not 1.
  private func axis(ofSize name: String, data: String, axes: [ONNXAxis], depth: Int) -> ONNXAxis? {
    guard depth < 8 else { return nil }
    if let constant = integers(name) { return constant == [1] ? .one : nil }
    guard let (node, _) = producer(of: name), let input = node.input(0) else { return nil }
    switch node.operation {
    case "Cast", "Identity", "Squeeze", "Unsqueeze", "Reshape":
      return axis(ofSize: input, data: data, axes: axes, depth: depth + 1)
    case "Slice", "Gather":
      guard let index = pickedIndex(node), axes.indices.contains(index),
        let (shape, _) = producer(of: input), shape.operation == "Shape", shape.input(0) == data,
        shape.attributes["start"]?.int ?? 0 == 0, shape.attributes["end"] == nil
      else { return nil }
      return axes[index]
    case "Mul":
      let factors = node.inputs.map { axis(ofSize: $0, data: data, axes: axes, depth: depth + 1) }
      let known = factors.compactMap { $0 }
      let others = known.filter { $0 != .one }
      return known.count == 2 && others.count < 2 ? others.first ?? .one : nil
    default: return nil
    }
  }

  /// Returns the index of the single element that a node selects from a list.
  private func pickedIndex(_ node: ONNXNode) -> Int? {
    guard let first = node.input(1).flatMap({ integers($0) }), first.count == 1 else { return nil }
    if node.operation == "Gather" { return first[0] }
    let end = node.input(2).flatMap { integers($0) }
    let steps = node.input(4).map { integers($0) == [1] } ?? true
    return end == [first[0] + 1] && steps ? first[0] : nil
  }
}
