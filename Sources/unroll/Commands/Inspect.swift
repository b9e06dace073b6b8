// `unroll inspect`: summarizes a checkpoint.

import ArgumentParser
import UnrollFormat
import UnrollTensors
import UnrollTokenization

struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what is in a checkpoint.",
    discussion: "Runs the rules that every opening runs; `unroll validate` also reads all data.")

  @Argument(help: "Checkpoint.")
  var model: String

  @Flag(help: "Print the content as one JSON object with keys in snake_case.")
  var json = false

  func run() throws {
    let examination = try Examination.shown(of: model, upTo: .header)
    let checkpoint = try Checkpoint(examination)
    for finding in examination.findings { Output.note(finding.description) }
    let report = ModelReport(checkpoint, examination)
    if json {
      try Output.json(report)
    } else {
      for line in report.lines { Output.result(line) }
    }
  }
}

/// The summary of a checkpoint.
private struct ModelReport: Encodable {
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

    init(_ layer: LayerArchitecture) {
      (cell, activation, bias) = (
        layer.cell.rawValue, layer.activation.rawValue, layer.bias.rawValue
      )
      (inputSize, hiddenSize) = (layer.inputSize, layer.hiddenSize)
      gateActivation = layer.cell == .rnn ? nil : layer.gateActivation.text
      reset = layer.cell == .gru ? layer.reset.rawValue : nil
      forgetBias = layer.forgetBias == 0 ? nil : layer.forgetBias
      projectionSize = layer.projectionSize
    }

