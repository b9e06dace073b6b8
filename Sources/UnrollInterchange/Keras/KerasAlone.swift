// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The layers of a file of weights alone, determined from its groups, shapes and the caller's
// options.

import UnrollFormat
import UnrollTensors

/// The caller's information about a file of weights alone.
struct KerasStatements {
  /// The activation of vanilla RNN layers.
  var nonlinearity: Activation?
  /// The gate activation.
  var gates: GateActivation?
  /// The datasets of weights, by their names in a state_dict.
  var names: [String: String] = [:]
}

extension KerasVariables {
  /// Determines the layers from names and shapes.
  ///
  /// - Returns: The layers, and notes on assumptions.
  /// - Throws: `InterchangeError` if they are ambiguous.
  mutating func parts(
    _ said: KerasStatements
  ) throws -> (parts: [KerasPart], notes: [Note]) {
    if !said.names.isEmpty { return try mapped(said) }
    let (candidates, isListed) = try candidates(said)
    let roles = KerasRoles(candidates)
    let layers: [KerasRoles.Candidate]
    switch roles.order(isListed: isListed) {
    case .one(let order): layers = order
    case .none:
      try refuseSeveralDense(candidates)
      layers = roles.likely
    case .several:
      throw file.error(
        "", expected: "layers whose order the file tells",
        found: list(candidates.map(\.module.place)) + ", which fit together in several ways",
        fix:
          "say which is which with --map FILE, or what the model is with --keras-config FILE: a map of "
          + "this file is \(KerasNameMap.skeleton(of: roles.likely))")
    }
    passWeightless()
    return (KerasRoles.parts(of: layers), [note(of: layers, said)])
  }

  /// Refuses two Dense layers: weights do not show the activation between them.
  private func refuseSeveralDense(_ candidates: [KerasRoles.Candidate]) throws {
    let dense = candidates.filter {
      if case .dense = $0.kind { true } else { false }
    }
    guard dense.count > 1 else { return }
    throw file.error(
      dense[1].module.place, expected: "one Dense layer",
      found:
        "\(dense.count): \(list(dense.map(\.module.place))); the file does not tell the function "
        + "between them",
      fix: "give --keras-config, the JSON of `model.to_json()`, or " + file.saveWhole)
  }

  private func note(of layers: [KerasRoles.Candidate], _ said: KerasStatements) -> Note {
    let cells = layers.compactMap { layer -> String? in
      guard case .recurrent(let cell) = layer.kind else { return nil }
      return "\(layer.module.shortName) (\(cell.description))"
    }
    let hasDefault = layers.contains { layer in
      if case .recurrent(let cell) = layer.kind { return !cell.isCuDNN && cell.cell != .rnn }
      return false
    }
    let isHard = layers.contains { layer in
      if case .recurrent(let cell) = layer.kind { return cell.gates != .sigmoid }
      return false
    }
    let older =
      isHard && hasDefault && said.gates == nil
      ? ". Keras \(file.version ?? "1") has gates of hard_sigmoid unless the model says otherwise: if it "
        + "does, give --gate-activation sigmoid or --keras-config" : ""
    let isOfAttributes = layers.contains {
      $0.module.parent.isEmpty && $0.module.place.hasPrefix("/")
    }
    let code =
      file.isSubclassed || isOfAttributes
      ? "; one after the other, since the code of the class is not in the file" : ""
    return Note(
      place: "/",
      message:
        "assumed, since the file has weights alone: \(list(cells)), softmax\(code)\(older)")
  }

  // MARK: - Layers

  private mutating func candidates(
    _ said: KerasStatements
  ) throws -> (candidates: [KerasRoles.Candidate], isListed: Bool) {
    let modules: [KerasModule]
    let isListed: Bool
    switch layout {
    case .numbered:
      modules = KerasTree(container).modules
      isListed = false
    case .named(let root):
      modules = listed(root)
      isListed = true
    }
    var candidates: [KerasRoles.Candidate] = []
    for module in modules where !isIgnored(module.place) {
      let places = module.variables.filter { !isIgnored($0) }
      guard !places.isEmpty || module.variables.isEmpty else { continue }
      candidates.append(try candidate(module, places, said))
    }
    return (candidates, isListed)
  }

