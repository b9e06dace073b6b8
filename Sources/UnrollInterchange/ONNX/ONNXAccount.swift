// The account of a graph: every constant and result belongs to the model or has no effect.

import UnrollFormat

/// The constants and results of a graph, each of which must be accounted for.
struct ONNXAccount {
  /// The graph without the results that the caller leaves out, and without operations that only
  /// they need.
  let model: ONNXModel
  /// The graph as in the file.
  private let whole: ONNXModel
  private var ledger: Ledger
  /// The floating-point constants: others are sizes, axes and indices, which the reader of each
  /// operation checks.
  private let weights: Set<String>

  /// Opens the account.
  ///
  /// - Parameters:
  ///   - whole: The graph as in the file.
  ///   - ignored: The names that the caller leaves out.
  /// - Throws: `InterchangeError` if a name is not in the graph.
  init(of whole: ONNXModel, ignoring ignored: Set<String>) throws {
    self.whole = whole
    let constants = whole.nodes.filter { $0.operation == "Constant" }
    let names =
      whole.outputs + whole.initializers.keys.sorted() + constants.compactMap(\.outputs.first)
    let ledger = try Ledger(names, ignoring: ignored, of: whole.file.path)
    model = whole.keeping(results: whole.outputs.filter { !ledger.isIgnored($0) })
    weights = Set(
      whole.initializers.filter { $0.value.dtype != nil }.map(\.key)
        + constants.filter(\.isFloatingPoint).compactMap(\.outputs.first))
    self.ledger = ledger
  }

  /// Closes the account.
  ///
  /// - Parameters:
  ///   - language: The extracted model.
  ///   - graph: The graph of the model.
  /// - Returns: The settlement.
  /// - Throws: `InterchangeError` naming unused content, or a name to ignore that the model needs.
  consuming func settled(
    with language: ONNXLanguageModel, in graph: ONNXGraph
  ) throws -> Ledger.Settlement {
    let behind = model.values(behind: [language.result])
    if let name = ledger.ignored(among: behind) {
      throw whole.error(
        name, expected: "names that the result \(language.result) does not need, to be ignored",
        found: "one that it is computed from", fix: "leave `--ignore \(name)` out")
    }
    ledger.use(language.result)
    useConstants(of: language, in: graph, behind)
    passResults(besides: language)
    passConstants(notBehind: behind)
    return try ledger.settle(
      expected: "a graph of one language model, whose results are computed from its parts",
      fix: "export the model with the result of its output layer alone")
  }

  /// Accounts for the constants that the result depends on.
  private mutating func useConstants(
    of language: ONNXLanguageModel, in graph: ONNXGraph, _ behind: Set<String>
  ) {
    let dropouts = model.nodes.filter { $0.operation == "Dropout" }
    for input in language.parts.flatMap(\.inputs) + dropouts.compactMap({ $0.input(1) }) {
      ledger.use(graph.source(of: input)?.name ?? input)
    }
    // States are inputs or zeros, reshaped or not.
    let layers = language.parts.filter(ONNXGraph.isLayer)
    let states = model.values(behind: layers.flatMap { $0.inputs.dropFirst(5) })
    for name in ledger.left where behind.contains(name) {
      if !weights.contains(name) || states.contains(name) { ledger.use(name) }
    }
  }

  /// Accounts for further results that are computed from the same parts: states, or the same values
  /// in another form.
  private mutating func passResults(besides language: ONNXLanguageModel) {
    let foreign = foreignValues(besides: language)
    for result in model.outputs where !foreign.contains(result) { ledger.use(result) }
  }

  /// Returns the values that depend on parts outside the model.
  private func foreignValues(besides language: ONNXLanguageModel) -> Set<String> {
    let own = Set(language.parts.flatMap(\.outputs))
    let later = Set(model.nodes.flatMap(\.outputs))
    var known: Set<String> = []
    var foreign = weights.intersection(ledger.left)
    for node in model.nodes {
      let isOther =
        ONNXGraph.computing.contains(node.operation) && own.isDisjoint(with: node.outputs)
        && !["Gather", "Add", "Softmax", "LogSoftmax", "Log"].contains(node.operation)
      // A graph lists operations after those that they depend on.
      let isUnknown = node.inputs.contains { later.contains($0) && !known.contains($0) }
      if isOther || isUnknown || node.inputs.contains(where: foreign.contains) {
        foreign.formUnion(node.outputs)
      }
      known.formUnion(node.outputs)
    }
    return foreign
  }

  /// Accounts for constants of other results, and for unused ones.
  private mutating func passConstants(notBehind behind: Set<String>) {
    let read = whole.values(behind: whole.outputs)
    let results = Set(whole.outputs)
    for name in ledger.left where !results.contains(name) && !behind.contains(name) {
      if read.contains(name) || !weights.contains(name) {
        ledger.use(name)
      } else {
        ledger.pass(name, noting: "not preserved: no result of the graph is computed from it")
      }
    }
  }
}

extension ONNXNode {
  /// `true` for a `Constant` of floating-point type.
  fileprivate var isFloatingPoint: Bool {
    attributes["value"]?.tensor?.dtype != nil || attributes["value_float"] != nil
      || attributes["value_floats"] != nil
  }
}
