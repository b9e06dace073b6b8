// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Recognizes a language model among the tensors of a torch file.

import Foundation
import UnrollFormat
import UnrollTensors
import UnrollTokenization

/// The roles of a file's tensors and the resulting architecture.
struct StateLanguageModel {
  /// Sizes, cells and tying.
  let architecture: Architecture
  /// The embedding and the output.
  let parts: EmbeddingAndOutput
  /// Notes on assumptions and on properties that are not preserved.
  private(set) var notes: [Note] = []
  let model: NamedTensors
  private let stack: RecurrentStack
  /// The projection before the output, which only files of Unroll have.
  private let projection: NamedTensor?
  private static let projectionName = "projection.weight"
  /// The head and the tails of an adaptive softmax; `nil` for one softmax.
  private let adaptive: AdaptiveNames?

  /// Assigns roles and checks every shape.
  ///
  /// - Parameters:
  ///   - model: The tensors.
  ///   - nonlinearity: The caller's activation of vanilla RNN cells.
  ///   - metadata: The metadata of the file.
  /// - Throws: `InterchangeError` if tensors are missing, unused, ambiguous or misshapen.
  init(
    _ model: NamedTensors, nonlinearity: Activation?, metadata: StateMetadata? = nil
  ) throws {
    self.model = model
    stack = try RecurrentStack(in: model)
    let layers = try Self.layers(
      of: stack, in: model, nonlinearity: nonlinearity, metadata: metadata)
    let isProjected = metadata?.isProjected == true
    projection = isProjected ? model.tensors.first { $0.name == Self.projectionName } : nil
    adaptive = try AdaptiveNames(in: model)
    parts = try EmbeddingAndOutput(
      in: model, besides: stack.names.union([projection?.name].compactMap { $0 }),
      D: layers.first?.inputSize ?? 0,
      H: isProjected ? layers.first?.inputSize ?? 0 : layers.last?.outputSize ?? 0,
      adaptive: adaptive)
    var architecture = Architecture(
      vocabularySize: adaptive?.vocabularySize ?? parts.output.tensor.shape.dimensions[0],
      embeddingSize: layers.first?.inputSize ?? 0, layers: layers,
      isTied: parts.embedding?.isSame(as: parts.output) == true,
      hasOutputBias: parts.outputBias != nil)
    if parts.embedding == nil { architecture.input = .oneHot }
    architecture.hasOutputProjection = isProjected
    architecture.tails = adaptive?.sizes ?? []
    self.architecture = architecture
    try checkOverlap()
    try checkShapes()
    try checkGates()
    try checkClasses()
    noteAssumptions()
  }

