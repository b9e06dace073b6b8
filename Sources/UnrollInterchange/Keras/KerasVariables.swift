// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Locates the variables of a layer: by numbers below groups, or by lists of names.

import UnrollFormat
import UnrollHDF5
import UnrollTensors

/// The values of a variable and its path in the container.
struct KerasVariable {
  let place: String
  let tensor: Tensor
}

/// A layer with its variables.
struct KerasPart {
  let computes: KerasLayer
  /// The name for messages.
  let name: String
  /// The variables in Keras's order, such as kernel, recurrent kernel, bias.
  let variables: [KerasVariable]
  /// The declaration of the variables; `nil` without a configuration.
  var declaration: KerasDeclaration?
}

/// The variables of a file, and the account of their use.
struct KerasVariables {
  /// The group of a legacy file with a whole model; a file of weights has the same content at its
  /// root.
  static let legacyGroup = "/model_weights"
  private static let optimizerGroup = "/optimizer_weights"
  /// The groups of all layers, of Keras 3 and of tf.keras 2.12 to 2.15.
  static let layerGroups = ["/layers", "/_layer_checkpoint_dependencies"]
  /// Groups that belong to training alone, or to random generators.
  private static let pastGroups = [
    "/optimizer", optimizerGroup, "/metrics", "/_metrics", "/compile_metrics", "/_compile_metrics",
    "/loss_tracker", "/_loss_tracker",
  ]
  private static let generators: Set<Substring> = [
    "seed_generator", "_random_generator", "random_generator",
  ]
  static let expected =
    "a recurrent language model alone: an embedding or none, SimpleRNN, LSTM or GRU layers, a Dense layer"

  let file: KerasFile
  var container: ForeignContainer { file.container }
  /// The naming scheme of variables.
  let layout: Layout
  /// The account of every dataset, and of every layer without variables.
  private(set) var ledger: Ledger

  enum Layout {
    /// Numbers below groups.
    case numbered
    /// The attributes `layer_names` and `weight_names` of a group.
    case named(String)
  }

  /// Detects the naming scheme of a file, and opens the account.
  ///
  /// - Throws: `InterchangeError` if it is not one of Keras's, or a name to ignore does not exist.
  init(_ file: KerasFile, ignoring ignored: Set<String>) throws {
    self.file = file
    let container = file.container
    let datasets = container.datasets
    var names = datasets
    if let group = [Self.legacyGroup, "/"].first(where: {
      Self.names("layer_names", of: $0, container) != nil
    }) {
      layout = .named(group == "/" ? "" : group)
      let layers = Self.names("layer_names", of: group, container) ?? []
      names += layers.filter { layer in
        (Self.names("weight_names", of: group == "/" ? "/\(layer)" : "\(group)/\(layer)", container)
          ?? []).isEmpty
      }
    } else if KerasTree.isTree(container) {
      layout = .numbered
      if !file.hasLayers || file.isGivenConfiguration {
        names += KerasTree.weightless(in: container)
      }
    } else {
      let members = container.members(of: "/")
      throw file.error(
        "/",
        expected:
          "an Unroll checkpoint, a file of Keras (a group layers, or an attribute layer_names), "
          + "or of TheanoLM (groups architecture, vocabulary and layers)",
        found: members.isEmpty ? "none" : list(members.map { "\"\($0)\"" }),
        fix: "no other HDF5 files are read: save the model in a format that is")
    }
    if let place = datasets.first(where: { $0.hasSuffix("attention/attention_W:0") }) {
      throw file.error(
        place, expected: Self.expected,
        found:
          "the weights of textgenrnn, whose output reads the embedding and all layers at once, and "
          + "weighs the tokens of a window by attention",
        fix:
          "go on with textgenrnn: without these parts, which a checkpoint has not, it is another model"
      )
    }
    ledger = try Ledger(names, ignoring: ignored, of: file.path)
    ledger.pass(KerasFile.KeptDataset.metadata)
    ledger.pass(KerasFile.KeptDataset.configuration)
    for group in Self.pastGroups { ledger.pass(group) }
    for place in datasets
    where place.split(separator: "/").contains(where: Self.generators.contains) {
      ledger.pass(place)
    }
  }

  /// Returns a list of names; h5py splits long ones into numbered attributes.
  static func names(
    _ attribute: String, of group: String, _ container: ForeignContainer
  ) -> [String]? {
    if let names = container.texts(group, attribute) { return names }
    var names: [String] = []
    var part = 0
    while let more = container.texts(group, "\(attribute)\(part)") {
      names += more
      part += 1
    }
    return part > 0 ? names : nil
  }

