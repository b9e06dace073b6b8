// The names of a map for the tensors of a model to write.

import UnrollFormat
import UnrollTensors

/// The names and the order of gate blocks that a map gives to the parameters of an architecture.
struct MappedNames {
  /// The names, in the order of the parameters; the output of a tied model has its own name, the
  /// embedding's, or none.
  let names: [(path: ParameterPath, name: String)]
  /// The index in the checkpoint of each block of a recurrent parameter in the file; only for
  /// parameters whose order differs.
  let blocks: [ParameterPath: [Int]]
  /// The order of the gate blocks in the file; `nil` for that of a checkpoint.
  let gates: GateOrder?
  /// Notes on names that a program which knows PyTorch's names misreads.
  let misreadings: [Note]

  /// The maximum number of parts of a name, between dots.
  private static let mostParts = 200

  /// Assigns to each parameter the name of its role in a map.
  ///
  /// - Parameters:
  ///   - map: The map.
  ///   - architecture: The model.
  /// - Throws: `InterchangeError` if the map leaves a parameter without a name, names a parameter
  ///   that the model lacks, or differs in tying or cell.
  init(_ map: NameMap, of architecture: Architecture) throws {
    let paths = try Self.paths(map)
    let names = Dictionary(paths.map { ($0.value, map.names[$0.key] ?? "") }) { first, _ in first }
    try Self.checkTie(map, names, architecture)
    let parameters =
      architecture.parameters.map(\.path) + (architecture.isTied ? [.outputWeight] : [])
    try Self.checkRoles(map, names, paths: paths, parameters, architecture)
    let inOrder = StateNaming.wordLanguageModel.names(of: architecture).map(\.path)
    var written: Set<String> = []
    self.names = inOrder.compactMap { path in
      guard let name = names[path], written.insert(name).inserted else { return nil }
      return (path, name)
    }
    blocks = try Self.blocks(map, architecture)
    gates = blocks.isEmpty ? nil : map.gates
    misreadings = Self.misreadings(of: self.names, gates: gates)
  }

  /// Returns notes on names that other programs, and Unroll without the map, misread.
  private static func misreadings(
    of names: [(path: ParameterPath, name: String)], gates: GateOrder?
  ) -> [Note] {
    let read = RecurrentStack.parameters(among: Set(names.map(\.name))) ?? [:]
    let usual = fixed.merging(read) { first, _ in first }
    var notes = names.compactMap { path, name -> Note? in
      guard let other = usual[name], other != path else { return nil }
      return Note(
        place: name,
        message: "the name of \(other) stands for \(path), as the map says: a program that "
          + "knows the name misreads the file")
    }
    if let gates, let name = read.keys.min() {
      notes.append(
        Note(
          place: name,
          message:
            "gate blocks in the order \(gates.letters) under a name of PyTorch's modules, which have "
            + "\(GateOrder.usual(gates.cell)?.letters ?? "another"): a program that knows the name misreads them"
        ))
    }
    return notes
  }

  /// The paths of the modules that the names are below, the model's own first.
  var modules: [String] {
    var modules = [""]
    for (_, name) in names {
      let parts = name.split(separator: ".", omittingEmptySubsequences: false).dropLast()
      for count in parts.indices.map({ $0 + 1 }) {
        let path = parts.prefix(count).joined(separator: ".")
        if !modules.contains(path) { modules.append(path) }
      }
    }
    return modules
  }

  // MARK: - Roles

  private static let fixed: [String: ParameterPath] = [
    "encoder.weight": .embeddingWeight, "decoder.weight": .outputWeight,
    "decoder.bias": .outputBias, "projection.weight": .outputProjection,
    "decoder.head.weight": .outputWeight, "decoder.head.bias": .outputBias,
  ]

  /// Returns the parameter of a tail of an adaptive softmax with the role `decoder.tail.0.1.weight`; `nil` for other
  /// roles.
  private static func tail(_ role: String) -> ParameterPath? {
    let parts = role.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 5, parts[..<2] == ["decoder", "tail"], parts[4] == "weight",
      let index = Int(parts[2]), index >= 0, "\(index)" == parts[2],
      let place = ["0", "1"].firstIndex(of: parts[3])
    else { return nil }
    return .tail(index, [.projection, .weight][place])
  }

