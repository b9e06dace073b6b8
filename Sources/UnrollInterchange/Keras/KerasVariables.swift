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

/// The variables of a file.
struct KerasVariables {
  /// The group of a legacy file with a whole model; a file of weights has the same at its root.
  static let legacyGroup = "/model_weights"
  private static let optimizerGroup = "/optimizer_weights"
  /// The groups of all layers, of Keras 3 and of tf.keras 2.12 to 2.15.
  private static let layerGroups = ["/layers", "/_layer_checkpoint_dependencies"]

  private let file: KerasFile
  private var container: ForeignContainer { file.container }
  /// How the file names variables.
  private let layout: Layout

  private enum Layout {
    /// By numbers below the group of all layers.
    case numbered(String)
    /// By the attributes `layer_names` and `weight_names` of a group.
    case named(String)
  }

  /// Finds out how a file names variables.
  ///
  /// - Throws: `InterchangeError` if it is none of Keras's.
  init(_ file: KerasFile) throws {
    self.file = file
    let container = file.container
    if let group = Self.layerGroups.first(where: container.exists) {
      layout = .numbered(group)
    } else if let group = [Self.legacyGroup, "/"].first(where: {
      Self.names("layer_names", of: $0, container) != nil
    }) {
      layout = .named(group == "/" ? "" : group)
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
  }

  /// A list of names; h5py cuts long ones into numbered attributes.
  private static func names(
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

  // MARK: - With a configuration

  /// The variables of a configuration's layer.
  ///
  /// - Throws: `InterchangeError` if there are none, or their numbers cannot be read.
  func part(_ layer: KerasConfiguration.Layer) throws -> KerasPart {
    let (group, places): (String, [String])
    switch layout {
    case .numbered(let root):
      group = "\(root)/\(layer.group)"
      places = numbered(group)
    case .named(let root):
      group = "\(root)/\(layer.name)"
      places = named(root, layer.name)
    }
    guard !places.isEmpty else {
      throw file.error(
        group,
        expected: "the variables of \(layer.name) (\(layer.declaration.className)), as "
          + "\(file.placeOfConfiguration) says",
        found: "none there", fix: file.fixOfConfiguration)
    }
    return KerasPart(
      computes: layer.computes, name: layer.name, variables: try places.map(variable),
      declaration: layer.declaration)
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
  private func numbered(_ group: String) -> [String] {
    container.members(of: group).compactMap { Int($0) }.sorted().map { "\(group)/\($0)" }
      .filter(container.exists)
  }

  private func named(_ root: String, _ layer: String) -> [String] {
    let group = "\(root)/\(layer)"
    return (Self.names("weight_names", of: group, container) ?? []).map { "\(group)/\($0)" }
  }

  /// The numbers at a path.
  ///
  /// - Throws: `InterchangeError` if they cannot be read.
  func variable(_ place: String) throws -> KerasVariable {
    guard let tensor = container.tensor(place) else {
      throw file.error(
        place, expected: "numbers, as Keras writes them", found: container.description(of: place))
    }
    return KerasVariable(place: place, tensor: tensor)
  }

  // MARK: - Without

  /// The layers, told by names and shapes.
  ///
  /// - Returns: The layers, and what was assumed.
  /// - Throws: `InterchangeError` if these do not tell.
  func parts(_ nonlinearity: Activation?) throws -> (parts: [KerasPart], notes: [Note]) {
    let found: [(name: String, places: [String])]
    switch layout {
    case .numbered(let root): found = try numberedLayers(root)
    case .named(let root):
      found = (Self.names("layer_names", of: root.isEmpty ? "/" : root, container) ?? [])
        .map { ($0, named(root, $0)) }
    }
    var parts: [KerasPart] = []
    for (name, places) in found where !places.isEmpty {
      let variables = try places.map(variable)
      let computes = try layer(of: variables, name: name, nonlinearity)
      parts.append(KerasPart(computes: computes, name: name, variables: variables))
    }
    let cells = parts.compactMap { part -> String? in
      guard case .recurrent(let cell) = part.computes else { return nil }
      return "\(part.name) (\(cell.description))"
    }
    let older =
      file.generation < 3
      ? ". The gates of Keras before 2.3 are of hard_sigmoid unless told: give --keras-config" : ""
    let note = Note(
      place: "/",
      message: "assumed, since the file has weights alone: \(list(cells)), softmax\(older)")
    return (parts, [note])
  }

  /// The layers of numbered groups: the embedding, recurrent layers of one class by their numbers, the
  /// output.
  private func numberedLayers(_ root: String) throws -> [(name: String, places: [String])] {
    var ranked: [(rank: Int, number: Int, name: String, places: [String])] = []
    var recurrentClasses: Set<String> = []
    for name in container.members(of: root) {
      let (base, number) = Self.split(name)
      let group = "\(root)/\(name)"
      let rank: Int
      let places: [String]
      switch base {
      case "embedding": (rank, places) = (0, numbered("\(group)/vars"))
      case "lstm", "gru", "simple_rnn":
        (rank, places) = (1, numbered("\(group)/cell/vars"))
        recurrentClasses.insert(base)
      case "dense": (rank, places) = (2, numbered("\(group)/vars"))
      case "time_distributed": (rank, places) = (2, numbered("\(group)/layer/vars"))
      default:
        guard !hasVariables(group) else {
          throw file.error(
            group, expected: "layers that a recurrent language model has", found: "another",
            fix: "such layers are not converted")
        }
        continue
      }
      ranked.append((rank, number, name, places))
    }
    guard recurrentClasses.count <= 1 else {
      throw file.error(
        root,
        expected: "recurrent layers of one class: the file does not tell the order of several",
        found: list(recurrentClasses.sorted()))
    }
    return ranked.sorted { ($0.rank, $0.number) < ($1.rank, $1.number) }
      .map { ($0.name, $0.places) }
  }

  /// A group's class and number: `lstm_2` is the third of its class.
  private static func split(_ name: String) -> (base: String, number: Int) {
    guard let line = name.lastIndex(of: "_"), let number = Int(name[name.index(after: line)...])
    else { return (name, 0) }
    return (String(name[..<line]), number)
  }

  /// Whether there are variables anywhere below a group, but for those of generators of random numbers.
  private func hasVariables(_ group: String, depth: Int = 0) -> Bool {
    container.members(of: group).contains { name in
      let path = "\(group)/\(name)"
      guard name != "seed_generator", depth < 16 else { return false }
      return container.isDataset(path) || hasVariables(path, depth: depth + 1)
    }
  }

  /// What a layer computes, by the shapes of its variables.
  private func layer(
    of variables: [KerasVariable], name: String, _ nonlinearity: Activation?
  ) throws -> KerasLayer {
    let shapes = variables.map(\.tensor.shape)
    func refusal(_ found: String) -> InterchangeError {
      file.error(
        name, expected: "the variables of an Embedding, SimpleRNN, LSTM, GRU or Dense layer",
        found: found, fix: "such layers are not converted, nor those of Keras 1")
    }
    let ranks = shapes.map(\.rank)
    let last = variables[0].place.split(separator: "/").last ?? ""
    if ranks == [2], last != "kernel", last != "kernel:0", !name.hasPrefix("dense") {
      return .embedding
    }
    if ranks == [2] || ranks == [2, 1] { return .dense }
    guard (2...3).contains(ranks.count), ranks[0] == 2, ranks[1] == 2,
      let H = shapes[1].dimensions.first, H > 0, shapes[1].dimensions[1] % H == 0
    else { throw refusal(list(shapes.map(\.description))) }
    let bias = shapes.count == 3 ? shapes[2].dimensions : []
    switch (shapes[1].dimensions[1] / H, bias) {
    case (1, _):
      guard let nonlinearity else {
        throw file.error(
          name, expected: "the activation of a SimpleRNN", found: "weights alone",
          fix: "give --nonlinearity tanh, Keras's default, or relu")
      }
      return .recurrent(KerasCell(cell: .rnn, activation: nonlinearity))
    case (3, let bias):
      let reset: GRUReset = bias.count == 1 && bias != [6 * H] ? .before : .after
      return .recurrent(KerasCell(cell: .gru, isCuDNN: bias == [6 * H], reset: reset))
    case (4, let bias): return .recurrent(KerasCell(cell: .lstm, isCuDNN: bias == [8 * H]))
    default: throw refusal(list(shapes.map(\.description)))
    }
  }
}

extension KerasCell {
  /// The cell with its functions, in words.
  var description: String {
    switch cell {
    case .rnn: "SimpleRNN of \(activation.rawValue)"
    case .lstm: "LSTM of \(activation.rawValue) and \(gates.name)"
    case .gru:
      "GRU of \(activation.rawValue) and \(gates.name), reset \((reset ?? .after).rawValue) the product"
    }
  }
}
