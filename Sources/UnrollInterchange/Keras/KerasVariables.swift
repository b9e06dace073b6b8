// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Where files of Keras have the variables of a layer: by numbers below groups, or by lists of names.

import UnrollFormat
import UnrollTensors

/// The numbers of a variable and its place in the container.
struct KerasVariable {
  let place: String
  let tensor: Tensor
}

/// A layer with its variables.
struct KerasPart {
  let computes: KerasLayer
  /// What messages call it.
  let name: String
  /// In Keras's order, such as kernel, recurrent kernel, bias.
  let variables: [KerasVariable]
  /// What the configuration says of them; `nil` without one.
  var declaration: KerasDeclaration?
}

/// The variables of a file, and the account of what becomes of each.
struct KerasVariables {
  /// The group of a legacy file with a whole model; a file of weights has the same at its root.
  static let legacyGroup = "/model_weights"
  private static let optimizerGroup = "/optimizer_weights"
  /// The groups of all layers, of Keras 3 and of tf.keras 2.12 to 2.15.
  static let layerGroups = ["/layers", "/_layer_checkpoint_dependencies"]
  /// What is of the training alone, or of generators of random numbers, by the names of groups.
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
  /// How the file names variables.
  let layout: Layout
  /// What becomes of every dataset, and of every layer without numbers.
  private(set) var ledger: Ledger

  enum Layout {
    /// By numbers below groups.
    case numbered
    /// By the attributes `layer_names` and `weight_names` of a group.
    case named(String)
  }

  /// Finds out how a file names variables, and opens the account.
  ///
  /// - Throws: `InterchangeError` if it is none of Keras's, or lacks a name that is to be ignored.
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
    ledger = try Ledger(names, ignoring: ignored, of: file.path)
    ledger.pass(KerasFile.KeptDataset.metadata)
    ledger.pass(KerasFile.KeptDataset.configuration)
    for group in Self.pastGroups { ledger.pass(group) }
    for place in datasets
    where place.split(separator: "/").contains(where: Self.generators.contains) {
      ledger.pass(place)
    }
  }

  /// A list of names; h5py cuts long ones into numbered attributes.
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

  /// Closes the account: of all that is in the file.
  ///
  /// - Throws: `InterchangeError` naming what is left over.
  func settle() throws -> Ledger.Settlement {
    try ledger.settle(
      expected: Self.expected,
      fix: file.hasLayers
        ? "only such language models are converted"
        : "say what the layers are with --keras-config, the JSON of `model.to_json()`, or "
          + file.saveWhole)
  }

  /// Accounts for layers that change nothing.
  mutating func pass(_ name: String) { ledger.pass(name) }

  // MARK: - With a configuration

  /// The variables of a configuration's layers.
  ///
  /// - Throws: `InterchangeError` if there are none, or their numbers cannot be read.
  mutating func parts(of layers: [KerasConfiguration.Layer]) throws -> [KerasPart] {
    let missing = layers.filter { places(of: $0).places.isEmpty }
    // A class of its user's has its layers elsewhere.
    let elsewhere = missing.isEmpty ? [:] : try matched(missing, among: layers)
    var parts: [KerasPart] = []
    for layer in layers { parts.append(try part(layer, elsewhere[layer.names])) }
    return parts
  }

  /// The group of a layer and the variables there.
  func places(of layer: KerasConfiguration.Layer) -> (group: String, places: [String]) {
    switch layout {
    case .numbered: numbered(layer)
    case .named(let root):
      ("\(root)/\(layer.names.joined(separator: "/"))", named(root, layer.names))
    }
  }

  /// The variables of a configuration's layer.
  ///
  /// - Throws: `InterchangeError` if there are none, or their numbers cannot be read.
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

  /// The variables of a layer below the group of all layers, or of the model's attribute of its name.
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

  /// The members of a group whose names are numbers, in the order of these.
  func numbered(_ group: String) -> [String] {
    container.members(of: group).compactMap { Int($0) }.sorted().map { "\(group)/\($0)" }
      .filter(container.exists)
  }

  /// The variables that a legacy file lists for a layer; of a layer inside it those with its name.
  func named(_ root: String, _ names: [String]) -> [String] {
    let group = "\(root)/\(names[0])"
    return (Self.names("weight_names", of: group, container) ?? [])
      .filter { place in
        let parts = place.split(separator: "/")
        return names.dropFirst().allSatisfy { name in parts.contains { $0 == name } }
      }
      .map { "\(group)/\($0)" }
  }

  /// The numbers at a path; its account is that they are used.
  ///
  /// - Throws: `InterchangeError` if they cannot be read.
  mutating func variable(_ place: String) throws -> KerasVariable {
    guard let tensor = container.tensor(place) else {
      throw file.error(
        place, expected: "numbers, as Keras writes them", found: container.description(of: place),
        fix: container.remedy(for: place) ?? KerasFile.saveAgain)
    }
    ledger.use(container.firstPath(place))
    return KerasVariable(place: place, tensor: tensor)
  }

  /// Whether the caller leaves a dataset or a layer out.
  func isIgnored(_ name: String) -> Bool { ledger.isIgnored(name) }
}
