// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Extracts a language model from the layers of a Keras file.

import UnrollFormat
import UnrollTensors

/// The layers of a file, their sizes, and their parameters in the order of a checkpoint.
struct KerasLanguageModel {
  var architecture: Architecture
  var parameters = ParameterTree<Tensor>()
  private(set) var optimizer: OptimizerState?
  var notes: [Note]
  /// `true` if parameters do not correspond to Keras variables one to one.
  var isFolded = false
  /// The layer that maps text to ids, if there is one.
  private(set) var lookup: KerasLookup?
  /// The window of tokens that the configuration states, if any.
  private(set) var window: StatedWindow?
  /// The proof that everything in the file is accounted for.
  private(set) var settlement: Ledger.Settlement

  let file: any KerasSource

  /// Extracts a model from a file.
  ///
  /// - Parameters:
  ///   - file: The file.
  ///   - options: The caller's information: activations and names for files of weights alone, and
  ///     ignored names.
  /// - Throws: `InterchangeError` naming the layer or variable that does not fit such a model or is
  ///   not accounted for.
  init(_ file: KerasFile, _ options: ReadingOptions) throws {
    var variables = try KerasVariables(file, ignoring: options.ignored)
    let parts: [KerasPart]
    var layers: KerasConfiguration?
    let notes: [Note]
    if let configuration = file.configuration, file.hasLayers {
      guard options.names.isEmpty else {
        throw file.error(
          "", expected: "a file of weights alone, for a map of its names",
          found: "one whose configuration says what they are", fix: "leave --map out")
      }
      let found = try KerasConfiguration(configuration, of: file)
      parts = try variables.parts(of: found.layers)
      variables.passWeightless(found.names, found.classes)
      notes = found.notes
      layers = found
    } else {
      (parts, notes) = try variables.parts(
        KerasStatements(
          nonlinearity: options.nonlinearity, gates: options.gateActivation, names: options.names))
    }
    try self.init(
      parts, of: file, layers, notes: notes, settlement: variables.settle(),
      nonlinearity: options.nonlinearity)
    guard !parts.contains(where: \.isCuDNN), !isFolded else { return }
    let ofOptimizer = variables.ofOptimizer.map { ($0, file.container.tensor($0)) }
    take(
      KerasOptimizer.read(
        file.compilation, generation: file.generation, of: architecture, variables: ofOptimizer,
        room: file.container.image.count))
  }

  /// Adopts the optimizer of a file, or notes why it is not preserved.
  mutating func take(_ read: KerasOptimizer.Kept?) {
    switch read {
    case .kept(let state, let approximations)?:
      optimizer = state
      notes += approximations.map { Note(place: "optimizer", message: "approximate: \($0)") }
    case .lost(let reason)?:
      notes.append(Note(place: "optimizer", message: "not preserved: \(reason)"))
    case nil: break
    }
  }

  /// Extracts a model from its layers with their variables.
  ///
  /// - Parameters:
  ///   - parts: The layers, in the order of computation.
  ///   - file: The file.
  ///   - configuration: The configuration of the layers, if there is one.
  ///   - notes: Notes on the file.
  ///   - settlement: The proof that everything in the file is accounted for.
  ///   - nonlinearity: The caller's activation of vanilla RNN layers.
  /// - Throws: `InterchangeError` naming the layer or variable that does not fit such a model.
  init(
    _ parts: [KerasPart], of file: any KerasSource, _ configuration: KerasConfiguration?,
    notes: [Note], settlement: Ledger.Settlement, nonlinearity: Activation?
  ) throws {
    self.file = file
    self.notes = notes
    self.settlement = settlement
    lookup = configuration?.lookup
    window = configuration?.window
    architecture = Architecture(vocabularySize: 0, embeddingSize: 0, layers: [], isTied: false)
    architecture.input = .oneHot
    architecture.hasOutputBias = false
    if configuration != nil { try check(nonlinearity, of: parts) }
    try checkOrder(parts)
    try checkRoom(parts)
    for part in parts {
      try checkAdaptation(of: part)
      try checkDeclaration(of: part)
      noteType(of: part)
    }
    for part in parts {
      switch part.computes {
      case .embedding: try addEmbedding(part)
      case .recurrent(let cell): try addLayer(part, cell)
      case .dense, .reversed: break
      }
    }
    if let encodedTokens = configuration?.encodedTokens { try checkEncoding(encodedTokens) }
    let outputs = parts.filter { $0.isOutput }
    try addOutput(outputs)
    let inner = parts.filter { !$0.isOutput }
    for (part, forms) in zip(inner, architecture.kerasLayers) { try take(part, forms) }
    try takeOutput(outputs)
  }

