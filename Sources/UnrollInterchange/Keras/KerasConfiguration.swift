// The configuration of a model: the order of its layers, and their computation.

import UnrollFormat
import UnrollSerialization
import UnrollTensors
import UnrollTokenization

/// The layers with variables in a configuration, in the order of computation.
struct KerasConfiguration {
  /// A layer with variables.
  struct Layer {
    let computes: KerasLayer
    /// The user's names of the enclosing models and the layer, outermost first: legacy files store
    /// variables under them.
    let names: [String]
    /// The groups of the same in newer files, each below the group of all layers of the previous
    /// one.
    let groups: [String]
    /// The path of the layer's variables below its last group.
    let inner: String
    /// The declaration of its variables.
    let declaration: KerasDeclaration

    /// The name for messages.
    var name: String { names.last ?? "" }
  }

  private(set) var layers: [Layer] = []
  /// The names of all layers.
  private(set) var names: Set<String> = []
  /// The classes of all layers, in snake case.
  private(set) var classes: Set<String> = []
  /// The layer that maps text to ids, if there is one.
  private(set) var lookup: KerasLookup?
  /// The number of tokens that a layer encodes as one-hot vectors; `nil` if none does.
  private(set) var encodedTokens: Int?
  /// The window of tokens that the model was made for, if stated.
  var window: StatedWindow?
  /// Notes on properties that are not preserved and on assumptions.
  var notes: [Note] = []
  let file: any KerasSource
  /// `true` after a softmax.
  private var hasSoftmax = false

  private static let fix =
    "a language model of ids or one-hot vectors, SimpleRNN, LSTM or GRU layers and a Dense output is "
    + "converted; nothing else, and no code in the file is ever run"

  /// The groups and names of the models that enclose a layer.
  private struct Place {
    var groups: [String] = []
    var names: [String] = []
  }

  /// Reads a configuration.
  ///
  /// - Throws: `InterchangeError` naming the first layer, or setting, that cannot be converted.
  init(_ value: JSONValue, of file: any KerasSource) throws {
    self.file = file
    let className = value.kerasClass ?? "none"
    let isOwn = KerasKinds.containers.contains(className)
    guard isOwn || value.hasLayers else {
      let isNone = value.kerasClass == nil
      throw file.error(
        file.placeOfConfiguration, expected: "a Sequential or Functional model",
        found: isNone ? "JSON of another kind" : "the class \(className)",
        fix: isNone ? file.fixOfConfiguration : Self.fix)
    }
    if !isOwn {
      notes.append(
        Note(
          place: file.placeOfConfiguration,
          message:
            "assumed: the class \(className), whose code is not in the file, applies its layers "
            + "as a model of Keras does"))
    }
    try addModel(value, at: Place())
    noteWindow(of: value)
    if !hasSoftmax {
      notes.append(
        Note(
          place: layers.last?.name ?? "config",
          message: "assumed: a softmax over the output, which is linear in the file"))
    }
  }

  private func refusal(
    _ place: String, _ expected: String, _ found: String
  ) -> InterchangeError {
    file.error(place, expected: expected, found: found, fix: Self.fix)
  }

  /// Adds the layers of a model.
  private mutating func addModel(_ value: JSONValue, at place: Place) throws {
    let settings = value["config"]
    let items = settings?.array ?? settings?["layers"]?.array ?? []
    let entries = items.compactMap(KerasLayerEntry.init)
    guard !entries.isEmpty, entries.count == items.count else {
      throw file.error(
        file.placeOfConfiguration, expected: "a list of layers", found: "none",
        fix: file.fixOfConfiguration)
    }
    let groups = KerasKinds.groups(of: entries)
    let isFunctional = items.contains { $0["inbound_nodes"] != nil }
    let uses =
      try isFunctional
      ? KerasGraph(entries, items) { [file] in
        file.error(
          $0, expected: "layers of which each reads the one before", found: $1, fix: Self.fix)
      }.chain()
      : entries.indices.map { KerasUse(index: $0) }
    for use in uses {
      let entry = entries[use.index]
      var place = place
      place.groups.append(groups[use.index])
      place.names.append(entry.name)
      names.insert(entry.name)
      classes.insert(KerasKinds.snakeCase(entry.className))
      if use.isReverse {
        try addReverse(entry, place)
      } else if KerasKinds.containers.contains(entry.className) {
        guard place.groups.count < 8 else {
          throw refusal(entry.name, "models inside each other, eight at most", "more")
        }
        try addModel(items[use.index], at: place)
      } else {
        try add(entry, place)
      }
    }
  }

  // MARK: - Layers

