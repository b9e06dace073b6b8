// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Measures how far back in time a model's gradients reach.

import Foundation
import UnrollFormat
import UnrollNeural
import UnrollTensors
import UnrollTokenization

extension GradientFlow {
  /// Measures a model on a text.
  ///
  /// - Parameters:
  ///   - checkpoint: The model.
  ///   - path: Its path, for errors.
  ///   - text: The text: a file, a gzip file, or `-` for standard input.
  ///   - settings: The settings.
  ///   - memory: The maximum number of bytes, by default the memory of the machine.
  ///   - progress: Called periodically with the stage, and the share of it that is done if known.
  /// - Throws: `FileError` or `TextError` if the text cannot be read or has words that the model
  ///   cannot encode; `EngineError` if it is too short or the lags need too much memory;
  ///   `NotFinite` if the model's output is not finite; `NeuralError` if memory is short.
  public init(
    of checkpoint: Checkpoint, path: String, text: String,
    settings: GradientSettings = GradientSettings(),
    memory: UInt64 = ProcessInfo.processInfo.physicalMemory,
    progress: (Stage, Double?) -> Void = { _, _ in }
  ) throws {
    let encoder = try LanguageModel.encoder(of: checkpoint, path: path)
    let (ids, _, unknowns) = try TrainingText.ids(path: text, encoder: encoder) {
      progress(.reading, $0)
    }
    var measurement = try Measurement(
      checkpoint, path: path, ids: ids, text: text, settings: settings, memory: memory)
    try measurement.run { progress(.measuring, $0) }
    self.settings = settings
    (tokens, self.unknown) = (ids.count, unknowns.reduce(0, +))
    steps = measurement.steps
    curves = measurement.curves
    clipping = Clipping(
      windows: measurement.windows, norms: measurement.gradientNorms, limit: settings.clip)
    recurrences = try Self.recurrences(of: checkpoint, eigenvaluesUpTo: settings.eigenvalueLimit) {
      progress(.weights, $0)
    }
  }

  /// Returns the spectra of a model's recurrent weights.
  ///
  /// - Parameters:
  ///   - checkpoint: The model with its weights, all finite.
  ///   - limit: The largest hidden size of layers whose eigenvalues are computed.
  ///   - progress: Called with the share of the work that is done.
  /// - Returns: The spectra, layer by layer and gate by gate.
  /// - Throws: `NeuralError` if memory is short.
  package static func recurrences(
    of checkpoint: Checkpoint, eigenvaluesUpTo limit: Int, _ progress: (Double) -> Void
  ) throws -> [Recurrence] {
    let layers = checkpoint.architecture.layers
    var all: [Recurrence] = []
    for (index, layer) in layers.enumerated() {
      guard let weight = checkpoint.parameters[.layer(index, .weightHH)]?.floats() else { continue }
      let projection = checkpoint.parameters[.layer(index, .weightHR)]?.floats()
      let size = layer.hiddenSize * layer.outputSize
      let gates = layer.cell.facts.gates
      for (place, gate) in gates.enumerated() {
        let block = Array(weight[place * size..<(place + 1) * size])
        let spectrum = try MatrixSpectrum(
          of: block, after: projection, size: layer.hiddenSize,
          listsEigenvalues: layer.hiddenSize <= limit)
        all.append(Recurrence(layer: index, gate: gate, spectrum: spectrum))
        progress((Double(index) + Double(place + 1) / Double(gates.count)) / Double(layers.count))
      }
    }
    return all
  }
}

/// The state of a measurement: one pass over the text that stops at each sampled step and window.
private struct Measurement {
  /// The sampled steps.
  let steps: [Int]
  /// The sampled windows.
  let windows: [Int]
  /// The norms of their gradients.
  private(set) var gradientNorms: [Double] = []

  private let path: String
  private let settings: GradientSettings
  private let model: TrainableModel
  private let optimizer: Optimizer
  /// The text as streams of a batch, `[rows, B]`.
  private let columns: [Int32]
  private var state: RecurrentState
  /// The next row; `state` is the state before it.
  private var row = 0
  /// The norms of each layer so far, `[K+1][N]`.
  private var norms: [LagNorms] = []

