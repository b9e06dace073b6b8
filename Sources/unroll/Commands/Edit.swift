// `unroll edit`: edits the model card of a checkpoint.

import ArgumentParser
import Foundation
import UnrollFormat
import UnrollTensors

struct Edit: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Rewrite a checkpoint with other metadata: licence, authors, description.",
    discussion: """
      The weights stay as they are, and so does their digest; the history gets an entry. Options \
      that are not given leave their field as it is.
      """)

  @Argument(help: "Checkpoint.")
  var model: String

  @Option(help: "What people call the model.")
  var title: String?

  @Option(help: "Its licence, as an SPDX expression such as CC-BY-4.0.")
  var license: String?

  @Option(name: .customLong("author"), help: "Who made it; give the option once for each.")
  var authors: [String] = []

  @Option(
    name: .customLong("language"), help: "A language of its texts, such as de; once for each.")
  var languages: [String] = []

  @Option(
    name: .customLong("dataset"), help: "Data that it was trained on; once for each.")
  var datasets: [String] = []

  @Option(help: "The model that it was made from.")
  var baseModel: String?

  @Option(help: "Where to read more.")
  var homepage: String?

  @Option(help: "How to cite it.")
  var citation: String?

  @Option(help: ArgumentHelp("A description in Markdown.", valueName: "file"))
  var readme: String?

  @Option(
    help: ArgumentHelp(
      "A field to remove: \(Self.fields.joined(separator: ", ")).",
      valueName: "field"))
  var remove: [String] = []

  @OptionGroup var output: OutputOptions

  private static let fields = CardField.allCases.map(\.rawValue) + ["readme"]

  func validate() throws {
    if let unknown = remove.first(where: { !Self.fields.contains($0) }) {
      throw ValidationError("A card has no field \(unknown).")
    }
    guard !given.isEmpty || readme != nil || !remove.isEmpty else {
      throw ValidationError("Nothing is to be changed: give a field, such as --license.")
    }
  }

  func run() throws {
    try output.check(inputs: [model] + [readme].compactMap { $0 })
    let text = try readme.map { try Self.markdown($0) }
    let examination = try Examination.shown(of: model, upTo: .bytes)
    try Progress.during("writing and reading back \(output.output)") {
      try examination.edit(to: output.output, replacing: output.force) { card in
        for field in remove {
          if field == "readme" { card.readme = nil }
          if let field = CardField(rawValue: field) { card.fields[field] = nil }
        }
        card.fields.merge(given) { $1 }
        if let text { card.readme = text }
      }
    }
    Output.note("wrote \(printable(output.output))")
    if let license, let part = SPDX.firstUnknownPart(of: license) {
      Output.note(
        "warning: --license \(shellQuoted(license)) is no SPDX expression: \(printable(part)) is not "
          + "known\n  fix: give an id of spdx.org/licenses, such as Apache-2.0, or `LicenseRef-` and a name"
      )
    }
  }

  /// The fields that the options set.
  private var given: [CardField: [String]] {
    let texts: [CardField: [String]] = [
      .title: [title].compactMap { $0 }, .license: [license].compactMap { $0 },
      .authors: authors, .languages: languages, .datasets: datasets,
      .baseModel: [baseModel].compactMap { $0 }, .homepage: [homepage].compactMap { $0 },
      .citation: [citation].compactMap { $0 },
    ]
    return texts.filter { !$0.value.isEmpty }
  }

  private static func markdown(_ path: String) throws -> String {
    let file = try MappedFile(path: path)
    guard let text = String(validating: file.copy(0..<file.count), as: UTF8.self) else {
      throw Refusal(
        "\(printable(path)): expected a text in UTF-8; found other bytes\n  fix: save it as UTF-8")
    }
    return text
  }
}