  /// Ties output and embedding if they have the same values.
  mutating func tie() {
    guard !architecture.isTied, let embedding = parameters[.embeddingWeight],
      let output = parameters[.outputWeight], embedding.hasBytes(of: output)
    else { return }
    architecture.isTied = true
    parameters[.outputWeight] = nil
    optimizer = nil
  }

  func error(
    _ place: String, _ expected: String, _ found: String
  ) -> InterchangeError {
    file.error(place, expected: expected, found: found)
  }

  /// Checks that the caller's activation of vanilla RNN layers agrees with the configuration.
  private func check(_ nonlinearity: Activation?, of parts: [KerasPart]) throws {
    let activations = parts.compactMap { part -> Activation? in
      guard case .recurrent(let cell) = part.computes, cell.cell == .rnn else { return nil }
      return cell.activation
    }
    guard let nonlinearity, let first = activations.first, !activations.contains(nonlinearity)
    else {
      return
    }
    throw file.error(
      "config", expected: "the activation \(nonlinearity.rawValue), as requested",
      found: first.rawValue, fix: "leave --nonlinearity out: the file says it")
  }

  private func checkOrder(_ parts: [KerasPart]) throws {
    let ranks = parts.map { part in
      switch part.computes {
      case .embedding: 0
      case .recurrent: 1
      case .dense: 2
      case .reversed: 3
      }
    }
    let outputs = ranks.filter { $0 >= 2 }
    guard ranks == ranks.sorted(), ranks.contains(1), ranks.filter({ $0 == 0 }).count <= 1,
      [[2], [3], [2, 2], [2, 3]].contains(outputs), !outputs.contains(3) || ranks[0] == 0
    else {
      throw file.error(
        "", expected: "an embedding or none, recurrent layers, one Dense layer",
        found: parts.isEmpty ? "none" : list(parts.map(\.name)),
        fix: "only such language models are converted")
    }
  }

  /// Bounds the memory of reordered copies: variables of a file may share bytes, copies do not.
  private func checkRoom(_ parts: [KerasPart]) throws {
    var size = 0
    for variable in parts.flatMap(\.variables) { size += variable.tensor.storage.count }
    guard size <= file.byteCount else {
      throw error("/", "variables of their own bytes", "some that share them")
    }
  }

  /// Checks the type and the shape of a variable.
  func tensor(_ variable: KerasVariable, _ shape: [Int]) throws -> Tensor {
    let tensor = variable.tensor
    guard tensor.dtype.isFloat else {
      throw file.error(
        variable.place, expected: "weights of f32, f16, bf16 or f64", found: tensor.dtype.rawValue,
        fix: "quantised models cannot be converted: save the model before it was quantised")
    }
    guard tensor.shape == Shape(shape) else {
      throw error(variable.place, "shape \(Shape(shape))", "\(tensor.shape)")
    }
    return tensor
  }

  /// Returns the sizes of a matrix, none of them 0.
  func matrix(_ variable: KerasVariable?, of part: KerasPart) throws -> (Int, Int) {
    guard let variable else { throw error(part.name, "a matrix", "none") }
    let dimensions = variable.tensor.shape.dimensions
    guard dimensions.count == 2, dimensions.allSatisfy({ (1...Int(Int32.max)).contains($0) }) else {
      throw error(variable.place, "a matrix", "shape \(variable.tensor.shape)")
    }
    return (dimensions[0], dimensions[1])
  }