  private static func layers(
    of stack: RecurrentStack, in model: NamedTensors, nonlinearity: Activation?,
    metadata: StateMetadata?
  ) throws -> [LayerArchitecture] {
    try metadata?.check(layerCount: stack.layers.count, file: model.file)
    var layers: [LayerArchitecture] = []
    for (index, layer) in stack.layers.enumerated() {
      let tensors = layer.tensors
      if let weight = tensors[.weightIH], model.qrnnModules.contains(layer.module + ".") {
        let sizes = weight.tensor.shape.dimensions
        let window = try model.qrnnWindow(of: weight, width: layers.last?.outputSize)
        var qrnn = LayerArchitecture(
          cell: .qrnn, inputSize: sizes[1] / window, hiddenSize: sizes[0] / 3,
          bias: tensors[.bias] == nil ? .none : .single)
        qrnn.inputWindow = window
        layers.append(qrnn)
        continue
      }
      guard let weightIH = tensors[.weightIH], let weightHH = tensors[.weightHH] else { continue }
      let mode = model.module(of: weightIH)?.mode
      let dimensions = weightIH.tensor.shape.dimensions
      guard dimensions.count == 2, !dimensions.contains(0) else {
        throw model.file.error(
          weightIH.name, expected: "a matrix", found: "shape \(weightIH.tensor.shape)",
          fix: "save the state_dict of an nn.LSTM, nn.GRU or nn.RNN")
      }
      // With a projection [P, H], weight_hh is [G*H, P].
      let projection = tensors[.weightHR]
      let hiddenSize = (projection ?? weightHH).tensor.shape.dimensions[1]
      let cell = try StateCell(
        rows: dimensions[0], hiddenSize: hiddenSize, mode: mode,
        stated: metadata == nil ? model.statedActivations : [],
        nonlinearity: metadata?.activation(ofLayer: index) ?? nonlinearity,
        place: weightIH.name, file: model.file)
      if let projection, cell.cell != .lstm {
        throw model.file.error(
          projection.name, expected: "a projection of an LSTM",
          found: "one of a \(cell.cell.rawValue)",
          fix: "save the state_dict of an nn.LSTM, nn.GRU or nn.RNN")
      }
      var layer = LayerArchitecture(
        cell: cell.cell, inputSize: dimensions[1], hiddenSize: hiddenSize,
        activation: cell.activation,
        bias: tensors[.bias] != nil ? .single : tensors[.biasIH] == nil ? .none : .double)
      layer.projectionSize = projection?.tensor.shape.dimensions[0]
      try metadata?.layers?[index].apply(to: &layer) {
        model.file.error(StateMetadata.place, expected: $0, found: $1, fix: StateMetadata.fix)
      }
      layers.append(layer)
    }
    try StateCell.check(nonlinearity, isThatOf: layers, file: model.file)
    return layers
  }

  /// The tensors by role.
  var roles: [ParameterPath: NamedTensor] {
    var roles: [ParameterPath: NamedTensor] = [:]
    roles[.embeddingWeight] = parts.embedding
    for (index, layer) in stack.layers.enumerated() {
      for (parameter, tensor) in layer.tensors { roles[.layer(index, parameter)] = tensor }
    }
    roles[.outputProjection] = projection
    roles[.outputWeight] = parts.output
    roles[.outputBias] = parts.outputBias
    for (index, tail) in (adaptive?.tails ?? []).enumerated() {
      roles[.tail(index, .projection)] = tail.projection
      roles[.tail(index, .weight)] = tail.weight
    }
    return roles
  }

  /// The model's parameters in the order of the module's `parameters()`: a tied one appears once.
  var parameterOrder: [ParameterPath] {
    let paths = Dictionary(
      roles.map { ($0.value.name, $0.key) }, uniquingKeysWith: { min($0, $1) })
    var order: [ParameterPath] = []
    for tensor in model.tensors {
      guard var path = paths[tensor.name] else { continue }
      if architecture.isTied, path == .outputWeight { path = .embeddingWeight }
      if !order.contains(path) { order.append(path) }
    }
    return order
  }

  // MARK: - Checks

  /// Checks that embedding and output are one matrix or two that do not overlap.
  private func checkOverlap() throws {
    guard let name = parts.embedding?.name, let embedding = parts.embedding?.tensor else { return }
    let output = parts.output.tensor
    guard embedding.record == output.record, embedding != output, parts.embedding?.recipe == nil,
      embedding.range.overlaps(output.range)
    else { return }
    throw model.file.error(
      parts.output.name, expected: "the embedding's matrix, or one of its own",
      found: "a view \(output.shape) that overlaps \(name) \(embedding.shape)",
      fix: "save contiguous copies of both weights")
  }

