// `unroll card`: writes the model card of a checkpoint for a model hub.

import ArgumentParser
import UnrollFormat
import UnrollTensors

struct WriteCard: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "card",
    abstract: "Write the model card of a checkpoint, for a model hub.",
    discussion: """
      `unroll card poet.unroll.h5 -o README.md`

      Markdown with the front matter of the Hugging Face Hub: license, languages, datasets, tags and base model from the \
      file's card, the structure, the digest of the weights and the history. `unroll edit` changes the card in the file. \
      Without --output the card goes to standard output.
      """)

  @Argument(help: "Checkpoint.")
  var model: String

  @OptionGroup var destination: OptionalOutputOptions

  @Flag(help: "Print the card as one JSON object, for other registries.")
  var json = false

  func validate() throws {
    guard destination.output == nil || !json else {
      throw ValidationError("--json goes to standard output; leave --output out.")
    }
  }

  func run() throws {
    if let output = destination.output {
      try OutputOptions.check(output, inputs: [model], replacing: destination.force)
    }
    let examination = try Examination.shown(of: model, upTo: .bytes)
    let checkpoint = try Checkpoint(examination)
    let name = model.split(separator: "/").last.map(String.init) ?? model
    let digest = examination.header.weightsDigest ?? checkpoint.weightsDigest
    if json { return try Output.json(CardReport(checkpoint, file: name, weightsDigest: digest)) }
    let card = ModelCardText(checkpoint, name: name, weightsDigest: digest)
    if checkpoint.card?.fields[.license] == nil {
      Output.note(
        "note: the card states no license; `unroll edit \(shellQuoted(model)) --license CC-BY-4.0 -o FILE` adds one"
      )
    }
    guard let output = destination.output else { return Output.result(card.text) }
    try Output.write(card.text, to: output, replacing: destination.force)
    Output.note("wrote \(printable(output))")
  }
}

/// The JSON of `card --json`.
private struct CardReport: Encodable {
  let file: String
  let weightsDigest: String
  /// The fields of the card by their names in the file.
  let card: [String: [String]]
  let readme: String?

  init(_ checkpoint: Checkpoint, file: String, weightsDigest: String) {
    self.file = file
    self.weightsDigest = weightsDigest
    let fields = (checkpoint.card?.fields ?? [:]).map { ($0.key.rawValue, $0.value) }
    card = Dictionary(uniqueKeysWithValues: fields)
    readme = checkpoint.card?.readme
  }
}
