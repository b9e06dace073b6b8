// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The embedding and the output layer: the two matrices around the recurrent layers.

import UnrollTensors

/// The tensors before and after the recurrent layers.
struct EmbeddingAndOutput {
  /// The weight of the embedding, `[V, D]`; `nil` with one-hot input.
  let embedding: NamedTensor?
  /// The weight of the output, `[V, H]`.
  let output: NamedTensor
  /// The bias of the output, `[V]`, if it has one.
  let outputBias: NamedTensor?

  /// Assigns the tensors that are not recurrent; every one of them must have a role.
  ///
  /// - Parameters:
  ///   - model: The tensors.
  ///   - names: The names of the recurrent ones.
  ///   - D: The input size of the first recurrent layer.
  ///   - H: The hidden size of the last one.
  /// - Throws: `InterchangeError` naming tensors that fit no role, or more than one.
  init(in model: NamedTensors, besides names: Set<String>, D: Int, H: Int) throws {
    let rest = model.tensors.filter { !names.contains($0.name) }
    let matrices = rest.filter { $0.tensor.shape.rank == 2 }
    let pairs = Self.pairs(of: matrices, D: D, H: H)
    let chosen =
      Self.choose(pairs, model: model).map { ($0.embedding, $0.output) }
      ?? Self.outputOfOneHots(matrices, D: D, H: H, model: model).map { (nil, $0) }
    guard let (embedding, output) = chosen else {
      throw model.file.error(
        model.file.place,
        expected: "an embedding [V, \(D)] and an output [V, \(H)] beside the recurrent layers",
        found: pairs.isEmpty
          ? Self.describe(rest) : "several choices: \(Self.describe(matrices))",
        fix: pairs.isEmpty
          ? Self.fixOfParts(model.file)
          : "name them encoder.weight and decoder.weight, as word_language_model does")
    }
    (self.embedding, self.output) = (embedding, output)
    let biasName = Self.path(of: output.name) + "bias"
    outputBias = rest.first { $0.name == biasName }
    let used = [embedding?.name, output.name, outputBias?.name]
    let leftOver = rest.filter { !used.contains($0.name) }
    guard leftOver.isEmpty else {
      throw model.file.error(
        model.file.place,
        expected: "no tensors but embedding, recurrent layers and output",
        found: Self.describe(leftOver),
        fix:
          "a model that computes with them cannot be converted; if it does not, save it without them"
      )
    }
  }

  /// What to do where no two matrices fit.
  private static func fixOfParts(_ file: any TensorContainer) -> String {
    "save the state_dict of the whole language model; one with other layers between these parts "
      + "cannot be converted"
      + (file is SafetensorsFile
        ? "; if one weight is both, \"tie_word_embeddings\": true in config.json says so" : "")
  }

  typealias Pair = (embedding: NamedTensor, output: NamedTensor)

  /// All pairs of two different names whose shapes fit.
  private static func pairs(of matrices: [NamedTensor], D: Int, H: Int) -> [Pair] {
    // More than a few matrices are no language model of this kind; pairs grow with the square.
    guard matrices.count <= 16 else { return [] }
    return matrices.flatMap { embedding in
      matrices.compactMap { output -> Pair? in
        let (first, second) = (embedding.tensor.shape.dimensions, output.tensor.shape.dimensions)
        let fits = first[1] == D && second[1] == H && first[0] == second[0]
        return fits && embedding.name != output.name ? (embedding, output) : nil
      }
    }
  }

  /// The only matrix, if its tokens are as many as the columns of the first layer: each token's vector
  /// has a one at its id, and there is no embedding.
  private static func outputOfOneHots(
    _ matrices: [NamedTensor], D: Int, H: Int, model: NamedTensors
  ) -> NamedTensor? {
    guard matrices.count == 1, let output = matrices.first,
      output.tensor.shape == [D, H], !isEmbedding(output.name, model: model)
    else { return nil }
    return output
  }

  /// The only pair, or the only one whose modules say what they are.
  private static func choose(_ pairs: [Pair], model: NamedTensors) -> Pair? {
    if pairs.count == 1 { return pairs.first }
    let speaking = pairs.filter { pair in
      isEmbedding(pair.embedding.name, model: model) && !isEmbedding(pair.output.name, model: model)
    }
    return speaking.count == 1 ? speaking.first : nil
  }

  /// Whether a matrix belongs to an embedding, by its module's class or else by its name.
  static func isEmbedding(_ name: String, model: NamedTensors) -> Bool {
    let path = String(Self.path(of: name).dropLast())
    if let module = model.module(path) {
      return module.className == "torch.nn.modules.sparse.Embedding"
    }
    let word = path.split(separator: ".").last.map { $0.lowercased() } ?? ""
    return word.contains("emb") || word == "encoder" || word == "wte"
  }

  /// The part of a name before the parameter's own, with its dot.
  private static func path(of name: String) -> String {
    guard let dot = name.lastIndex(of: ".") else { return "" }
    return String(name[...dot])
  }

  private static func describe(_ tensors: [NamedTensor]) -> String {
    tensors.isEmpty ? "none" : list(tensors.map { "\($0.name) \($0.tensor.shape)" }, atMost: 6)
  }
}