  /// Checks that the configuration fits the variables.
  private func checkDeclaration(of part: KerasPart) throws {
    guard let declaration = part.declaration else { return }
    func refusal(_ place: String, _ expected: String, _ found: String) -> InterchangeError {
      file.error(
        place,
        expected: "\(expected), as \(file.placeOfConfiguration) says of \(part.name) "
          + "(\(declaration.className))",
        found: found, fix: file.fixOfConfiguration)
    }
    func check(_ index: Int, _ rows: Int?, _ columns: Int?) throws {
      let (foundRows, foundColumns) = try matrix(part.variables[index], of: part)
      guard rows ?? foundRows == foundRows, columns ?? foundColumns == foundColumns else {
        throw refusal(
          part.variables[index].place,
          "shape [\(rows ?? foundRows), \(columns ?? foundColumns)]",
          "[\(foundRows), \(foundColumns)]")
      }
    }
    if let usesBias = declaration.usesBias, !part.isReversed {
      let kernels = if case .recurrent = part.computes { 2 } else { 1 }
      let count = kernels + (usesBias ? 1 : 0)
      guard part.variables.count == count else {
        throw refusal(part.name, "\(count) variables", "\(part.variables.count)")
      }
    }
    switch part.computes {
    case .embedding: try check(0, declaration.inputDimension, declaration.units)
    case .dense: try check(0, nil, declaration.units)
    case .reversed(true): break
    case .reversed(false): try check(0, declaration.units, declaration.inputDimension)
    case .recurrent(let cell):
      guard part.variables.count > 1 else { break }
      let units = try declaration.units ?? matrix(part.variables[1], of: part).0
      let (columns, isHuge) = units.multipliedReportingOverflow(by: cell.cell.gateCount)
      try check(1, units, isHuge ? 0 : columns)
      try checkBias(of: part, cell, refusal)
    }
  }

  /// Checks the bias of a GRU, which has two rows if the reset gate is applied after the product.
  private func checkBias(
    of part: KerasPart, _ cell: KerasCell,
    _ refusal: (_ place: String, _ expected: String, _ found: String) -> InterchangeError
  ) throws {
    guard cell.cell == .gru, !cell.isCuDNN, let reset = cell.reset, part.variables.count == 3
    else { return }
    let bias = part.variables[2]
    guard (bias.tensor.shape.rank == 2) == (reset == .after) else {
      throw refusal(
        bias.place, reset == .after ? "two rows (reset_after)" : "one row (no reset_after)",
        "shape \(bias.tensor.shape)")
    }
  }

  /// Refuses a low-rank adaptation (LoRA) that is separate from the weights; notes one that is
  /// merged.
  ///
  /// Keras merges it into the weights that it saves, but not in legacy files.
  private mutating func checkAdaptation(of part: KerasPart) throws {
    guard let rank = part.declaration?.adaptationRank else { return }
    if let apart = part.variables.first(where: { $0.place.contains("/lora_") }) {
      throw file.error(
        apart.place, expected: "weights with the adaptation (LoRA) added to them",
        found: "two matrices of rank \(rank) apart from them",
        fix:
          "load the model in Keras and save it with `model.save(\"model.keras\")`: that adds them")
    }
    notes.append(
      Note(
        place: part.name,
        message:
          "not preserved: lora_rank \(rank): the weights have the adaptation in them, and are "
          + "trained whole from here on"))
  }

