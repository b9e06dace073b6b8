// One tree of parameters, many uses: weights, gradients and optimizer slots share its paths.

/// The parameters of a recurrent layer, by their names on disk.
public enum LayerParameter: String, Sendable, Hashable, CaseIterable {
  /// The weight of the input, `[G*H, D]`.
  case weightIH = "weight_ih"
  /// The weight of the hidden state, `[G*H, H]`.
  case weightHH = "weight_hh"
  /// The bias of the product with the input, `[G*H]`.
  case biasIH = "bias_ih"
  /// The bias of the product with the hidden state, `[G*H]`.
  case biasHH = "bias_hh"
  /// The only bias of a layer that has one, `[G*H]`.
  case bias
  /// The projection of the hidden state, `[P, H]`.
  case weightHR = "weight_hr"
}

/// The path of a parameter in a checkpoint, such as `/model/layers/00/weight_ih`.
public struct ParameterPath: Sendable, Hashable, Comparable, CustomStringConvertible {
  /// The absolute path.
  public let description: String

  private init(_ path: String) { description = path }

  /// The rows of the tokens, `[V, D]`.
  public static let embeddingWeight = ParameterPath("/model/embedding/weight")
  /// The weight that turns a hidden state into logits, `[V, H]`; with tails `[head + tails, H]`.
  public static let outputWeight = ParameterPath("/model/output/weight")
  /// The projection of the hidden state before the output weight, `[D, H]`.
  public static let outputProjection = ParameterPath("/model/output/projection")
  /// The bias of the logits, `[V]`; with tails `[head + tails]`.
  public static let outputBias = ParameterPath("/model/output/bias")

  /// Returns the path of a parameter of one layer, counted from 0.
  public static func layer(_ index: Int, _ parameter: LayerParameter) -> ParameterPath {
    ParameterPath("\(Layout.layer(index))/\(parameter.rawValue)")
  }

  /// Returns the path of a parameter of one tail of an adaptive softmax, counted from 0.
  public static func tail(_ index: Int, _ parameter: TailParameter) -> ParameterPath {
    ParameterPath("\(Layout.tail(index))/\(parameter.rawValue)")
  }

  /// Returns the path of the group of a layer's parameters, counted from 0.
  public static func layerGroup(_ index: Int) -> String { Layout.layer(index) }

  /// Orders paths by their bytes.
  public static func < (a: ParameterPath, b: ParameterPath) -> Bool {
    a.description.utf8.lexicographicallyPrecedes(b.description.utf8)
  }
}

/// One value for each parameter of a model: its weights, their gradients, or a slot of an optimizer.
public struct ParameterTree<Leaf> {
  private var leaves: [ParameterPath: Leaf] = [:]

  /// Creates an empty tree.
  public init() {}

  /// The value of a parameter, or `nil` where the tree has none.
  public subscript(path: ParameterPath) -> Leaf? {
    get { leaves[path] }
    set { leaves[path] = newValue }
  }

  /// Changes the value of a parameter in place.
  ///
  /// - Returns: The result of the closure, or `nil` if the tree has no such parameter.
  public mutating func update<Result>(
    _ path: ParameterPath, _ body: (inout Leaf) throws -> Result
  ) rethrows -> Result? {
    guard let index = leaves.index(forKey: path) else { return nil }
    return try body(&leaves.values[index])
  }

  /// Removes the value of a parameter and returns it: the only reference, which can change in place.
  public mutating func remove(_ path: ParameterPath) -> Leaf? { leaves.removeValue(forKey: path) }

  /// The paths that have a value, in order.
  public var paths: [ParameterPath] { leaves.keys.sorted() }

  /// Returns a tree of the same paths with each value transformed.
  public func map<Other>(_ transform: (Leaf) throws -> Other) rethrows -> ParameterTree<Other> {
    var other = ParameterTree<Other>()
    other.leaves = try leaves.mapValues(transform)
    return other
  }
}

extension ParameterTree: Sendable where Leaf: Sendable {}
