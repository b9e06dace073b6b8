// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Language models of TensorFlow 2: layers of Keras in an object graph.

import UnrollFormat
import UnrollSerialization
import UnrollTensors
import UnrollTokenization

/// The model in a checkpoint of `tf.train.Checkpoint`, of `save_weights`, or in a SavedModel.
struct ObjectModel {
  private let bundle: TensorBundle
  let saved: SavedModel?
  let options: ReadingOptions
  let graph: TrackableGraph?
  private(set) var layers: [ObjectLayer] = []
  /// The names of variables in messages and for `--ignore`, by the names of tensors.
  private var shownNames: [String: String] = [:]
  /// The account of every tensor.
  private var ledger: Ledger
  private(set) var source: ObjectSource
  private var notes: [Note] = []
  /// `true` if there is an optimizer.
  private var hasOptimizer = false
  /// The tokens and the tokenizer as JSON, in checkpoints that Unroll wrote.
  private let kept: String?

  /// Attributes that lead to nothing of the model.
  private static let ofTraining: Set = [
    "optimizer", "_optimizer", "save_counter", "keras_api", "signatures", "loss_tracker",
    "_loss_tracker", "metrics", "_metrics", "compiled_metrics", "_compile_metrics",
  ]
  private static let mostLayers = 1000
  private static let generators: Set = [
    "seed_generator", "_random_generator", "random_generator", "_seed_generators",
  ]

  /// Finds the layers of a checkpoint.
  ///
  /// - Parameters:
  ///   - bundle: The checkpoint.
  ///   - saved: The SavedModel whose variables it has, if any.
  ///   - options: The caller's information.
  /// - Throws: `InterchangeError` if the object graph is damaged, or the configuration is no JSON.
  init(_ bundle: TensorBundle, _ saved: SavedModel?, _ options: ReadingOptions) throws {
    self.bundle = bundle
    self.saved = saved
    self.options = options
    if bundle[TrackableGraph.tensorName] != nil {
      guard let bytes = try bundle.texts(TrackableGraph.tensorName).first,
        let graph = TrackableGraph(bytes)
      else {
        throw bundle.error(
          TrackableGraph.tensorName, expected: "the objects of a checkpoint", found: "other bytes")
      }
      self.graph = graph
    } else {
      graph = nil
    }
    let index = try MappedFile(path: bundle.path)
    func text(_ name: String) throws -> String? {
      guard bundle[name] != nil else { return nil }
      return try bundle.texts(name).first.map { String(decoding: $0, as: UTF8.self) }
    }
    let given =
      try options.configuration.map { file in
        try KerasFile.json(
          String(decoding: file.copy(0..<file.count), as: UTF8.self), "", of: file)
      }
      ?? text(TensorFlowFormat.KeptTensor.configuration).map {
        try KerasFile.json($0, TensorFlowFormat.KeptTensor.configuration, of: index)
      }
    kept = try text(TensorFlowFormat.KeptTensor.metadata)
    source = ObjectSource(
      bundle: bundle, given: given,
      pathOfGiven: options.configuration?.path
        ?? given.map { _ in TensorFlowFormat.KeptTensor.configuration })
    source.isOfKeras3 = graph?.isOfKeras3 == true
    let found = Self.layers(of: bundle, graph)
    let variables = found.flatMap(\.variables)
    shownNames = Dictionary(variables.map { ($0.key, $0.name) }) { first, _ in first }
    ledger = try Ledger(
      bundle.names.map { [shownNames] in shownNames[$0] ?? Self.shown($0) },
      ignoring: options.ignored, of: bundle.path)
    layers = found.compactMap { [ledger] layer in
      let byRole = layer.byRole.filter { !ledger.isIgnored($0.value.name) }
      return byRole.isEmpty
        ? nil : ObjectLayer(path: layer.path, byRole: byRole, fullName: layer.fullName)
    }
    for name in [
      TrackableGraph.tensorName, TensorFlowFormat.KeptTensor.metadata,
      TensorFlowFormat.KeptTensor.configuration,
    ] where bundle[name] != nil { ledger.use(name) }
    try passOthers()
  }

  private static func shown(_ key: String) -> String {
    key.hasSuffix(TrackableGraph.suffix) ? String(key.dropLast(TrackableGraph.suffix.count)) : key
  }

  private func name(_ key: String) -> String { shownNames[key] ?? Self.shown(key) }

