// The head and the tails of an adaptive softmax among the tensors of a state_dict.

import UnrollFormat
import UnrollTensors

/// The tensors of PyTorch's `nn.AdaptiveLogSoftmaxWithLoss`, or of fairseq's `AdaptiveSoftmax`, which has a dropout
/// between the two linear layers of a tail.
struct AdaptiveNames {
  /// The weight of the head, `[head + tails, H]`.
  let head: NamedTensor
  /// The projection `[P, H]` and the weight `[size, P]` of each tail.
  let tails: [(projection: NamedTensor, weight: NamedTensor)]

  /// Finds the layer; `nil` if the names of no tensors are those of one, or a map names another output.
  ///
  /// - Throws: `InterchangeError` naming a tensor that is missing, or that does not fit the others.
  init?(in model: NamedTensors) throws {
    let named = Dictionary(model.tensors.map { ($0.name, $0) }) { first, _ in first }
    guard named["decoder.weight"]?.isMapped != true else { return nil }
    let prefixes = Set(model.tensors.compactMap { Self.prefix(of: $0.name) }).sorted()
    guard let prefix = prefixes.first else { return nil }
    // The error shows no map: a map is made with the parts that are looked for here.
    func missing(_ name: String) -> InterchangeError {
      let own = model.tensors.filter { $0.name.hasPrefix(prefix + "tail.") }.map(\.fileName)
      return model.file.error(
        own[0], expected: "\(name) beside it, a part of the same adaptive softmax", found: "none",
        fix:
          "save the state_dict of the whole model; or leave the tails out, if the model does not compute with them, with "
          + own.map { "`--ignore \($0)`" }.joined(separator: " "))
    }
    guard prefixes.count == 1 else {
      throw model.file.error(
        model.file.place, expected: "one adaptive softmax",
        found: list(prefixes.map { "tails below \($0)tail" }),
        fix: "leave the tensors of all but one out with `--ignore NAME`")
    }
    guard let head = named[prefix + "head.weight"] else { throw missing(prefix + "head.weight") }
    let count = (model.tensors.compactMap { Self.tail(of: $0.name) }.max() ?? 0) + 1
    tails = try (0..<count).map { index in
      let name = "\(prefix)tail.\(index)."
      guard let projection = named[name + "0.weight"] else { throw missing(name + "0.weight") }
      // fairseq's weight comes after a dropout, which has no tensors.
      guard let weight = named[name + "1.weight"] ?? named[name + "2.weight"] else {
        throw missing(name + "1.weight")
      }
      return (projection, weight)
    }
    self.head = head
    try checkShapes(model)
  }

  /// Returns the number of the tail that a projection `tail.0.0.weight` belongs to; `nil` for other names.
  private static func tail(of name: String) -> Int? {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count >= 4, parts.suffix(2) == ["0", "weight"],
      parts[parts.count - 4] == "tail", let index = Int(parts[parts.count - 3]),
      0..<100 ~= index
    else { return nil }
    return index
  }

  /// Returns the part of a projection's name before `tail`; `nil` for other names.
  private static func prefix(of name: String) -> String? {
    guard tail(of: name) != nil else { return nil }
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    return parts.dropLast(4).map { $0 + "." }.joined()
  }

  /// The number of tokens: those of the tails, and those of the head, whose last rows are the tails themselves.
  var vocabularySize: Int { rows(head) - tails.count + sizes.reduce(0) { $0 + $1.size } }

  /// The sizes of the tails.
  var sizes: [OutputTail] {
    tails.map { OutputTail(size: rows($0.weight), projectionSize: rows($0.projection)) }
  }

  /// The names of the tensors, without the bias of the head.
  var names: Set<String> {
    Set([head.name] + tails.flatMap { [$0.projection.name, $0.weight.name] })
  }

  /// The names in the file, without the bias of the head.
  var fileNames: [String] {
    [head.fileName] + tails.flatMap { [$0.projection.fileName, $0.weight.fileName] }
  }

  /// The assumption about the order of the tokens, in words.
  var assumption: String {
    let cutoffs = sizes.reduce(into: [rows(head) - tails.count]) {
      $0.append($0[$0.count - 1] + $1.size)
    }
    return
      "adaptive softmax with the cutoffs \(cutoffs.dropLast().map(String.init).joined(separator: ", "))"
  }

  private func rows(_ tensor: NamedTensor) -> Int { tensor.tensor.shape.dimensions[0] }

  private func checkShapes(_ model: NamedTensors) throws {
    let shapes =
      [head.tensor.shape] + tails.flatMap { [$0.projection.tensor.shape, $0.weight.tensor.shape] }
    let areMatrices = shapes.allSatisfy { $0.rank == 2 && !$0.dimensions.contains(0) }
    let fit =
      areMatrices && rows(head) > tails.count
      && tails.allSatisfy { tail in
        tail.projection.tensor.shape.dimensions[1] == head.tensor.shape.dimensions[1]
          && tail.weight.tensor.shape.dimensions[1] == rows(tail.projection)
      }
    guard fit else {
      throw model.file.error(
        head.fileName,
        expected: "a head [tokens + \(tails.count), H], and for each tail [P, H] and [tokens, P]",
        found: list(shapes.map(\.description)),
        fix: "the tensors are no adaptive softmax; save the state_dict of the trained model")
    }
  }
}
