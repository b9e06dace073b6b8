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

  /// Finds the layer; `nil` if the names of no tensors are those of one.
  ///
  /// - Throws: `InterchangeError` naming a tensor that is missing, or that does not fit the others.
  init?(in model: NamedTensors) throws {
    let named = Dictionary(model.tensors.map { ($0.name, $0) }) { first, _ in first }
    let first = ".tail.0.0.weight"
    let dotted = named.keys.filter { ("." + $0).hasSuffix(first) }.sorted()
    guard let found = dotted.first else { return nil }
    let prefix = String(found.dropLast(first.count - 1))
    guard dotted.count == 1, let head = named[prefix + "head.weight"] else {
      throw model.roleError(
        found, expected: "one adaptive softmax, with \(prefix)head.weight beside its tails",
        found: dotted.count == 1 ? "no head" : "\(dotted.count) of them",
        advice: "leave out what the model does not compute with")
    }
    var tails: [(projection: NamedTensor, weight: NamedTensor)] = []
    while let projection = named["\(prefix)tail.\(tails.count).0.weight"] {
      let second = "\(prefix)tail.\(tails.count)."
      // fairseq's weight comes after a dropout, which has no tensors.
      guard let weight = named[second + "1.weight"] ?? named[second + "2.weight"] else {
        throw model.file.error(
          projection.fileName, expected: "\(second)1.weight beside it", found: "none",
          fix: "save the state_dict of the whole model")
      }
      tails.append((projection, weight))
    }
    self.head = head
    self.tails = tails
    try checkShapes(model)
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