  /// Closes the account of the whole file.
  ///
  /// - Throws: `InterchangeError` naming unused content.
  func settle() throws -> Ledger.Settlement {
    try ledger.settle(
      expected: Self.expected,
      fix: file.hasLayers
        ? "only such language models are converted"
        : "say what the layers are with --keras-config, the JSON of `model.to_json()`, or "
          + file.saveWhole)
  }

  /// Accounts for a layer without effect.
  mutating func pass(_ name: String) { ledger.pass(name) }

  // MARK: - With a configuration

  /// Returns the variables of a configuration's layers.
  ///
  /// - Throws: `InterchangeError` if there are none, or their values cannot be read.
  mutating func parts(of layers: [KerasConfiguration.Layer]) throws -> [KerasPart] {
    let missing = layers.filter { places(of: $0).places.isEmpty }
    // A subclassed model stores its layers elsewhere.
    let elsewhere = missing.isEmpty ? [:] : try matched(missing, among: layers)
    var parts: [KerasPart] = []
    for layer in layers { parts.append(try part(layer, elsewhere[layer.names])) }
    return parts
  }

  /// Returns the group of a layer and its variables.
  func places(of layer: KerasConfiguration.Layer) -> (group: String, places: [String]) {
    switch layout {
    case .numbered: numbered(layer)
    case .named(let root):
      ("\(root)/\(layer.names.joined(separator: "/"))", named(root, layer.names))
    }
  }

  /// Returns the variables of a configuration's layer.
  ///
  /// - Throws: `InterchangeError` if there are none, or their values cannot be read.
  private mutating func part(
    _ layer: KerasConfiguration.Layer, _ elsewhere: [String]?
  ) throws -> KerasPart {
    var (group, found) = places(of: layer)
    if found.isEmpty, let elsewhere { found = elsewhere }
    var places = found.filter { !ledger.isIgnored($0) }
    if case .reversed(let isTied) = layer.computes {
      places = isTied ? [] : Array(places.dropFirst())
    }
    if layer.declaration.className == "ReversibleEmbedding", case .embedding = layer.computes {
      places = Array(places.prefix(1))
    }
    var isTied = false
    if case .reversed(true) = layer.computes { isTied = true }
    guard !places.isEmpty || isTied else {
      throw file.error(
        group,
        expected: "the variables of \(layer.name) (\(layer.declaration.className)), as "
          + "\(file.placeOfConfiguration) says",
        found: "none there", fix: file.fixOfConfiguration)
    }
    return KerasPart(
      computes: layer.computes, name: layer.name, variables: try variables(places),
      declaration: layer.declaration)
  }

  /// Returns the variables of a layer below the group of all layers, or below the model's attribute
  /// of its name.
  private func numbered(_ layer: KerasConfiguration.Layer) -> (group: String, places: [String]) {
    let roots = Self.layerGroups.filter(container.exists)
    for root in roots {
      let group = layer.groups.map { "\(root)/\($0)" }.joined() + "/\(layer.inner)"
      let places = numbered(group)
      if !places.isEmpty { return (group, places) }
    }
    let root = roots.first ?? Self.layerGroups[0]
    return (layer.groups.map { "\(root)/\($0)" }.joined() + "/\(layer.inner)", [])
  }

  /// The paths of the optimizer's variables, in order.
  var ofOptimizer: [String] {
    switch layout {
    case .numbered: numbered("/optimizer/vars")
    case .named:
      (Self.names("weight_names", of: Self.optimizerGroup, container) ?? [])
        .map { "\(Self.optimizerGroup)/\($0)" }
    }
  }

  /// Returns the members of a group whose names are numbers, in numeric order.
  func numbered(_ group: String) -> [String] {
    container.members(of: group).compactMap { Int($0) }.sorted().map { "\(group)/\($0)" }
      .filter(container.exists)
  }

  /// Returns the variables that a legacy file lists for a layer; for a nested layer, those with its
  /// name.
  func named(_ root: String, _ names: [String]) -> [String] {
    let group = "\(root)/\(names[0])"
    return (Self.names("weight_names", of: group, container) ?? [])
      .filter { place in
        let parts = place.split(separator: "/")
        return names.dropFirst().allSatisfy { name in parts.contains { $0 == name } }
      }
      .map { "\(group)/\($0)" }
  }

  /// Returns the variable at a path, and accounts for it as used.
  ///
  /// - Throws: `InterchangeError` if it cannot be read.
  mutating func variable(_ place: String) throws -> KerasVariable {
    guard let tensor = container.tensor(place) else {
      throw file.error(
        place, expected: "numbers, as Keras writes them", found: container.description(of: place),
        fix: container.remedy(for: place) ?? KerasFile.saveAgain)
    }
    ledger.use(container.firstPath(place))
    return KerasVariable(place: place, tensor: tensor)
  }

  /// Returns `true` if the caller leaves a dataset or a layer out.
  func isIgnored(_ name: String) -> Bool { ledger.isIgnored(name) }
}