  /// Returns the layers by the objects that own variables, else by the names of variables.
  private static func layers(of bundle: TensorBundle, _ graph: TrackableGraph?) -> [ObjectLayer] {
    guard let graph else {
      return ObjectLayer.all(named: bundle.names.map { ObjectVariable(key: $0, name: $0) })
    }
    let found = ObjectLayer.all(in: graph, graph.paths { name, _ in ofTraining.contains(name) })
    guard found.isEmpty else { return found }
    return ObjectLayer.all(
      named: graph.nodes.compactMap { node in
        node.key.flatMap { key in node.fullName.map { ObjectVariable(key: key, name: $0) } }
      })
  }

  /// Accounts for what is of the training alone, and for what is stored twice.
  private mutating func passOthers() throws {
    guard let graph else { return }
    let ofModel = Dictionary(layers.flatMap(\.variables).map { ($0.name, $0.key) }) { first, _ in
      first
    }
    let keys = Set(ofModel.values)
    let slots = Set(graph.nodes.flatMap { $0.slots.map(\.node) })
    let paths = graph.paths()
    var others: [String] = []
    for (index, node) in graph.nodes.enumerated() {
      guard let key = node.key, !keys.contains(key) else { continue }
      let path = paths[index] ?? []
      if slots.contains(index) || path.contains("optimizer") || path.contains("_optimizer") {
        hasOptimizer = true
        ledger.use(name(key))
      } else if path.contains(where: Self.generators.contains) || path == ["save_counter"]
        || node.fullName?.contains("seed_generator") == true
      {
        ledger.use(name(key))
      } else if path.contains(where: Self.ofTraining.contains) || isCount(key, path) {
        others.append(name(key))
      } else if let twin = node.fullName.flatMap({ ofModel[$0] }),
        try bundle.hasEqualBytes(key, twin)
      {
        ledger.use(name(key))
      }
    }
    ledger.pass(others, noting: "not preserved: numbers of the training alone")
  }

  /// Returns `true` for an integer of the root, such as a count of steps.
  private func isCount(_ key: String, _ path: [String]) -> Bool {
    guard let entry = bundle[key], entry.shape.rank == 0 else { return false }
    return path.count == 1 && [3, 9].contains(entry.type)
  }

  // MARK: - Conversion

  /// Returns the language model.
  ///
  /// - Throws: `InterchangeError` if something is missing, ambiguous or left over.
  consuming func conversion(_ options: ReadingOptions) throws -> Conversion {
    let (parts, configuration) = try orderedParts()
    for part in parts { for variable in part.variables { ledger.use(variable.place) } }
    let settlement = try ledger.settle(
      expected: KerasVariables.expected,
      fix: "only such language models are converted")
    var language = try KerasLanguageModel(
      parts, of: source, configuration, notes: notes, settlement: settlement,
      nonlinearity: options.nonlinearity)
    if hasOptimizer, !language.isFolded { language.take(try optimizer(of: language.architecture)) }
    let rows = language.architecture.vocabularySize
    var options = options
    if let kept {
      let metadata = try StateMetadata(json: kept, rows: rows, error: error)
      if metadata.isTied { language.tie() }
      options.take(metadata)
    }
    var notes = language.notes
    if let lookup = language.lookup { options.take(lookup, rows: rows) }
    if options.vocabulary == nil, let saved {
      notes += try options.take(saved.tokenLists(rows: rows), ofRows: rows, error: error)
    }
    let vocabulary = try options.vocabulary(ofRows: rows, in: "the output layer", error: error)
    var conversion = Conversion(
      checkpoint: Checkpoint(
        architecture: language.architecture, parameters: language.parameters,
        vocabulary: vocabulary, tokenizer: options.tokenizer, provenance: [],
        optimizer: language.optimizer),
      notes: notes, settlement: language.settlement)
    conversion.window = language.window
    return conversion
  }

  /// Returns the optimizer, whose rule and settings only a configuration has.
  private func optimizer(of architecture: Architecture) throws -> KerasOptimizer.Kept? {
    let unknown = KerasOptimizer.Kept.lost(
      "the checkpoint has its numbers, but not its rule and settings")
    guard let compilation = source.given?["compile_config"], source.isOfKeras3, let graph,
      let list = [["optimizer"], ["_optimizer"], ["model", "optimizer"], ["model", "_optimizer"]]
        .lazy.compactMap({ graph.node(at: $0 + ["_variables"]) }).first
    else { return unknown }
    let variables = try graph.nodes[list].children.sorted {
      (Int($0.name) ?? 0) < (Int($1.name) ?? 0)
    }.map { child in
      let key = graph.nodes[child.node].key
      return (name: key.map(name) ?? child.name, tensor: try key.map(bundle.tensor))
    }
    return KerasOptimizer.read(
      compilation, generation: source.generation, of: architecture, variables: variables,
      room: bundle.byteCount)
  }