    /// The layer in one line; properties with PyTorch's defaults are omitted.
    var line: String {
      let biases = ["double": "two biases", "single": "one bias"][bias] ?? "no bias"
      let variants = [
        gateActivation.flatMap { $0 == "sigmoid" ? nil : "gates \($0)" },
        reset == GRUReset.before.rawValue ? "reset before the product" : nil,
        forgetBias.map { "forget bias \($0)" },
        projectionSize.map { "projected to \($0)" },
      ]
      return
        (["\(cell), \(inputSize) -> \(hiddenSize)", activation, biases]
        + variants.compactMap { $0 }).joined(separator: ", ")
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

  let file: String
  let bytes: Int
  let formatVersion: String
  let producer: String
  let weightsDigest: String?
  let contentDigest: String?
  let vocabularySize: Int
  let embeddingSize: Int
  let input: String
  let tied: Bool
  let outputProjection: Bool
  let layers: [Layer]
  let parameterCount: Int
  let parameters: [Parameter]
  let unit: String
  let endOfSentence: String?
  /// The token that each line starts from, or words for none; `lineEnd` likewise for the end.
  let lineStart: String
  let lineEnd: String
  let unknown: String?
  let firstTokens: [String]
  let lastTokens: [String]
  let tokenizer: String
  let training: TrainingReport?
  /// The fields of the model card by their names in the file.
  let card: [String: [String]]
  let readmeBytes: Int?
  let selfTestTokens: Int?
  let provenance: [Step]

  init(_ checkpoint: Checkpoint, _ examination: Examination) {
    let (architecture, vocabulary) = (checkpoint.architecture, checkpoint.vocabulary)
    file = examination.contents.path
    bytes = examination.contents.file.count
    let header = examination.header
    formatVersion = header.formatVersion
    producer = header.producer
    weightsDigest = header.weightsDigest
    contentDigest = header.contentDigest
    vocabularySize = architecture.vocabularySize
    embeddingSize = architecture.embeddingSize
    tied = architecture.isTied
    (input, outputProjection) = (architecture.input.rawValue, architecture.hasOutputProjection)
    layers = architecture.layers.map(Layer.init)
    parameters = architecture.parameters.compactMap { path, shape in
      guard let tensor = checkpoint.parameters[path] else { return nil }
      return Parameter(
        path: path.description, dtype: tensor.dtype.rawValue, shape: shape.dimensions,
        digest: examination.digest(of: path))
    }
    parameterCount = parameters.reduce(0) { $0 + $1.shape.reduce(1, *) }
    unit = vocabulary.unit.rawValue
    endOfSentence = vocabulary.endOfSentenceID.map { vocabulary.text(of: $0) }
    lineStart = checkpoint.lineStart
    lineEnd = checkpoint.lineEnd
    unknown = vocabulary.unknownID.map { vocabulary.text(of: $0) }
    // A token may be a megabyte long.
    firstTokens = (0..<min(10, vocabulary.count)).map { excerpt(vocabulary.text(of: $0)) }
    lastTokens = (max(10, vocabulary.count - 5)..<max(10, vocabulary.count)).map {
      excerpt(vocabulary.text(of: $0))
    }
    tokenizer = checkpoint.tokenizer.kind.rawValue
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

  /// The report as text.
  var lines: [String] {
    let title =
      "\(file): recurrent language model, \(Output.grouped(parameterCount)) parameters, "
      + "\(Output.grouped(bytes)) bytes"
    return [title, "", "model"] + modelLines + ["", "parameters"] + parameterLines
      + ["", "vocabulary"] + vocabularyLines
      + (training.map { ["", "training"] + $0.lines } ?? []) + cardLines
      + ["", "history"] + historyLines
      + ["", "file"] + fileLines
  }

  private var modelLines: [String] {
    let first =
      input == ModelInput.oneHot.rawValue
      ? "  input       one-hot, \(vocabularySize)"
      : "  embedding   \(vocabularySize) x \(embeddingSize)"
    let projection = outputProjection ? ", after a projection to \(embeddingSize)" : ""
    return [first]
      + layers.enumerated().map { "  layer \($0)     \($1.line)" }
      + [
        "  output      softmax over \(vocabularySize), "
          + (tied ? "tied to the embedding" : "not tied") + projection
      ]
  }

  private var parameterLines: [String] {
    let width = parameters.map(\.path.count).max() ?? 0
    return parameters.map { parameter in
      let shape = parameter.shape.map(String.init).joined(separator: ", ")
      return "  " + parameter.path + String(repeating: " ", count: width - parameter.path.count)
        + "  \(parameter.dtype) [\(shape)]"
    } + (tied ? ["  /model/output/weight is /model/embedding/weight"] : [])
  }

  private var vocabularyLines: [String] {
    let gap = vocabularySize > 15 ? ["..."] : []
    let sample = (firstTokens + gap + lastTokens).map(printable).joined(separator: " ")
    return [
      "  \(Output.grouped(vocabularySize)) tokens (\(unit)), tokenizer \(tokenizer), "
        + "end of sentence \(endOfSentence ?? "none"), unknown words \(unknown ?? "none")",
      "  lines start from \(printable(lineStart)) and end with \(printable(lineEnd))",
      "  \(sample)",
    ]
  }

  private var cardLines: [String] {
    guard !card.isEmpty || readmeBytes != nil else { return [] }
    let fields = card.sorted { $0.key < $1.key }.map { name, texts in
      "  \(name.padding(toLength: 11, withPad: " ", startingAt: 0)) "
        + texts.map(printable).joined(separator: "; ")
    }
    return ["", "card"] + fields
      + (readmeBytes.map { ["  readme      \(Output.grouped($0)) bytes"] } ?? [])
  }

  private var historyLines: [String] {
    provenance.flatMap { step in
      ["  \(printable(step.operation)) by \(printable(step.tool))"]
        + step.arguments.map { "    \(printable($0))" }
        + step.inputs.map { "    from \(printable($0))" }
        + (step.outcome.isEmpty ? [] : ["    outcome: \(printable(step.outcome))"])
    }
  }

  private var fileLines: [String] {
    [
      "  format   \(formatVersion), written by \(printable(producer))",
      "  weights  \(weightsDigest ?? "no digest")",
      "  content  \(contentDigest ?? "no digest")",
      "  test     "
        + (selfTestTokens.map { "\($0) tokens, for `validate --replay`" } ?? "no self-test"),
    ]
  }
}