  private mutating func add(_ entry: KerasLayerEntry, _ place: Place) throws {
    let inner = entry.inner
    if let kind = inner.quantization ?? entry.quantization {
      throw refusal(entry.name, "weights in floating point", "a layer quantised to \(kind)")
    }
    noteTraining(of: inner)
    switch inner.className {
    case "Masking":
      note(
        entry,
        "assumed: no step of zeros alone is in a text, so that Keras's leaving such steps out changes nothing"
      )
    case let name where KerasKinds.harmless[name] != nil: break
    case let name where KerasKinds.lookups.contains(name): try addLookup(entry, place)
    case let name where KerasKinds.encodings.contains(name): try addEncoding(entry)
    case "Embedding", "ReversibleEmbedding":
      guard layers.isEmpty, encodedTokens == nil else { throw misplaced(entry) }
      if inner.isSet("mask_zero") { noteMask(entry) }
      if let cap = inner.settings["logit_soft_cap"] {
        throw refusal(entry.name, "logits as they are", "logit_soft_cap \(cap.number ?? 0)")
      }
      try append(.embedding, entry, place, inner: "vars")
    case "Dense", "TimeDistributedDense":
      switch layers.last?.computes {
      case .recurrent: break
      // A linear layer before another is a projection.
      case .dense where !hasSoftmax && denseCount == 1: break
      default: throw misplaced(entry)
      }
      try append(
        .dense, entry, place, inner: entry.className == "TimeDistributed" ? "layer/vars" : "vars")
      try activate(entry.name, inner.function("activation"))
    case "Activation", "Softmax", "LogSoftmax":
      guard inner.className != "Activation" || inner.function("activation") != "linear" else {
        break
      }
      guard isAtOutput else { throw misplaced(entry) }
      if inner.className != "Activation", let axis = inner.settings["axis"],
        ![-1, 2].contains(axis.int)
      {
        throw refusal(entry.name, "a softmax over the tokens, axis -1", "another axis")
      }
      try activate(
        entry.name, inner.className == "Activation" ? inner.function("activation") : "softmax")
    case "RNN": try addCells(entry, place)
    default:
      guard let cell = KerasCell.classes[inner.className], entry.className == inner.className else {
        throw refusal(
          entry.name, "layers that a recurrent language model has", "a layer \(inner.className)")
      }
      try addRecurrent(entry, entry, cell, place, inner: "cell/vars")
    }
  }

  private var denseCount: Int {
    layers.count { if case .dense = $0.computes { true } else { false } }
  }

  /// `true` if the last layer can be the output.
  private var isAtOutput: Bool {
    switch layers.last?.computes {
    case .dense, .reversed: true
    default: false
    }
  }

  /// Adds the second use of an embedding as the output.
  private mutating func addReverse(_ entry: KerasLayerEntry, _ place: Place) throws {
    guard layers.contains(where: { $0.names == place.names }), !layers.isEmpty, !isOutputDone else {
      throw misplaced(entry)
    }
    try append(
      .reversed(isTied: entry.settings["tie_weights"]?.bool != false), entry, place, inner: "vars")
  }

  /// `true` if there is an output with a value for each token.
  private var isOutputDone: Bool {
    if case .reversed? = layers.last?.computes { return true }
    return hasSoftmax || denseCount > 1
  }

  /// Adds a lookup layer, with the token list of the archive if the layer was adapted to texts.
  private mutating func addLookup(_ entry: KerasLayerEntry, _ place: Place) throws {
    guard layers.isEmpty, lookup == nil, encodedTokens == nil else { throw misplaced(entry) }
    let lookup = try KerasLookup(
      entry, asset: file.assets[place.groups.joined(separator: "/layers/")]
    ) { [self] in refusal(entry.name, $0, $1) }
    if lookup.givesVectors { encodedTokens = lookup.tokens?.count ?? 0 }
    notes += lookup.notes
    self.lookup = lookup
  }

  private mutating func addEncoding(_ entry: KerasLayerEntry) throws {
    guard layers.isEmpty, encodedTokens == nil else { throw misplaced(entry) }
    let settings = entry.settings
    let mode =
      settings["output_mode"]?.text ?? (entry.className == "OneHot" ? "one_hot" : "multi_hot")
    guard mode == "one_hot", [nil, -1, 2].contains(settings["axis"]?.int) else {
      throw refusal(entry.name, "a one-hot vector for each token", "\(entry.className) (\(mode))")
    }
    guard let count = (settings["num_tokens"] ?? settings["num_classes"])?.int, count > 0 else {
      throw refusal(entry.name, "a number of tokens", "none")
    }
    encodedTokens = count
  }

  private mutating func noteMask(_ entry: KerasLayerEntry) {
    note(
      entry,
      "assumed: token 0 pads texts and is in none, so that Keras's leaving its steps out (mask_zero) "
        + "changes nothing")
  }

  private mutating func note(_ entry: KerasLayerEntry, _ message: String) {
    notes.append(Note(place: entry.name, message: message))
  }