  init(
    _ checkpoint: Checkpoint, path: String, ids: [Int32], text: String,
    settings: GradientSettings, memory: UInt64
  ) throws {
    let (K, B) = (settings.lags, settings.columns)
    let needed = (K + 2).multipliedReportingOverflow(by: B)
    guard !needed.overflow, ids.count >= needed.partialValue else {
      throw EngineError(
        path: printable(text),
        expected:
          "at least \(K + 2) tokens, one more than the steps from lag \(K) to lag 0, for each "
          + "of \(B) streams of the batch",
        found: "\(ids.count) tokens",
        fix: "give more text, or a smaller --batch-size or fewer --lags")
    }
    let architecture = checkpoint.architecture
    try Self.check(architecture, settings, memory: memory)
    optimizer = Optimizer(.sgd, [:], clip: nil, for: architecture)
    model = try TrainableModel(architecture: architecture, parameters: checkpoint.parameters)
    let rows = ids.count / B
    columns = (0..<rows).flatMap { t in (0..<B).map { b in ids[b * rows + t] } }
    self.path = path
    self.settings = settings
    state = model.zeroState(columns: B)
    // The last row is only predicted.
    let last = columns.count / B - 1
    steps = spreadSample(
      (settings.positions + B - 1) / B, of: K..<last, seed: settings.seed, stream: 0)
    windows = spreadSample(
      settings.windows, of: 0..<(last + settings.window - 1) / settings.window,
      seed: settings.seed, stream: 1)
  }

  /// Refuses window lengths that do not fit in memory.
  private static func check(
    _ architecture: Architecture, _ settings: GradientSettings, memory: UInt64
  ) throws {
    let (T, B) = (max(settings.lags + 1, settings.window), settings.columns)
    let bytes = TrainableModel.byteCount(of: architecture, window: T, columns: B, slotCount: 0)
    guard let bytes, UInt64(bytes) <= memory else {
      throw EngineError(
        path: "BPTT over \(T) steps with batch size \(B)",
        expected: "to need at most the \(memory >> 20) MiB of memory of this machine",
        found: bytes.map { "\($0 >> 20) MiB" } ?? "more bytes than can be counted",
        fix: "give fewer --lags, or a smaller --batch-size or --bptt")
    }
  }

  /// Makes the pass over the text.
  mutating func run(_ progress: (Double) -> Void) throws {
    let stops = Set(steps.map { $0 - settings.lags } + windows.map { $0 * settings.window })
    let (steps, windows) = (Set(steps), Set(windows))
    let count = Double(max(stops.count, 1))
    for (index, stop) in stops.sorted().enumerated() {
      try advance(to: stop)
      if windows.contains(stop / settings.window), stop.isMultiple(of: settings.window) {
        try measureWindow()
      }
      if steps.contains(stop + settings.lags) { try measureStep() }
      progress(Double(index + 1) / count)
    }
  }

  /// Returns the tokens `[count, B]` of rows.
  private func tokens(_ rows: Range<Int>) -> [Int32] {
    Array(columns[rows.lowerBound * settings.columns..<rows.upperBound * settings.columns])
  }

  /// Runs the model up to a row.
  private mutating func advance(to stop: Int) throws {
    while row < stop {
      let next = min(row + settings.window, stop)
      try model.read(tokens(row..<next), state: &state)
      row = next
    }
  }

  /// Computes the gradient of the window that begins at the current row, as training does.
  private mutating func measureWindow() throws {
    let end = min(row + settings.window, columns.count / settings.columns - 1)
    var after = state
    let loss = try model.backpropagate(
      inputs: tokens(row..<end), targets: tokens(row + 1..<end + 1), state: &after)
    guard loss.isFinite else { throw NotFinite(path: path) }
    gradientNorms.append(optimizer.gradientNorm(of: model))
  }

  /// Backpropagates from the loss of the step that is `lags` steps ahead.
  private mutating func measureStep() throws {
    let step = row + settings.lags
    let found = try model.lagNorms(
      inputs: tokens(row..<step + 1), targets: tokens(step + 1..<step + 2), state: state)
    guard found.loss.isFinite else { throw NotFinite(path: path) }
    guard !norms.isEmpty else {
      norms = found.layers
      return
    }
    for (layer, new) in found.layers.enumerated() {
      for lag in new.h.indices { norms[layer].h[lag] += new.h[lag] }
      for lag in new.c.indices { norms[layer].c[lag] += new.c[lag] }
    }
  }

  /// The curves of the measured gradients.
  var curves: [LagCurve] {
    norms.enumerated().flatMap { layer, norms in
      [(CarriedQuantity.hidden, norms.h), (.cell, norms.c)].filter { !$0.1.isEmpty }.map {
        LagCurve(
          layer: layer, quantity: $0, norms: $1, threshold: settings.threshold)
      }
    }
  }
}