  /// Returns the parameter of each role in a map, by the rules of reading.
  private static func paths(_ map: NameMap) throws -> [String: ParameterPath] {
    let tails = Dictionary(
      map.names.keys.compactMap { role in tail(role).map { (role, $0) } },
      uniquingKeysWith: { first, _ in first })
    let others = fixed.filter { map.names[$0.key] != nil }.merging(tails) { first, _ in first }
    let layers =
      RecurrentStack.parameters(among: Set(map.names.keys).subtracting(others.keys)) ?? [:]
    let paths = others.merging(layers) { first, _ in first }
    if let other = map.names.keys.filter({ paths[$0] == nil }).min() {
      throw error(
        map, other,
        expected:
          "a role such as encoder.weight, rnn.weight_ih_l0 or decoder.bias, layers numbered",
        found: "another one", fix: "rename the role as `unroll convert --print-map MODEL` does")
    }
    let shared = Dictionary(grouping: map.names, by: \.value).mapValues { Set($0.map(\.key)) }
    let tie: Set = ["encoder.weight", "decoder.weight"]
    if let (name, roles) = shared.first(where: { $0.value.count > 1 && $0.value != tie }) {
      throw error(
        map, name,
        expected: "one role for each name; encoder.weight and decoder.weight may share one",
        found: list(roles.sorted()), fix: "give each of them a name of its own")
    }
    for (role, name) in map.names where name.isEmpty || name.contains("\0") {
      throw error(
        map, role, expected: "a name for a tensor", found: "an empty one, or one with a NUL",
        fix: "give the name that the tensor is to have in the file")
    }
    for (role, name) in map.names where name.utf8.count(where: { $0 == 0x2E }) >= mostParts {
      throw error(
        map, role, expected: "a name of at most \(mostParts) parts between dots", found: "more",
        fix: "give the tensor a shorter name")
    }
    return paths
  }

  private static func checkRoles(
    _ map: NameMap, _ names: [ParameterPath: String], paths: [String: ParameterPath],
    _ parameters: [ParameterPath], _ architecture: Architecture
  ) throws {
    let roles = Dictionary(StateNaming.wordLanguageModel.names(of: architecture)) { first, _ in
      first
    }
    let unnamed = parameters.filter { path in
      names[path] == nil && !(path == .outputWeight && map.isTied)
    }
    guard unnamed.isEmpty else {
      let isSingle = architecture.layers.indices.contains {
        unnamed.contains(.layer($0, .bias))
      }
      throw error(
        map, "", expected: "a name for each parameter of the model",
        found: "none for \(list(unnamed.map { roles[$0] ?? $0.description }))",
        fix: isSingle
          ? "add it to the map, bias_l being a layer's only bias; without --map PyTorch's names get a "
            + "second one of zeros"
          : "add it to the map")
    }
    let extra = paths.filter { !parameters.contains($0.value) }.map(\.key).sorted()
    guard extra.isEmpty else {
      throw error(
        map, "", expected: "roles that the model has", found: list(extra),
        fix: "take them out of the map, or convert the model that it is of")
    }
  }

  /// Refuses a map that differs from the model in tying the output.
  private static func checkTie(
    _ map: NameMap, _ names: [ParameterPath: String], _ architecture: Architecture
  ) throws {
    let isShared =
      names[.embeddingWeight] != nil && names[.embeddingWeight] == names[.outputWeight]
    guard architecture.isTied || !(map.isTied || isShared) else {
      throw error(
        map, NameMap.Key.tied, expected: "two names: the model's embedding and output differ",
        found: map.isTied ? "\"tied\": true" : "one name for both",
        fix: "give decoder.weight a name of its own, and leave \"tied\" out")
    }
    guard !architecture.isTied || map.isTied || names[.outputWeight] != nil else {
      throw error(
        map, "decoder.weight", expected: "a name, since the output shares the embedding's weight",
        found: "none",
        fix: "add `\"tied\": true`, or name decoder.weight like encoder.weight")
    }
  }

  // MARK: - Gates

  private static func blocks(
    _ map: NameMap, _ architecture: Architecture
  ) throws -> [ParameterPath: [Int]] {
    guard let gates = map.gates else { return [:] }
    let gated = Set(architecture.layers.map(\.cell)).subtracting([.rnn])
    guard gated == [gates.cell] else {
      throw error(
        map, NameMap.Key.gates,
        expected: "the order of the gates of \(list(gated.map(\.rawValue).sorted()))",
        found: gates.letters, fix: "leave it out of the map, or give the letters of that cell")
    }
    guard gates != GateOrder.usual(gates.cell) else { return [:] }
    let paths = architecture.layers.indices.flatMap { index in
      LayerParameter.allCases.filter(\.hasGates).map { ParameterPath.layer(index, $0) }
    }
    return Dictionary(uniqueKeysWithValues: paths.map { ($0, gates.blocksOfCheckpoint) })
  }

  /// Returns an error about a map for an output file.
  static func error(
    _ map: NameMap, _ place: String, expected: String, found: String, fix: String
  ) -> InterchangeError {
    InterchangeError(
      file: map.path ?? "the map of names", place: place, expected: expected, found: found, fix: fix
    )
  }
}
