// The configuration of a model: which layers follow one another, and what they compute.

import UnrollFormat
import UnrollTokenization

/// The layers with numbers of a configuration, in the order in which they compute.
struct KerasConfiguration {
  /// A layer with numbers.
  struct Layer {
    let computes: KerasLayer
    /// The name that its user gave it: where legacy files have its variables.
    let name: String
    /// Where newer files have its variables, below the group of all layers.
    let group: String
    /// What it says of its variables.
    let declaration: KerasDeclaration
  }

  private(set) var layers: [Layer] = []
  /// What is not carried or assumed.
  private(set) var notes: [Note] = []
  private let file: KerasFile
  /// Whether a softmax was met.
  private var hasSoftmax = false

  private static let fix =
    "a language model of ids or one-hot vectors, SimpleRNN, LSTM or GRU layers and a Dense output is "
    + "converted; nothing else, and no code in the file is ever run"

  /// Reads a configuration.
  ///
  /// - Throws: `InterchangeError` naming the first layer, or setting, that cannot be converted.
  init(_ value: JSONValue, of file: KerasFile) throws {
    self.file = file
    let className = value.kerasClass ?? "none"
    guard ["Sequential", "Functional", "Model"].contains(className) else {
      let isNone = value.kerasClass == nil
      throw file.error(
        file.placeOfConfiguration, expected: "a Sequential or Functional model",
        found: isNone ? "JSON of another kind" : "the class \(className)",
        fix: isNone ? file.fixOfConfiguration : Self.fix)
    }
    let settings = value["config"]
    let items = settings?.array ?? settings?["layers"]?.array ?? []
    let entries = items.compactMap(KerasLayerEntry.init)
    guard !entries.isEmpty, entries.count == items.count else {
      throw file.error(
        file.placeOfConfiguration, expected: "a list of layers", found: "none",
        fix: file.fixOfConfiguration)
    }
    let groups = Self.groups(of: entries)
    let order =
      className == "Sequential"
      ? Array(entries.indices) : try Self.chain(entries, items, of: file)
    for index in order { try add(entries[index], group: groups[index]) }
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

  /// The group of each layer: its class's name, and a number if it is not the first of the class.
  private static func groups(of entries: [KerasLayerEntry]) -> [String] {
    var counts: [String: Int] = [:]
    return entries.map { entry in
      let base = groupNames[entry.className] ?? entry.className
      let count = counts[base, default: 0]
      counts[base] = count + 1
      return count == 0 ? base : "\(base)_\(count)"
    }
  }

  /// The names of the groups of classes with numbers: the class's in snake case.
  static let groupNames = [
    "Embedding": "embedding", "LSTM": "lstm", "GRU": "gru", "SimpleRNN": "simple_rnn",
    "Dense": "dense", "TimeDistributed": "time_distributed",
  ]

  // MARK: - Functional models

  /// The order of layers of which each reads the one before.
  private static func chain(
    _ entries: [KerasLayerEntry], _ items: [JSONValue], of file: KerasFile
  ) throws -> [Int] {
    func refusal(_ place: String, _ found: String) -> InterchangeError {
      file.error(
        place, expected: "layers of which each reads the one before", found: found, fix: fix)
    }
    var readers: [String: [Int]] = [:]
    var starts: [Int] = []
    for (index, item) in items.enumerated() {
      let nodes = item["inbound_nodes"]?.array ?? []
      let histories = nodes.flatMap(Self.histories)
      guard nodes.count <= 1, histories.count <= 1 else {
        throw refusal(entries[index].name, "one that reads several, or is used twice")
      }
      guard let history = histories.first else {
        starts.append(index)
        continue
      }
      guard let source = history[0].text, history[1].int == 0, history[2].int == 0 else {
        throw refusal(entries[index].name, "one that reads a state or a second use of a layer")
      }
      readers[source, default: []].append(index)
    }
    guard var current = starts.first, starts.count == 1 else {
      throw refusal("config", "\(starts.count) inputs")
    }
    var order = [current]
    while let next = readers[entries[current].name], order.count <= entries.count {
      guard next.count == 1 else { throw refusal(entries[current].name, "one that several read") }
      current = next[0]
      order.append(current)
    }
    guard order.count == entries.count else { throw refusal("config", "layers apart from them") }
    return order
  }

  /// The tensors that an inbound node names: lists that begin with a layer's name and two numbers.
  private static func histories(_ value: JSONValue) -> [[JSONValue]] {
    if let history = value["keras_history"]?.array, history.count >= 3 { return [history] }
    if let items = value.array {
      if items.count >= 3, items[0].text != nil, items[1].int != nil, items[2].int != nil {
        return [items] + items.dropFirst(3).flatMap(histories)
      }
      return items.flatMap(histories)
    }
    return (value.members ?? []).flatMap { histories($0.value) }
  }

  // MARK: - Layers

  private mutating func add(_ entry: KerasLayerEntry, group: String) throws {
    let inner = entry.inner
    if let kind = inner.quantization ?? entry.quantization {
      throw refusal(entry.name, "weights in floating point", "a layer quantised to \(kind)")
    }
    noteTraining(of: inner)
    switch inner.className {
    case "InputLayer": break
    case "Dropout", "SpatialDropout1D": break
    case "Embedding":
      guard layers.isEmpty else { throw misplaced(entry) }
      if inner.isSet("mask_zero") {
        notes.append(
          Note(
            place: entry.name,
            message:
              "assumed: token 0 pads texts and is in none, so that Keras's leaving its steps "
              + "out (mask_zero) changes nothing"))
      }
      try append(.embedding, entry, group: "\(group)/vars")
    case "Dense":
      guard case .recurrent? = layers.last?.computes else { throw misplaced(entry) }
      try append(
        .dense, entry,
        group: entry.className == "Dense" ? "\(group)/vars" : "\(group)/layer/vars")
      try activate(entry.name, inner.function("activation"))
    case "Activation", "Softmax":
      guard case .dense? = layers.last?.computes else { throw misplaced(entry) }
      if inner.className == "Softmax", let axis = inner.settings["axis"],
        ![-1, 2].contains(axis.int)
      {
        throw refusal(entry.name, "a softmax over the tokens, axis -1", "another axis")
      }
      try activate(
        entry.name, inner.className == "Softmax" ? "softmax" : inner.function("activation"))
    default:
      guard let cell = KerasCell.classes[inner.className], entry.className == inner.className else {
        throw refusal(
          entry.name, "layers that a recurrent language model has", "a layer \(inner.className)")
      }
      try addRecurrent(entry, cell, group: group)
    }
  }

  private func misplaced(_ entry: KerasLayerEntry) -> InterchangeError {
    let before = layers.last.map { "behind \($0.name)" } ?? "at the start"
    return refusal(
      entry.name, "an embedding or none, recurrent layers, one Dense layer",
      "a layer \(entry.inner.className) \(before)")
  }

  private mutating func activate(_ place: String, _ function: String) throws {
    guard function != "linear" else { return }
    guard function == "softmax", !hasSoftmax else {
      throw refusal(place, "one softmax", "the function \(function)")
    }
    hasSoftmax = true
  }

  private mutating func addRecurrent(
    _ entry: KerasLayerEntry, _ cell: KerasCell, group: String
  ) throws {
    if let last = layers.last, case .recurrent = last.computes,
      endsEarly.contains(last.name)
    {
      throw refusal(last.name, "return_sequences", "a layer that gives its last state to another")
    }
    if case .dense? = layers.last?.computes { throw misplaced(entry) }
    if entry.isSet("go_backwards") {
      throw refusal(entry.name, "a layer that reads forward", "go_backwards")
    }
    var cell = cell
    if !cell.isCuDNN {
      let activation = entry.function("activation")
      guard let known = Activation(rawValue: activation), cell.cell == .rnn || known == .tanh else {
        throw refusal(
          entry.name, cell.cell == .rnn ? "the activation tanh or relu" : "the activation tanh",
          "\(activation)")
      }
      cell.activation = known
    }
    if cell.cell != .rnn, !cell.isCuDNN {
      cell.gates = try gates(entry.function("recurrent_activation"), of: entry)
    }
    if cell.cell == .gru, !cell.isCuDNN {
      // Keras before 2.1.4 had no other way than before, and no setting.
      let isAfter = entry.settings["reset_after"]?.bool ?? (file.generation >= 3)
      cell.reset = isAfter ? .after : .before
    }
    if !entry.isSet("return_sequences") {
      endsEarly.insert(entry.name)
      notes.append(
        Note(
          place: entry.name,
          message:
            "assumed: predictions after each token, although the model was trained to give one "
            + "after the last (return_sequences is false)"))
    }
    try append(.recurrent(cell), entry, group: "\(group)/cell/vars")
  }

  private mutating func append(
    _ computes: KerasLayer, _ entry: KerasLayerEntry, group: String
  ) throws {
    let declaration = try KerasDeclaration(entry.inner) { [file] in
      file.error(entry.name, expected: $0, found: $1, fix: file.fixOfConfiguration)
    }
    layers.append(
      Layer(computes: computes, name: entry.name, group: group, declaration: declaration))
  }

  /// The layers that give their last state only.
  private var endsEarly: Set<String> = []

  private func gates(_ name: String, of entry: KerasLayerEntry) throws -> GateActivation {
    switch name {
    case "sigmoid": return .sigmoid
    case "hard_sigmoid": return .hardSigmoid(ofKeras: file.generation)
    default:
      throw refusal(entry.name, "the recurrent_activation sigmoid or hard_sigmoid", name)
    }
  }

  /// Notes what is of the training alone.
  private mutating func noteTraining(of entry: KerasLayerEntry) {
    func lose(_ what: String) {
      notes.append(Note(place: entry.name, message: "not carried: \(what)"))
    }
    let isDropout = ["Dropout", "SpatialDropout1D"].contains(entry.className)
    let rates = [
      ("dropout", entry.settings[isDropout ? "rate" : "dropout"]?.number),
      ("recurrent_dropout", entry.settings["recurrent_dropout"]?.number),
    ]
    for case (let name, let rate?) in rates where rate != 0 { lose("\(name) \(rate)") }
    for (key, value) in entry.settings.members ?? [] {
      let key = String(decoding: key, as: UTF8.self)
      guard key.hasSuffix("_regularizer") || key.hasSuffix("_constraint"),
        entry.settings[key] != nil
      else { continue }
      lose("\(key) \(value["class_name"]?.text ?? "")")
    }
    if let policy = entry.policy, policy.hasPrefix("mixed_") {
      notes.append(
        Note(
          place: entry.name,
          message:
            "not carried: it computes in \(policy.dropFirst("mixed_".count)); the weights are "
            + "of float32"))
    }
  }
}

extension KerasLayerEntry {
  /// What the layer's weights are quantised to, if they are.
  fileprivate var quantization: String? {
    if let mode = settings["quantization_mode"]?.text { return mode }
    // Such as int8_from_float32.
    if let mode = policy?.firstMatch(of: /^(.+)_from_/) { return String(mode.1) }
    guard let policy = settings["dtype"], policy["class_name"]?.text?.contains("Quantized") == true
    else { return nil }
    return policy["config"]?["mode"]?.text ?? "fewer bits"
  }
}

extension GateActivation {
  /// The `hard_sigmoid` of a generation of Keras, 2 or 3.
  static func hardSigmoid(ofKeras generation: Int) -> GateActivation {
    .hardSigmoid(alpha: generation >= 3 ? 1.0 / 6 : 0.2, beta: 0.5)
  }
}