  private func checkShapes() throws {
    let roles = roles
    var input = architecture.embeddingSize
    for (index, layer) in architecture.layers.enumerated() {
      guard layer.inputSize == input else {
        let name = roles[.layer(index, .weightIH)]?.name ?? ""
        throw shapeError(name, expected: "\(input) columns", found: "\(layer.inputSize)")
      }
      input = layer.outputSize
    }
    for (path, shape) in architecture.parameters {
      guard let role = roles[path] else {
        throw shapeError(path.description, expected: "a tensor \(shape)", found: "none")
      }
      guard role.tensor.shape == shape else {
        throw shapeError(
          role.name, expected: "shape \(shape)", found: "\(role.tensor.shape)")
      }
    }
    guard architecture.vocabularySize > 0 else {
      throw shapeError(tokenTensor.name, expected: "a row for each token", found: "none")
    }
  }

  /// Refuses modules of classes that may compute something else than PyTorch's.
  ///
  /// They are those of a program's own, and bags of embeddings. A map that names their tensors states that
  /// they do not.
  private func checkClasses() throws {
    let roles = roles
    // Layers with gates are those of `checkGates`. Programs keep other weights of a layer in modules of their
    // own around PyTorch's, for dropout.
    let plain = architecture.layers.indices.filter { architecture.layers[$0].cell == .rnn }
    let parts =
      plain.map { (ParameterPath.layer($0, .weightIH), "nn.RNN") }
      + [
        (.embeddingWeight, "nn.Embedding"), (.outputWeight, "nn.Linear"),
        (.outputBias, "nn.Linear"),
      ]
    for (path, usual) in parts {
      guard let tensor = roles[path], !tensor.isMapped, let module = model.module(of: tensor),
        !module.isOfPyTorch
      else { continue }
      // A parameter of a module that holds others is of the forward pass of the model.
      guard usual == "nn.RNN" || (!module.path.isEmpty && model.isLeaf(module)) else { continue }
      throw model.roleError(
        tensor.fileName, expected: "a tensor of \(usual), whose computation is known",
        found: "one of the class \(module.className)",
        advice: "if it computes what \(usual) computes, state the roles of its tensors")
    }
  }

  /// Checks the order of gate blocks: PyTorch's unless the map gives another; a custom class may
  /// have any order.
  private func checkGates() throws {
    let gated = Set(architecture.layers.map(\.cell)).filter { GateOrder.usual($0) != nil }
    if let gates = model.gates {
      guard gated == [gates.cell] else {
        throw model.file.error(
          NameMap.Key.gates, expected: "the order of the gates of \(list(gated.map(\.rawValue)))",
          found: gates.letters, fix: "leave it out of the map, or give the letters of that cell")
      }
      return
    }
    for layer in stack.layers {
      guard let module = layer.tensors[.weightIH].flatMap(model.module(of:)), !module.isOfPyTorch,
        !gated.isEmpty
      else { continue }
      throw model.roleError(
        module.path, expected: "a recurrent module of PyTorch, whose gate order is known",
        found: "the class \(module.className)",
        advice: "if it computes what PyTorch's cell computes, state the order of its gate blocks "
          + "(`\"gates\"`)")
    }
  }

  private func shapeError(_ place: String, expected: String, found: String) -> InterchangeError {
    model.file.error(
      place, expected: expected, found: found,
      fix: "the tensors do not make a model; save the state_dict of the trained one")
  }

  // MARK: - Tokens

  /// A tensor with a row for each token.
  private var tokenTensor: NamedTensor { parts.embedding ?? parts.output }

  /// Returns the caller's vocabulary, with one token for each row.
  ///
  /// - Throws: `InterchangeError` if there is none, or its size differs.
  func vocabulary(_ options: ReadingOptions) throws -> Vocabulary {
    try options.vocabulary(
      ofRows: architecture.vocabularySize, in: tokenTensor.name, error: model.file.error)
  }

  // MARK: - Notes

