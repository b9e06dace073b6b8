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

  /// The bias that is assumed to be the output's although its name is not beside the weight's.
  let assumedBias: NamedTensor?

  typealias Pair = (embedding: NamedTensor, output: NamedTensor)

  /// Assigns roles to the tensors that are not recurrent; every one of them must have a role.
  ///
  /// If the shapes of two matrices fit both roles, the classes of their modules decide; without
  /// classes, the bias, the order of the file and the names must agree.
  ///
  /// - Parameters:
  ///   - model: The tensors.
  ///   - names: The names of the recurrent tensors.
  ///   - D: The input size of the first recurrent layer.
  ///   - H: The hidden size of the last recurrent layer.
  ///   - adaptive: The head and the tails of an adaptive softmax; `nil` for one softmax.
  /// - Throws: `InterchangeError` naming tensors that fit no role, or several.
  init(
    in model: NamedTensors, besides names: Set<String>, D: Int, H: Int,
    adaptive: AdaptiveNames? = nil
  ) throws {
    let tails = adaptive.map { $0.names.subtracting([$0.head.name]) } ?? []
    let rest = model.tensors.filter { !names.contains($0.name) && !tails.contains($0.name) }
    let matrices = rest.filter { $0.tensor.shape.rank == 2 }
    let pairs = Self.pairs(of: matrices, in: model, D: D, H: H)
    let chosen: (embedding: NamedTensor?, output: NamedTensor)? =
      if let adaptive {
        (try Self.embedding(besides: adaptive, matrices, model, D: D, H: H), adaptive.head)
      } else {
        Self.choose(pairs, model: model).map { ($0.embedding, $0.output) }
          ?? Self.outputOfOneHots(matrices, D: D, H: H, model: model).map { (nil, $0) }
      }
    if chosen == nil, let kind = Self.otherKind(matrices, D: D, H: H) {
      throw model.roleError(
        expected: "an embedding [V, \(D)] and an output [V, \(H)] beside the recurrent layers",
        found: "\(kind): \(Self.describe(rest))",
        advice: "only language models are converted; if it is one, say which tensor is which")
    }
    guard let (embedding, output) = chosen else {
      throw model.roleError(
        expected: "an embedding [V, \(D)] and an output [V, \(H)] beside the recurrent layers",
        found: pairs.isEmpty
          ? Self.describe(rest)
          : "matrices that fit both, and evidence that does not agree: \(Self.evidence(pairs, model))",
        advice: pairs.isEmpty
          ? "a model with other layers between these parts cannot be converted; if one weight is both, "
            + "say so (`\"tied\": true`)"
          : "say which is which (encoder.weight is the embedding)")
    }
    self.embedding = embedding
    self.output = output
    let biasName = Self.path(of: output.name) + "bias"
    // Some programs register the bias in the model rather than beside the weight.
    let vectors = rest.filter { $0.tensor.shape.dimensions == [output.tensor.shape.dimensions[0]] }
    let ownBias = rest.first { $0.name == biasName }
    assumedBias =
      ownBias == nil && vectors.count == 1 ? vectors.first { $0.name.contains("bias") } : nil
    outputBias = ownBias ?? assumedBias
    let used = [embedding?.name, output.name, outputBias?.name]
    let leftOver = rest.filter { !used.contains($0.name) }
    let states = leftOver.filter { Self.isInitialState($0.tensor.shape, H: H) }
    guard states.isEmpty || states.count != leftOver.count else {
      let ignoring = states.prefix(6).map { "--ignore \($0.fileName)" }.joined(separator: " ")
      throw model.file.error(
        model.file.place, expected: "layers that begin from states of zeros",
        found: "learned initial states: \(Self.describe(states))",
        fix:
          "a checkpoint has no place for them: with `\(ignoring)` the model begins from zeros, and "
          + "gives other numbers at the start of each text")
    }
    if let adaptive,
      let other = leftOver.first(where: { $0.tensor.shape == [adaptive.vocabularySize, H] })
    {
      func ignoring(_ names: [String]) -> String {
        names.map { "--ignore \($0)" }.joined(separator: " ")
      }
      throw model.file.error(
        other.fileName, expected: "one output",
        found: "a linear one beside the adaptive softmax of \(adaptive.head.fileName)",
        fix:
          "leave out the one that the model does not compute with: `\(ignoring(leftOver.map(\.fileName)))`, or `"
          + ignoring(adaptive.fileNames + (outputBias.map { [$0.fileName] } ?? [])) + "`")
    }
    guard leftOver.isEmpty else {
      throw model.roleError(
        expected: "no tensors but embedding, recurrent layers and output",
        found: Self.describe(leftOver),
        advice:
          "a model that computes with them cannot be converted; if it does not, leave them out with `"
          + leftOver.prefix(6).map { "--ignore \($0.fileName)" }.joined(separator: " ")
          + "`; if one is a parameter under another name, say so")
    }
  }

  /// Returns `true` for the shape of the states of layers at the start of a text, `[layers, 1, H]`, as PyTorch takes them.
  private static func isInitialState(_ shape: Shape, H: Int) -> Bool {
    shape.rank == 3 && shape.dimensions.dropFirst().elementsEqual([1, H])
  }

  /// Returns the kind of another model, if the shapes show it.
  private static func otherKind(_ matrices: [NamedTensor], D: Int, H: Int) -> String? {
    let sizes = matrices.map(\.tensor.shape.dimensions)
    if sizes.count == 1, sizes[0][1] == D, D != H { return "an encoder without an output layer" }
    guard sizes.count == 2, let embedding = sizes.first(where: { $0[1] == D }),
      let output = sizes.last(where: { $0[1] == H && $0 != embedding }),
      output[0] != embedding[0]
    else { return nil }
    return output[0] < embedding[0]
      ? "a classifier of \(output[0]) classes over \(embedding[0]) tokens"
      : "a translation or tagging model of \(embedding[0]) input and \(output[0]) output tokens"
  }

  /// Returns all pairs of different names whose shapes fit.
  private static func pairs(
    of matrices: [NamedTensor], in model: NamedTensors, D: Int, H: Int
  ) -> [Pair] {
    // A language model has few matrices; the number of pairs is quadratic.
    guard matrices.count <= 16 else { return [] }
    return matrices.flatMap { embedding in
      matrices.compactMap { output -> Pair? in
        let (first, second) = (embedding.tensor.shape.dimensions, output.tensor.shape.dimensions)
        let fits = first[1] == D && second[1] == H && first[0] == second[0]
        return fits && embedding.name != output.name ? (embedding, output) : nil
      }
    }
  }

  /// Returns the only matrix that can be the embedding of a model with an adaptive softmax.
  ///
  /// - Throws: `InterchangeError` if none or several can, or the head does not fit the recurrent layers.
  private static func embedding(
    besides adaptive: AdaptiveNames, _ matrices: [NamedTensor], _ model: NamedTensors, D: Int,
    H: Int
  ) throws -> NamedTensor {
    let candidates = matrices.filter {
      $0.name != adaptive.head.name && $0.tensor.shape == [adaptive.vocabularySize, D]
    }
    guard candidates.count == 1, adaptive.head.tensor.shape.dimensions[1] == H else {
      throw model.file.error(
        adaptive.head.fileName,
        expected:
          "one embedding [\(adaptive.vocabularySize), \(D)], of as many tokens as the head and the tails have, and hidden "
          + "states of \(adaptive.head.tensor.shape.dimensions[1])",
        found: describe(matrices.filter { $0.name != adaptive.head.name })
          + ", and hidden states of \(H)",
        fix: "a tail may be missing: save the state_dict of the whole model")
    }
    return candidates[0]
  }

  /// Returns the only matrix, if its number of tokens equals the input size of the first layer: the
  /// input is one-hot, without an embedding.
  private static func outputOfOneHots(
    _ matrices: [NamedTensor], D: Int, H: Int, model: NamedTensors
  ) -> NamedTensor? {
    guard matrices.count == 1, let output = matrices.first,
      output.tensor.shape == [D, H], !isEmbedding(output.name, model: model)
    else { return nil }
    return output
  }

  // MARK: - Evidence

  /// Returns the only pair, or the one that the evidence supports.
  private static func choose(_ pairs: [Pair], model: NamedTensors) -> Pair? {
    if pairs.count == 1 { return pairs.first }
    // The names from a map, and those of word_language_model, are certain.
    if let stated = pairs.first(where: {
      $0.embedding.name == "encoder.weight" && $0.output.name == "decoder.weight"
    }) {
      return stated
    }
    let declared = pairs.filter { pair in
      isEmbeddingClass(pair.embedding, model) == true
        && isEmbeddingClass(pair.output, model) == false
    }
    if declared.count == 1 { return declared.first }
    let supported = pairs.filter { pair in
      let votes = votes(for: pair, model)
      return votes.contains(true) && !votes.contains(false)
    }
    return supported.count == 1 ? supported.first : nil
  }

  /// Returns `true` if the class of a matrix's module is an embedding; `nil` if the class is
  /// unknown.
  private static func isEmbeddingClass(_ matrix: NamedTensor, _ model: NamedTensors) -> Bool? {
    model.module(String(path(of: matrix.name).dropLast())).map {
      $0.className == "torch.nn.modules.sparse.Embedding"
    }
  }

  /// Returns the evidence of the bias, the order of the file and the names for a pair; `nil` if
  /// undecided.
  private static func votes(for pair: Pair, _ model: NamedTensors) -> [Bool?] {
    func hasBias(_ matrix: NamedTensor) -> Bool {
      let name = path(of: matrix.name) + "bias"
      return model.tensors.contains {
        $0.name == name && $0.tensor.shape.dimensions == [matrix.tensor.shape.dimensions[0]]
      }
    }
    func place(_ matrix: NamedTensor) -> Int {
      model.tensors.firstIndex { $0.name == matrix.name } ?? 0
    }
    let biases = (hasBias(pair.embedding), hasBias(pair.output))
    let (first, second) = (
      namesEmbedding(pair.embedding.name), namesEmbedding(pair.output.name)
    )
    let namesAgree = (first == true && second != true) || (second == false && first != false)
    let namesContradict = (first == false && second != false) || (second == true && first != true)
    return [
      biases.0 == biases.1 ? nil : biases.1,
      model.file.keepsOrder ? place(pair.embedding) < place(pair.output) : nil,
      namesAgree == namesContradict ? nil : namesAgree,
    ]
  }

  /// Returns the evidence about pairs in words, for an error.
  private static func evidence(_ pairs: [Pair], _ model: NamedTensors) -> String {
    let lines = pairs.prefix(4).map { pair in
      let votes = zip(["the bias", "the order", "the names"], votes(for: pair, model))
        .compactMap { name, vote in vote.map { "\(name) \($0 ? "for" : "against") it" } }
      return "\(pair.embedding.name) as the embedding and \(pair.output.name) as the output ("
        + "\(votes.isEmpty ? "nothing for or against it" : votes.joined(separator: ", ")))"
    }
    return list(lines)
  }

  /// Returns `true` if a matrix belongs to an embedding, by its module's class or else by its name.
  static func isEmbedding(_ name: String, model: NamedTensors) -> Bool {
    let path = String(Self.path(of: name).dropLast())
    if let module = model.module(path) {
      return module.className == "torch.nn.modules.sparse.Embedding"
    }
    return namesEmbedding(name) == true
  }

  /// Returns `true` if the name of a matrix is typical of embeddings, `false` if of outputs, and
  /// `nil` if of neither or both.
  private static func namesEmbedding(_ name: String) -> Bool? {
    let path = String(Self.path(of: name).dropLast())
    let word = path.split(separator: ".").last.map { $0.lowercased() } ?? ""
    let isInput = word.contains("emb") || ["encoder", "wte", "lookup", "lut"].contains(word)
    let outputs = ["out", "dec", "proj", "head", "logit", "softmax", "generator", "linear", "fc"]
    let isOutput = outputs.contains { word.contains($0) }
    return isInput == isOutput ? nil : isInput
  }

  /// Returns the part of a name before the parameter's own, with its dot.
  private static func path(of name: String) -> String {
    guard let dot = name.lastIndex(of: ".") else { return "" }
    return String(name[...dot])
  }

  private static func describe(_ tensors: [NamedTensor]) -> String {
    tensors.isEmpty
      ? "none" : list(tensors.map { "\($0.fileName) \($0.tensor.shape)" }, atMost: 6)
  }
}
