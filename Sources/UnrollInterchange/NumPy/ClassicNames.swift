// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The letters that tutorials use for the matrices of a vanilla RNN with one-hot input.

import UnrollTensors

/// The arrays of one of these networks, and their names in a state_dict.
struct ClassicNames {
  private let names: [(letter: String, name: String)]

  /// Optional biases, `[H]` and `[V]`, in the notation of textbooks: `h = tanh(b + W h + U x)`,
  /// `o = c + V h`.
  private static let optional = [
    (letter: "b", name: "rnn.bias_l0", beside: "U"),
    (letter: "c", name: "decoder.bias", beside: "U"),
  ]

  private static let all: [[(letter: String, name: String)]] = [
    // rnn-tutorial-rnnlm (WildML): s = tanh(U x + W s), o = softmax(V s); U [H, V], W [H, H], V [V, H].
    [("U", "rnn.weight_ih_l0"), ("W", "rnn.weight_hh_l0"), ("V", "decoder.weight")],
    // min-char-rnn: h = tanh(Wxh x + Whh h + bh), p = softmax(Why h + by); biases [H, 1] and [V, 1].
    [
      ("Wxh", "rnn.weight_ih_l0"), ("Whh", "rnn.weight_hh_l0"), ("bh", "rnn.bias_l0"),
      ("Why", "decoder.weight"), ("by", "decoder.bias"),
    ],
  ]

  /// Creates the names of the first network whose arrays are all present; `nil` if there is none.
  init?(of model: NamedTensors) {
    let present = Set(model.tensors.map(\.name))
    let found = Self.all.first { names in names.allSatisfy { present.contains($0.letter) } }
    guard let found else { return nil }
    names =
      found
      + Self.optional.filter { entry in
        present.contains(entry.letter) && found.contains { $0.letter == entry.beside }
      }.map { ($0.letter, $0.name) }
  }

  /// Renames the arrays of the network.
  ///
  /// - Returns: Notes on assumptions.
  /// - Throws: `InterchangeError` if the shapes do not fit such a network.
  func apply(to model: inout NamedTensors) throws -> [Note] {
    let roles = Dictionary(names.map { ($0.letter, $0.name) }) { first, _ in first }
    for index in model.tensors.indices {
      let tensor = model.tensors[index]
      guard let role = roles[tensor.name] else { continue }
      model.tensors[index] = NamedTensor(
        name: role, fileName: tensor.name, tensor: tensor.tensor.asColumn ?? tensor.tensor)
    }
    let named = names.compactMap { entry in model.tensors.first { $0.name == entry.name } }
    try checkShapes(of: named, file: model.file)
    let meanings = names.map { "\($0.letter) is \($0.name)" }
    return [Note(place: model.file.place, message: "assumed from names: \(list(meanings)), tanh")]
  }

  /// Checks shapes, since other programs use these letters with other meanings.
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
      found: list(tensors.map { "\($0.fileName) \($0.tensor.shape)" }),
      fix: "say which array is which with --map, as in "
        + "`{\"rnn.weight_ih_l0\": \"NAME\", \"rnn.weight_hh_l0\": ..., \"decoder.weight\": ...}`")
  }
}

extension StoredTensor {
  /// The vector `[N]` of a matrix `[N, 1]`; `nil` for other shapes.
  fileprivate var asColumn: StoredTensor? {
    guard shape.rank == 2, shape.dimensions[1] == 1 else { return nil }
    return StoredTensor(
      record: record, element: element, offset: offset, sizes: [shape.dimensions[0]],
      strides: [strides[0]], storageCount: range.upperBound)
  }
}