  private mutating func candidate(
    _ module: KerasModule, _ places: [String], _ said: KerasStatements
  ) throws -> KerasRoles.Candidate {
    let isKnown = module.className.map(KerasRoles.classes.contains) ?? true
    guard isKnown, !places.isEmpty else {
      throw file.error(
        module.place, expected: "layers that a recurrent language model has",
        found: module.className == "bidirectional" ? "one that reads backward, too" : "another",
        fix:
          "such layers are not converted; one that is no part of the model is left out with --ignore"
      )
    }
    let variables = try variables(places)
    return KerasRoles.Candidate(
      module: module, variables: variables, kind: try kind(of: variables, module, said))
  }

  /// Returns the layers that a legacy file lists; a nested model, or a layer of several cells, as
  /// several.
  private func listed(_ root: String) -> [KerasModule] {
    let names = Self.names("layer_names", of: root.isEmpty ? "/" : root, container) ?? []
    return names.flatMap { name -> [KerasModule] in
      var groups: [(key: Substring, places: [String])] = []
      for place in named(root, [name]) {
        let key = place[..<(place.lastIndex(of: "/") ?? place.startIndex)]
        if let index = groups.firstIndex(where: { $0.key == key }) {
          groups[index].places.append(place)
        } else {
          groups.append((key, [place]))
        }
      }
      return groups.map { key, places in
        let inner = groups.count > 1 ? key.split(separator: "/").last.map { "\(name)/\($0)" } : nil
        return KerasModule(
          place: inner ?? name, parent: root, className: nil, number: 0, variables: places)
      }
    }
  }

  /// Accounts for layers without variables that have no effect at evaluation, or that a
  /// configuration lists.
  ///
  /// - Parameters:
  ///   - said: The names of the layers in a configuration.
  ///   - classes: Their classes in snake case.
  mutating func passWeightless(_ said: Set<String> = [], _ classes: Set<String> = []) {
    guard case .named(let root) = layout else {
      for (place, className) in KerasTree(container).weightless
      where KerasKinds.harmlessGroups.contains(className) || classes.contains(className) {
        pass(place)
      }
      return
    }
    let names = Self.names("layer_names", of: root.isEmpty ? "/" : root, container) ?? []
    for name in names {
      let base = KerasKinds.split(name).base
      // An activation after the last Dense layer is the output's.
      let isOutput = name == names.last && ["activation", "softmax"].contains(base)
      if said.contains(name) || KerasKinds.harmlessGroups.contains(base) || base.hasSuffix("_input")
        || isOutput
      {
        pass(name)
      }
    }
  }

  // MARK: - Shapes

  /// Returns the kinds that a layer can have by the shapes of its variables.
  private func kind(
    of variables: [KerasVariable], _ module: KerasModule, _ said: KerasStatements
  ) throws -> KerasRoles.Kind {
    let shapes = variables.map(\.tensor.shape)
    func refusal(_ found: String) -> InterchangeError {
      file.error(
        module.shortName,
        expected: "the variables of an Embedding, SimpleRNN, LSTM, GRU or Dense layer",
        found: found,
        fix: "such layers are not converted")
    }
    let ranks = shapes.map(\.rank)
    if module.className == "reversible_embedding" {
      guard ranks == [2] || ranks == [2, 2] else { throw refusal(list(shapes.map(\.description))) }
      return .reversible
    }
    let last = variables[0].place.split(separator: "/").last ?? ""
    let isKernel = last == "kernel" || last == "kernel:0" || module.place.hasPrefix("dense")
    if ranks == [2] { return isKernel ? .dense : .matrix }
    if ranks == [2, 1] { return .dense }
    let isOfGates = KerasGates(variables[0].place) != nil
    guard (2...3).contains(ranks.count), ranks[0] == 2, ranks[1] == 2,
      var cell = KerasCell(
        shapes: shapes, resetWithoutBias: hasHardDefault || isOfGates ? .before : .after)
    else { throw refusal(list(shapes.map(\.description))) }
    try state(&cell, module, said, hasBias: shapes.count == 3, isOfGates: isOfGates)
    return .recurrent(cell)
  }