  private func misplaced(_ entry: KerasLayerEntry) -> InterchangeError {
    let before = layers.last.map { "behind \($0.name)" } ?? "at the start"
    return refusal(
      entry.name,
      "an embedding or none, recurrent layers, one Dense layer (a linear one before it, if any)",
      "a layer \(entry.inner.className) \(before)")
  }

  private mutating func activate(_ place: String, _ function: String) throws {
    guard function != "linear" else { return }
    guard ["softmax", "log_softmax"].contains(function), !hasSoftmax else {
      throw refusal(place, "one softmax", "the function \(function)")
    }
    hasSoftmax = true
  }

  /// Adds the cells of an RNN layer.
  private mutating func addCells(_ entry: KerasLayerEntry, _ place: Place) throws {
    let value = entry.settings["cell"]
    let list =
      value?.array
      ?? (value?.kerasClass == "StackedRNNCells" ? value?["config"]?["cells"]?.array : nil)
    let cells = (list ?? (value.map { [$0] } ?? [])).map { KerasLayerEntry($0) }
    let entries = cells.compactMap { $0 }
    guard !entries.isEmpty, entries.count == cells.count else {
      throw refusal(entry.name, "a cell, or a list of cells", "none")
    }
    let groups = KerasKinds.groups(of: entries)
    for (index, (inner, group)) in zip(entries, groups).enumerated() {
      guard inner.className.hasSuffix("Cell"),
        let cell = KerasCell.classes[String(inner.className.dropLast(4))]
      else {
        throw refusal(
          entry.name, "an RNN of LSTMCell, GRUCell or SimpleRNNCell", "a cell \(inner.className)")
      }
      noteTraining(of: inner)
      var place = place
      if list != nil { place.names.append(inner.name) }
      try addRecurrent(
        inner, entry, cell, place, inner: list == nil ? "cell/vars" : "cell/cells/\(group)/vars",
        isLast: index == entries.count - 1)
    }
  }

  /// Adds a recurrent layer.
  ///
  /// `entry` defines its computation; `outer`, the same layer or the RNN that contains its cell,
  /// defines how it runs through a text.
  private mutating func addRecurrent(
    _ entry: KerasLayerEntry, _ outer: KerasLayerEntry, _ cell: KerasCell, _ place: Place,
    inner: String, isLast: Bool = true
  ) throws {
    if let last = layers.last, case .recurrent = last.computes,
      endsEarly.contains(last.name)
    {
      throw refusal(last.name, "return_sequences", "a layer that gives its last state to another")
    }
    if isAtOutput { throw misplaced(outer) }
    if outer.isSet("go_backwards") {
      throw refusal(outer.name, "a layer that reads forward", "go_backwards")
    }
    var cell = cell
    if !cell.isCuDNN {
      let activation = entry.function("activation")
      guard let known = Activation(ofRNN: activation), cell.cell == .rnn || known == .tanh else {
        throw refusal(
          entry.name, cell.cell == .rnn ? "the activation tanh or relu" : "the activation tanh",
          "\(activation)")
      }
      cell.activation = known
    }
    if cell.cell != .rnn, !cell.isCuDNN {
      // Keras 1 has another name for the setting.
      let isOlder = entry.settings["recurrent_activation"] == nil
      cell.gates = try gates(
        entry.function(isOlder ? "inner_activation" : "recurrent_activation"), of: entry)
    }
    if cell.cell == .gru, !cell.isCuDNN {
      // Keras before 2.1.4 always applied the reset gate before the product, and had no setting for
      // it.
      let isAfter = entry.settings["reset_after"]?.bool ?? (file.generation >= 3)
      cell.reset = isAfter ? .after : .before
    }
    if isLast, !outer.isSet("return_sequences") {
      endsEarly.insert(place.names.last ?? "")
      notes.append(
        Note(
          place: outer.name,
          message:
            "assumed: predictions after each token, although the model was trained to give one "
            + "after the last (return_sequences is false)"))
    }
    try append(.recurrent(cell), entry, place, inner: inner)
  }

  private mutating func append(
    _ computes: KerasLayer, _ entry: KerasLayerEntry, _ place: Place, inner: String
  ) throws {
    let declaration = try KerasDeclaration(entry.inner) { [file] in
      file.error(entry.name, expected: $0, found: $1, fix: file.fixOfConfiguration)
    }
    layers.append(
      Layer(
        computes: computes, names: place.names, groups: place.groups, inner: inner,
        declaration: declaration))
  }

  /// The layers that return only their last state.
  private var endsEarly: Set<String> = []

  private func gates(_ name: String, of entry: KerasLayerEntry) throws -> GateActivation {
    switch name {
    case "sigmoid": return .sigmoid
    case "hard_sigmoid": return .hardSigmoid(ofKeras: file.generation)
    default:
      throw refusal(entry.name, "the recurrent_activation sigmoid or hard_sigmoid", name)
    }
  }
}
