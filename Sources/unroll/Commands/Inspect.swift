// `unroll inspect`: summarizes a model of any readable format.

import ArgumentParser
import UnrollEngine
import UnrollFormat
import UnrollInterchange
import UnrollReport
import UnrollTensors
import UnrollTokenization

struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what is in a model file of any readable format.",
    usage: "unroll inspect <model> [<options>]",
    discussion: """
      `unroll inspect model.pt`

      Shows layers, parameters, tokens, training with its learning curve, and origin; of other formats also what a \
      conversion assumes or does not preserve. The weights are read for --report alone; `unroll validate` checks them.
      """)

  @Argument(help: "Model: a checkpoint, or a file that `unroll convert` reads.")
  var model: String

  @OptionGroup(title: "Files of other formats") var reading: AnyModelOptions

  @OptionGroup(title: "Page and figure") var shown: ReportOptions

  @Flag(help: "Replace the page and the figure if they exist.")
  var force = false

  @Flag(help: "Print the content as one JSON object with keys in snake_case.")
  var json = false

  func run() throws {
    if OutputOptions.isFolder(model), ModelLocation.file(inFolder: model) == nil {
      _ = try ModelLocation(model)
      throw refusalOfUnpackedModel(model)
        ?? Refusal(
          "\(printable(model)): expected a file of a model; found a folder\n"
            + "  fix: give one of its files; `unroll validate` checks the checkpoints of a folder, "
            + "`unroll convert` converts its models")
    }
    try shown.check(inputs: [model] + reading.paths, replacing: force, json: json)
    let file = try Progress.during("reading \(model)") {
      try ModelFile(
        contentsOf: model, options: reading.conversion,
        upTo: shown.report == nil ? .header : .bytes, reader: .inChild)
    }
    let report: ModelReport
    let checkpoint: Checkpoint
    switch file {
    case .checkpoint(let examination):
      checkpoint = try Checkpoint(examination)
      for finding in examination.findings { Output.note(finding.description) }
      report = ModelReport(checkpoint, examination)
    case .foreign(let foreign):
      checkpoint = foreign.conversion.checkpoint
      report = ModelReport(foreign, path: model)
    }
    let figure = report.training?.curve?.figure
    guard figure != nil || shown.plot == nil else {
      let evaluations = report.training?.curve?.evaluations.count ?? 0
      throw Refusal(
        "\(printable(model)): expected a learning curve to plot; found "
          + "\(counted(evaluations, "evaluation"))\n  fix: give the state of a training, the file that ends in "
          + ".last.unroll.h5, or leave --plot out")
    }
    if json {
      try Output.json(report)
    } else if !shown.printsFigure {
      let terminal = TextLayout.terminalWidth
      for line in report.lines(terminalWidth: terminal, plots: terminal != nil) {
        Output.result(line)
      }
    }
    try shown.write({ try report.document(of: checkpoint) }, figure: figure, replacing: force)
  }
}

/// The summary of a model.
struct ModelReport: Encodable {
  struct Tail: Encodable {
    let size: Int
    let projectionSize: Int
  }

  struct Layer: Encodable {
    let cell: String
    let inputSize: Int
    let hiddenSize: Int
    let activation: String
    let bias: String
    let gateActivation: String?
    let reset: String?
    let forgetBias: Double?
    let projectionSize: Int?
    let window: Int?

    init(_ layer: LayerArchitecture) {
      (cell, activation, bias) = (
        layer.cell.rawValue, layer.activation.rawValue, layer.bias.rawValue
      )
      (inputSize, hiddenSize) = (layer.inputSize, layer.hiddenSize)
      gateActivation = layer.cell.facts.hasGateActivation ? layer.gateActivation.text : nil
      reset = layer.cell.facts.hasReset ? layer.reset.rawValue : nil
      forgetBias = layer.forgetBias == 0 ? nil : layer.forgetBias
      projectionSize = layer.projectionSize
      window = layer.cell.facts.hasInputWindow ? layer.inputWindow : nil
    }

    /// Returns the name of a gate activation, with its numbers rounded for people.
    private static func rounded(_ activation: String) -> String {
      activation.replacing(#/\d+\.\d+/#) { Double($0.output).map(TextLayout.number) ?? "" }
    }

    /// The parts of the layer's description; properties with PyTorch's defaults are omitted.
    var parts: [String] {
      let biases = ["double": "two biases", "single": "one bias"][bias] ?? "no bias"
      let variants = [
        gateActivation.flatMap { $0 == "sigmoid" ? nil : "gates \(Self.rounded($0))" },
        reset == GRUReset.before.rawValue ? "reset before the product" : nil,
        forgetBias.map { "forget bias \(TextLayout.number($0))" },
        projectionSize.map { "projected to \($0)" },
        window.flatMap { $0 > 1 ? "gates of \($0) inputs" : nil },
      ]
      return
        ["\(cell), \(inputSize) -> \(hiddenSize)", activation, biases] + variants.compactMap { $0 }
    }
  }

  struct Parameter: Encodable {
    let path: String
    let dtype: String
    let shape: [Int]
    let digest: String?
  }

  struct Step: Encodable {
    let operation: String
    let tool: String
    let arguments: [String]
    let inputs: [String]
    let outcome: String
    let weightsDigest: String
  }

  /// An assumption of the reader, or a property that a conversion would not preserve; for a
  /// checkpoint, a finding below the level of an error.
  struct Remark: Encodable {
    let location: String
    let message: String
  }

