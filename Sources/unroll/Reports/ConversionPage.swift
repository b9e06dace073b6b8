// The page of `unroll convert`: what was assumed, what was not preserved, and the model.

import UnrollEngine
import UnrollFormat
import UnrollInterchange
import UnrollReport
import UnrollTensors

/// The page of a conversion.
struct ConversionPage {
  let input: String
  let output: String
  /// The comparison with the written file, in words.
  let outcome: String
  let notes: [Note]
  /// The model as `unroll inspect` shows it.
  let report: ModelReport
  private let checkpoint: Checkpoint
  private let sourceNames: [ParameterPath: [String]]

  /// Creates the page of a model that was written.
  ///
  /// - Throws: `FileError` if its file cannot be read.
  init(
    input: String, output: String, _ conversion: Conversion, _ target: ConversionTarget,
    notes: [Note], outcome: String
  ) throws {
    (self.input, self.output, self.notes, self.outcome) = (input, output, notes, outcome)
    (checkpoint, sourceNames) = (conversion.checkpoint, conversion.sourceNames)
    let format: String
    var files = [output]
    switch target {
    case .checkpoint: format = "unroll"
    case .foreign(let type):
      format = type.name
      files += type.writtenBeside(output)
    }
    report = ModelReport(
      conversion.checkpoint, path: output, format: format,
      bytes: try files.reduce(0) { try $0 + MappedFile(path: $1).count }, header: nil,
      notes: notes.map { ModelReport.Remark(location: $0.place, message: $0.message) }
    ) { _ in nil }
  }

  /// The page.
  ///
  /// - Throws: `EncodingError` if a number is not finite.
  var document: Document {
    get throws {
      var document = try report.document(of: checkpoint)
      document.title = printable("Conversion of \(input) to \(output)")
      document.lead =
        "The model was written and \(outcome)."
      document.facts.insert(Document.Fact("converted from", printable(input)), at: 0)
      document.notes = []
      let other = notes.filter { !$0.isHarmless }
      document.highlights.append(Document.Fact("assumed or not preserved", "\(other.count)"))
      document.sections.insert(
        Document.Section("Conversion", blocks(other) + harmlessBlocks + nameBlocks), at: 0)
      return document
    }
  }

  private func blocks(_ notes: [Note]) -> [Document.Block] {
    guard !notes.isEmpty else {
      return [.paragraph("Nothing was assumed, and the whole model is preserved.")]
    }
    return [
      .paragraph("This was assumed, or is not preserved:"), .list(notes.map(Self.line)),
    ]
  }

  private var harmlessBlocks: [Document.Block] {
    let harmless = notes.filter(\.isHarmless)
    guard !harmless.isEmpty else { return [] }
    return [
      .paragraph("The model's predictions are not affected by this:"),
      .list(harmless.map(Self.line)),
    ]
  }

  /// The parameters with the tensors of the file that they come from; none for a format that has no such names.
  private var nameBlocks: [Document.Block] {
    let rows = checkpoint.architecture.parameters.compactMap { path, shape -> [String]? in
      guard let names = sourceNames[path] else { return nil }
      return [
        names.map { excerpt($0) }.joined(separator: " and "), path.description, "\(shape)",
      ]
    }
    guard !rows.isEmpty else { return [] }
    return [
      .table(
        Table(
          "Tensors of the file, and the parameters that they became",
          [.text("tensor of \(printable(input))"), .text("parameter"), .text("shape")], rows))
    ]
  }

  private static func line(_ note: Note) -> String {
    "\(excerpt(note.place)): \(excerpt(note.message, limit: 1000))"
  }
}