  private func error(
    _ place: String, _ expected: String, _ found: String, _ fix: String
  ) -> InterchangeError {
    source.error(place, expected: expected, found: found, fix: fix)
  }

  /// Returns the layers with their variables in the order of computation, and their configuration, if there is one.
  private mutating func orderedParts() throws -> (
    parts: [KerasPart], configuration: KerasConfiguration?
  ) {
    guard layers.count <= Self.mostLayers else {
      throw error(
        "", "at most \(Self.mostLayers) layers", "\(layers.count)", "such models are not converted")
    }
    for direction in ["forward_layer", "backward_layer"] {
      guard let layer = layers.first(where: { $0.path.contains(direction) }) else { continue }
      throw error(
        layer.place, "layers that read forward", "one of a Bidirectional layer",
        "only models that predict each next token from those before it are converted")
    }
    let candidates = try layers.map { layer in
      let variables = try layer.variables.map {
        KerasVariable(place: $0.name, tensor: try bundle.tensor($0.key))
      }
      return KerasRoles.Candidate(
        module: layer.module, variables: variables, kind: try kind(of: layer, variables))
    }
    let whole = try wholeConfiguration()
    let chain = try self.chain(candidates, whole: whole)
    let ordered = chain.compactMap { candidate in
      layers.first { $0.place == candidate.module.place }
    }
    guard let value = whole ?? configuration(of: ordered) else {
      let (parts, note) = try partsAlone(chain, ordered)
      notes.append(note)
      return (parts, nil)
    }
    if whole == nil {
      notes.append(
        Note(
          place: "keras_metadata.pb",
          message:
            "assumed: the layers one after the other, since the code of the class is not in the file"
        ))
    }
    let declared = try KerasConfiguration(value, of: source)
    let parts = try self.parts(chain, declared)
    notes += declared.notes
    return (parts, declared)
  }

  /// Returns the kind that a layer has by the names and the shapes of its variables.
  private func kind(
    of layer: ObjectLayer, _ variables: [KerasVariable]
  ) throws -> KerasRoles.Kind {
    let shapes = variables.map(\.tensor.shape)
    let ranks = shapes.map(\.rank)
    switch layer.byRole.keys.sorted() {
    case [.embeddings] where ranks == [2]:
      return layer.module.className == "reversible_embedding" ? .reversible : .matrix
    case [.kernel] where ranks == [2]: return .matrix
    case [.kernel, .bias] where ranks == [2, 1]: return .dense
    case [.kernel, .recurrentKernel], [.kernel, .recurrentKernel, .bias]:
      guard ranks[0] == 2, ranks[1] == 2,
        // TensorFlow 1 had GRUs with one row of biases only.
        let cell = KerasCell(shapes: shapes, resetWithoutBias: layer.hasCellName ? .after : .before)
      else { break }
      return .recurrent(cell)
    default: break
    }
    throw error(
      layer.place, "the variables of an Embedding, SimpleRNN, LSTM, GRU or Dense layer",
      list(zip(layer.variables, shapes).map { "\($0.name) \($1)" }), "such layers are not converted"
    )
  }

  /// Returns the layers in the order of computation.
  private func chain(
    _ candidates: [KerasRoles.Candidate], whole: JSONValue?
  ) throws -> [KerasRoles.Candidate] {
    let places = layers.map(\.listed)
    let isListed = !places.contains { $0 == nil } && Set(places.map { $0?.list }).count == 1
    let sorted =
      isListed
      ? zip(candidates, places).sorted { ($0.1?.number ?? 0) < ($1.1?.number ?? 0) }.map(\.0)
      : candidates
    switch KerasRoles(sorted).order(isListed: isListed) {
    case .one(let chain): return chain
    case .several, .none:
      // A configuration tells what shapes do not.
      if isListed, whole != nil { return sorted }
      let found = layers.map(\.place)
      throw error(
        "",
        "an embedding or none, recurrent layers and a Dense layer, in an order that shapes or names tell",
        found.isEmpty
          ? "no layers of Keras; there are \(list(bundle.names.map(name)))" : list(found),
        "only such models are converted; if it is one, give the JSON of `model.to_json()` of a Sequential model of "
          + "its layers with --keras-config")
    }
  }
}