  /// Sets the activations of a cell.
  private func state(
    _ cell: inout KerasCell, _ module: KerasModule, _ said: KerasStatements, hasBias: Bool,
    isOfGates: Bool
  ) throws {
    if cell.cell == .rnn {
      guard let nonlinearity = said.nonlinearity else {
        throw file.error(
          module.shortName, expected: "the activation of a SimpleRNN", found: "weights alone",
          fix: "give --nonlinearity tanh, Keras's default, or relu")
      }
      cell.activation = nonlinearity
      return
    }
    let isHard = hasHardDefault || isOfGates
    // cuDNN supports only sigmoid gates.
    guard !cell.isCuDNN else { return }
    if let gates = said.gates {
      cell.gates =
        gates == .sigmoid ? gates : .hardSigmoid(ofKeras: file.version == nil ? 2 : file.generation)
      return
    }
    // A GRU of TensorFlow 2 has two rows of biases, one of TensorFlow 1 does not.
    guard
      !hasUnknownDefault || isOfGates
        || (cell.cell == .gru && cell.reset == .after && hasBias)
    else {
      throw file.error(
        module.shortName, expected: "the function of the gates",
        found: "weights alone, of a version (\(file.version ?? "none")) that had either",
        fix:
          "give --gate-activation sigmoid, the default of TensorFlow 2 and of Keras from 2.3 on, or "
          + "hard_sigmoid, that of TensorFlow 1 and of Keras before; or --keras-config")
    }
    cell.gates = isHard ? .hardSigmoid(ofKeras: 2) : .sigmoid
  }

  /// `true` if gates default to hard_sigmoid: in Keras before 2.3 and TensorFlow 1.
  private var hasHardDefault: Bool {
    guard case .named = layout, let version = file.version, let numbers = file.versionNumbers else {
      return false
    }
    let first = version.contains("tf") ? [2, 2, 4] : [2, 3, 0]
    return numbers.lexicographicallyPrecedes(first)
  }

  /// `true` if the version does not determine the default: TensorFlow 1.13 to 1.15, 2.0 and 2.1 all
  /// write `2.2.4-tf`.
  private var hasUnknownDefault: Bool {
    guard case .named = layout else { return false }
    return file.versionNumbers == nil || file.version?.hasPrefix("2.2.4-tf") == true
  }

  // MARK: - With a map

  private mutating func mapped(
    _ said: KerasStatements
  ) throws -> (parts: [KerasPart], notes: [Note]) {
    let map = try KerasNameMap(said.names) { [file] in
      file.error(
        $0, expected: "\($1) in the map", found: $2,
        fix: "write the map as in `{\"rnn.weight_ih_l0\": \"/lstm/cell/vars/0\"}`")
    }
    for path in said.names.values.sorted() where !container.isDataset(path) {
      throw file.error(
        path, expected: "a dataset, as the map names it", found: container.description(of: path),
        fix: "the datasets of the file are \(list(container.datasets, atMost: 40))")
    }
    var layers: [KerasRoles.Candidate] = []
    func module(_ name: String, _ places: [String]) -> KerasModule {
      KerasModule(place: name, parent: "", className: nil, number: 0, variables: places)
    }
    if let path = map.embedding {
      layers.append(
        KerasRoles.Candidate(
          module: module("encoder", [path]), variables: [try variable(path)], kind: .matrix))
    }
    for (index, places) in map.layers.enumerated() {
      let module = module("layer \(index)", places)
      let variables = try variables(places)
      layers.append(
        KerasRoles.Candidate(
          module: module, variables: variables, kind: try kind(of: variables, module, said)))
    }
    layers.append(
      KerasRoles.Candidate(
        module: module("decoder", map.output), variables: try map.output.map { try variable($0) },
        kind: .dense))
    passWeightless()
    return (KerasRoles.parts(of: layers), [note(of: layers, said)])
  }
}

extension KerasModule {
  /// The name for messages: the last part of the layer's path.
  var shortName: String {
    place.hasPrefix("/") ? String(place.split(separator: "/").last ?? "") : place
  }
}

extension KerasCell {
  /// The cell with its activations, in words.
  var description: String {
    switch cell {
    case .lstm: "LSTM of \(activation.rawValue) and \(gates.name)"
    case .gru:
      "GRU of \(activation.rawValue) and \(gates.name), reset \((reset ?? .after).rawValue) the product"
    default: "SimpleRNN of \(activation.rawValue)"
    }
  }
}