  let file: String
  /// The name of the format; `unroll` for a checkpoint.
  let format: String
  let bytes: Int
  /// `nil`, as are the digests, for other formats.
  let formatVersion: String?
  let producer: String?
  let weightsDigest: String?
  let contentDigest: String?
  let vocabularySize: Int
  let embeddingSize: Int
  let input: String
  let tied: Bool
  let outputProjection: Bool
  let output: String
  /// The tokens of each tail of an adaptive softmax, and the width of its projection.
  let tails: [Tail]
  let layers: [Layer]
  let parameterCount: Int
  let parameters: [Parameter]
  /// `nil`, as are the other properties of the tokens, for a file without a vocabulary.
  let unit: String?
  let endOfSentence: String?
  let lineStart: String?
  let lineEnd: String?
  let lineConvention: String?
  let unknown: String?
  let firstTokens: [String]
  let lastTokens: [String]
  let tokenizer: String?
  let training: TrainingReport?
  /// The fields of the model card by their names in the file.
  let card: [String: [String]]
  let readmeBytes: Int?
  let selfTestTokens: Int?
  let provenance: [Step]
  let notes: [Remark]

  /// Creates the report of a checkpoint.
  init(_ checkpoint: Checkpoint, _ examination: Examination) {
    let notes = examination.findings.map { finding in
      Remark(
        location: finding.object,
        message: "\(finding.level.rawValue) \(finding.rule): expected \(finding.expected); found "
          + finding.found)
    }
    self.init(
      checkpoint, path: examination.contents.path, format: "unroll",
      bytes: examination.contents.file.count, header: examination.header, notes: notes
    ) { examination.digest(of: $0) }
  }

  /// Creates the report of a model of another format.
  init(_ model: ForeignModel, path: String) {
    let notes = model.conversion.notes.map { Remark(location: $0.place, message: $0.message) }
    self.init(
      model.conversion.checkpoint, path: path, format: model.format, bytes: model.bytes,
      header: nil,
      notes: notes
    ) { _ in nil }
  }

  /// Creates the report of a model.
  ///
  /// - Parameters:
  ///   - checkpoint: The model.
  ///   - path: Its file.
  ///   - format: The name of the file's format.
  ///   - bytes: The size of the file.
  ///   - header: The header of a checkpoint; `nil` for other formats.
  ///   - notes: Assumptions and findings.
  ///   - digest: Returns the digest of a tensor's bytes, if the file has one.
  init(
    _ checkpoint: Checkpoint, path: String, format: String, bytes: Int,
    header: Examination.Header?, notes: [Remark], digest: (ParameterPath) -> String?
  ) {
    let architecture = checkpoint.architecture
    (file, self.format, self.bytes, self.notes) = (path, format, bytes, notes)
    formatVersion = header?.formatVersion
    producer = header?.producer
    weightsDigest = header?.weightsDigest
    contentDigest = header?.contentDigest
    vocabularySize = architecture.vocabularySize
    embeddingSize = architecture.embeddingSize
    tied = architecture.isTied
    (input, outputProjection) = (architecture.input.rawValue, architecture.hasOutputProjection)
    output = architecture.outputKind.rawValue
    tails = architecture.tails.map { Tail(size: $0.size, projectionSize: $0.projectionSize) }
    layers = architecture.layers.map(Layer.init)
    parameters = architecture.parameters.compactMap { path, shape in
      guard let tensor = checkpoint.parameters[path] else { return nil }
      return Parameter(
        path: path.description, dtype: tensor.dtype.rawValue, shape: shape.dimensions,
        digest: digest(path))
    }
    parameterCount = parameters.reduce(0) { $0 + $1.shape.reduce(1, *) }
    let vocabulary = checkpoint.vocabulary.isPlaceholder ? nil : checkpoint.vocabulary
    unit = vocabulary?.unit.rawValue
    endOfSentence = vocabulary.flatMap { tokens in
      tokens.endOfSentenceID.map { tokens.text(of: $0) }
    }
    lineStart = vocabulary.flatMap { _ in checkpoint.lineStart }
    lineEnd = vocabulary.flatMap { _ in checkpoint.lineEnd }
    lineConvention = vocabulary.map { _ in checkpoint.lineConvention }
    unknown = vocabulary.flatMap { tokens in tokens.unknownID.map { tokens.text(of: $0) } }
    // A token may be a megabyte long.
    func texts(_ ids: Range<Int>) -> [String] {
      ids.compactMap { id in vocabulary.map { excerpt($0.text(of: id)) } }
    }
    let count = vocabulary?.count ?? 0
    firstTokens = texts(0..<min(10, count))
    lastTokens = texts(max(10, count - 5)..<max(10, count))
    tokenizer = vocabulary.map { _ in checkpoint.tokenizer.kind.rawValue }
    training = TrainingReport(checkpoint)
    card = Dictionary(
      uniqueKeysWithValues: (checkpoint.card?.fields ?? [:]).map { ($0.key.rawValue, $0.value) })
    readmeBytes = checkpoint.card?.readme?.utf8.count
    selfTestTokens = checkpoint.selfTest?.tokenIDs.count
    provenance = checkpoint.provenance.map { entry in
      Step(
        operation: entry.operation, tool: entry.tool,
        arguments: entry.arguments.split(separator: "\n").map(String.init),
        inputs: entry.inputs.split(separator: "\n").map(String.init),
        outcome: entry.outcome, weightsDigest: entry.weightsDigest)
    }
  }
}