  /// Notes a type in the configuration that differs from the weights'.
  private mutating func noteType(of part: KerasPart) {
    let found = Set(part.variables.map(\.tensor.dtype.rawValue))
    guard !found.isEmpty, let dtype = part.declaration?.dtype, found != [dtype.rawValue] else {
      return
    }
    notes.append(
      Note(
        place: part.name,
        message:
          "assumed: weights of \(list(found.sorted())), as they are in the file; Keras would "
          + "bring them to \(dtype.rawValue), as \(file.placeOfConfiguration) says"))
  }

  func checkCount(_ part: KerasPart, _ counts: ClosedRange<Int>) throws {
    guard counts.contains(part.variables.count) else {
      throw error(
        part.name, "\(counts.upperBound) variables, or \(counts.lowerBound) without bias",
        "\(part.variables.count)")
    }
  }

  // MARK: - Layers

  private mutating func addEmbedding(_ part: KerasPart) throws {
    let (V, D) = try matrix(part.variables.first, of: part)
    architecture.input = .embedding
    architecture.vocabularySize = V
    architecture.embeddingSize = D
  }

  private mutating func addLayer(_ part: KerasPart, _ cell: KerasCell) throws {
    try checkCount(part, 2...3)
    let G = cell.cell.gateCount
    let (D, columns) = try matrix(part.variables[0], of: part)
    let (H, _) = try matrix(part.variables[1], of: part)
    guard columns.isMultiple(of: G), columns / G == H else {
      throw error(part.variables[0].place, "\(G) gates of \(H) columns", "\(columns) columns")
    }
    if architecture.layers.isEmpty, architecture.input == .oneHot { architecture.embeddingSize = D }
    var layer = LayerArchitecture(
      cell: cell.cell, inputSize: architecture.topSize, hiddenSize: H, activation: cell.activation,
      bias: .none)
    layer.gateActivation = cell.gates
    layer.reset = cell.reset ?? .after
    if part.variables.count == 3 {
      let isDouble = cell.isCuDNN || (cell.cell == .gru && layer.reset == .after)
      layer.bias = isDouble ? .double : .single
    }
    architecture.layers.append(layer)
  }

  /// Sets the parameters of a layer from its variables.
  private mutating func take(_ part: KerasPart, _ forms: [KerasVariableForm]) throws {
    try checkCount(part, forms.count...forms.count)
    let isCuDNN = part.isCuDNN
    for (index, (variable, form)) in zip(part.variables, forms).enumerated() {
      // cuDNN concatenates the two biases in one row.
      let isRow = isCuDNN && form.parameters.count == 2
      let shape = isRow ? [form.shape.elementCount ?? 0] : form.shape.dimensions
      var tensor = try tensor(variable, shape)
      if isRow { tensor = tensor.reshaped(form.shape.dimensions) }
      if isCuDNN, form.isTransposed {
        tensor = tensor.fromCuDNN(
          gates: form.shape.dimensions[1] / recurrentSize(part), isRecurrent: index == 1)
      }
      for (path, tensor) in form.parameters(of: tensor) { parameters[path] = tensor }
    }
  }

  /// Returns the hidden size of a recurrent layer.
  private func recurrentSize(_ part: KerasPart) -> Int {
    part.variables[1].tensor.shape.dimensions[0]
  }
}

extension KerasPart {
  /// `true` if the layer follows the recurrent layers.
  fileprivate var isOutput: Bool {
    if case .dense = computes { return true }
    return isReversed
  }

  /// `true` if the layer is an embedding used as the output.
  var isReversed: Bool {
    if case .reversed = computes { return true }
    return false
  }

  /// `true` if the layer is recurrent and in cuDNN's order.
  fileprivate var isCuDNN: Bool {
    if case .recurrent(let cell) = computes { return cell.isCuDNN }
    return false
  }
}

extension Tensor {
  /// Returns `true` if another tensor has the same shape, type and bytes.
  fileprivate func hasBytes(of other: Tensor) -> Bool {
    guard shape == other.shape, dtype == other.dtype else { return false }
    return withUnsafeBytes { first in other.withUnsafeBytes { first.elementsEqual($0) } }
  }
}