  private mutating func noteAssumptions() {
    // Roles that the map states are not assumed.
    let isStackMapped = stack.layers.allSatisfy { $0.tensors.values.allSatisfy(\.isMapped) }
    let assumed = [
      parts.embedding?.isMapped == true ? nil : parts.embedding?.name ?? "one-hot input",
      isStackMapped ? nil : stack.description,
      parts.output.isMapped ? nil : parts.output.name,
    ].compactMap { $0 }
    if !assumed.isEmpty {
      notes.append(
        Note(
          place: model.file.place,
          message:
            "assumed from names and shapes: \(list(assumed)), \(adaptive?.assumption ?? "softmax")")
      )
    }
    if let bias = parts.assumedBias, !bias.isMapped {
      notes.append(Note(place: bias.fileName, message: "assumed to be the bias of the output"))
    }
    noteSharing()
    noteGates()
    noteActivation()
    for module in model.modules { noteTrainingSettings(of: module) }
  }

  /// Adds a note on other tied parameters: such ties are not preserved.
  private mutating func noteSharing() {
    let groups = Dictionary(grouping: roles.values, by: \.tensor).values
    let shared = groups.map { $0.map(\.name).sorted() }.filter { $0.count > 1 }
    let tie = [parts.embedding?.name ?? "", parts.output.name].sorted()
    for names in shared.sorted(by: { $0.lexicographicallyPrecedes($1) }) where names != tie {
      notes.append(
        Note(
          place: names[0],
          message: "shares its numbers with others, carried as copies: \(list(names))"))
    }
  }

  /// A recurrent tensor whose name does not determine the order of its gates: named by a map, or
  /// belonging to a custom cell; `nil` if there is none, or if the caller states the order.
  private var tensorOfUnknownGates: NamedTensor? {
    // The gates of a QRNN are assumed with the layer.
    guard model.gates == nil,
      architecture.layers.contains(where: { GateOrder.usual($0.cell) != nil })
    else {
      return nil
    }
    return stack.layers.flatMap { $0.tensors.values }.filter { tensor in
      let isCell = tensor.name.hasSuffix("weight_ih") || tensor.name.hasSuffix("weight_hh")
      return tensor.isMapped || (isCell && model.module(of: tensor) == nil)
    }.min { $0.fileName < $1.fileName }
  }

  /// `true` if the file does not determine the order of gate blocks.
  var areGatesAssumed: Bool { tensorOfUnknownGates != nil }

  private mutating func noteGates() {
    guard let tensor = tensorOfUnknownGates,
      let gates = architecture.layers.lazy.compactMap({ GateOrder.usual($0.cell) }).first
    else { return }
    notes.append(
      Note(
        place: tensor.fileName,
        message:
          "assumed: gate blocks in PyTorch's order, \(gates.letters); a map can state another "
          + "(\"gates\")"))
  }

  /// Names the setting beside the tensors that decided about vanilla RNN layers.
  private mutating func noteActivation() {
    let isOpen = stack.layers.contains { layer in
      layer.tensors[.weightIH].flatMap(model.module(of:))?.mode == nil
    }
    guard isOpen, Set(model.statedActivations.map(\.value)).count == 1,
      let stated = model.statedActivations.first,
      architecture.layers.contains(where: { $0.cell == .rnn })
    else { return }
    notes.append(
      Note(
        place: stated.place,
        message: "activation of the vanilla RNN cells: \(stated.value.rawValue)",
        isHarmless: true))
  }

  private mutating func noteTrainingSettings(of module: TorchModule) {
    let place = module.path.isEmpty ? model.file.place : module.path
    if let rate = module.dropout, rate != 0 {
      notes.append(Note(place: place, message: "not preserved: dropout \(rate)"))
    }
  }
}

extension NamedTensors {
  /// `true` if no other module is below a module.
  fileprivate func isLeaf(_ module: TorchModule) -> Bool {
    !modules.contains { $0.path.hasPrefix(module.path + ".") }
  }
}

extension TorchModule {
  /// `true` if its class is PyTorch's and computes what a language model does with its tensors.
  fileprivate var isOfPyTorch: Bool {
    className.hasPrefix("torch.nn.") && className != "torch.nn.modules.sparse.EmbeddingBag"
  }
}
