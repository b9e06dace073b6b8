// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The letters that tutorials give the matrices of a plain recurrent network with one-hot input.

import UnrollTensors

/// The arrays of one of these networks, and the names of a state_dict for them.
struct ClassicNames {
  private let names: [(letter: String, name: String)]

  private static let all: [[(letter: String, name: String)]] = [
    // rnn-tutorial-rnnlm (WildML): s = tanh(U x + W s), o = softmax(V s); U [H, V], W [H, H], V [V, H].
    [("U", "rnn.weight_ih_l0"), ("W", "rnn.weight_hh_l0"), ("V", "decoder.weight")],
    // min-char-rnn: h = tanh(Wxh x + Whh h + bh), p = softmax(Why h + by); biases [H, 1] and [V, 1].
    [
      ("Wxh", "rnn.weight_ih_l0"), ("Whh", "rnn.weight_hh_l0"), ("bh", "rnn.bias_l0"),
      ("Why", "decoder.weight"), ("by", "decoder.bias"),
    ],
  ]

  /// The names that all have an array, or `nil` if no network's have.
  init?(of model: NamedTensors) {
    let present = Set(model.tensors.map(\.name))
    let found = Self.all.first { names in names.allSatisfy { present.contains($0.letter) } }
    guard let found else { return nil }
    names = found
  }

  /// Gives the arrays their names; other arrays stay behind.
  ///
  /// - Returns: What was assumed and left behind.
  /// - Throws: `InterchangeError` if their shapes are not those of such a network.
  func apply(to model: inout NamedTensors) throws -> [Note] {
    let byName = Dictionary(model.tensors.map { ($0.name, $0) }) { first, _ in first }
    let tensors = names.compactMap { entry in
      byName[entry.letter].map {
        NamedTensor(name: entry.name, tensor: $0.tensor.asColumn ?? $0.tensor)
      }
    }
    try checkShapes(of: tensors, file: model.file)
    let letters = Set(names.map(\.letter))
    let rest = model.tensors.map(\.name).filter { !letters.contains($0) }
    model.tensors = tensors
    let roles = names.map { "\($0.letter) is \($0.name)" }
    var notes = [
      Note(place: model.file.place, message: "assumed from names: \(list(roles)), tanh")
    ]
    if !rest.isEmpty {
      notes.append(Note(place: model.file.place, message: "not carried: \(list(rest))"))
    }
    return notes
  }

  /// Others give these letters other meanings, which their shapes tell.
  private func checkShapes(of tensors: [NamedTensor], file: any TensorContainer) throws {
    let shapes = Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, $0.tensor.shape) })
    guard let input = shapes["rnn.weight_ih_l0"]?.dimensions, input.count == 2 else {
      throw shapeError(tensors, file)
    }
    let (H, V) = (input[0], input[1])
    guard shapes["rnn.weight_hh_l0"] == [H, H], shapes["decoder.weight"] == [V, H],
      shapes["rnn.bias_l0"].map({ $0 == [H] }) ?? true,
      shapes["decoder.bias"].map({ $0 == [V] }) ?? true
    else { throw shapeError(tensors, file) }
  }

  private func shapeError(
    _ tensors: [NamedTensor], _ file: any TensorContainer
  ) -> InterchangeError {
    let letters = names.map(\.letter)
    return file.error(
      list(letters), expected: "an input [H, V], a recurrent [H, H] and an output matrix [V, H]",
      found: list(zip(letters, tensors).map { "\($0) \($1.tensor.shape)" }),
      fix: "say which array is which with --map, as in "
        + "`{\"rnn.weight_ih_l0\": \"NAME\", \"rnn.weight_hh_l0\": ..., \"decoder.weight\": ...}`")
  }
}

extension TorchTensor {
  /// The vector `[N]` of a matrix `[N, 1]`, or `nil` for other shapes.
  fileprivate var asColumn: TorchTensor? {
    guard shape.rank == 2, shape.dimensions[1] == 1 else { return nil }
    return TorchTensor(
      record: record, element: element, offset: offset, sizes: [shape.dimensions[0]],
      strides: [strides[0]], storageCount: range.upperBound)
  }
}
