// The page of `unroll report`: several models beside each other.

import UnrollReport
import UnrollTensors

extension ComparedModels {
  /// Returns the page.
  ///
  /// - Parameter digests: The digest of each model's weights; `nil` for a file without one.
  /// - Returns: The page.
  /// - Throws: `EncodingError` if a number is not finite.
  func document(digests: [String?]) throws -> Document {
    var document = Document(
      title: "Comparison of \(counted(models.count, "model"))",
      lead: models.map { printable($0.file) }.joined(separator: ", ") + ".", files: [:])
    document.facts =
      zip(models, digests).map { model, digest in
        Document.Fact(
          "model",
          printable(model.file)
            + (digest.map { ", weights sha256 \($0.prefix(12))…" } ?? ", without a digest"))
      } + document.facts
    document.highlights = highlights
    document.notes = warnings
    document.sections = [
      Document.Section("Structure", structureBlocks),
      Document.Section("Learning curves", curveBlocks),
      Document.Section("Norms of parameters", normBlocks),
    ]
    document.result = LongText(try Output.encoded(self))
    return document
  }

  private var highlights: [Document.Fact] {
    let smallest = models.map(\.parameterCount).min() ?? 0
    let largest = models.map(\.parameterCount).max() ?? 0
    return [
      Document.Fact("models", "\(models.count)"),
      Document.Fact(
        "parameters",
        smallest == largest
          ? Output.grouped(largest)
          : "\(Output.grouped(smallest)) to \(Output.grouped(largest))"),
      Document.Fact("with a learning curve", "\(models.count { !$0.evaluations.isEmpty })"),
    ]
  }

  // MARK: Structure

  private var structureBlocks: [Document.Block] {
    let rows: [(name: String, value: (ComparedModel) -> String)] = [
      ("parameters", { Output.grouped($0.parameterCount) }),
      ("bytes of the file", { Output.grouped($0.bytes) }),
      ("format", { $0.format }),
      ("type of the tensors", { $0.dtypes.joined(separator: ", ") }),
      ("cells", { Self.runs($0.cells) }),
      ("hidden sizes", { Self.runs($0.hiddenSizes.map(String.init)) }),
      ("embedding size", { Output.grouped($0.embeddingSize) }),
      ("output tied to the embedding", { $0.tied ? "yes" : "no" }),
      ("tokens", { Output.grouped($0.vocabularySize) }),
      ("unit of the tokens", { $0.unit.value ?? "–" }),
      ("tokenizer", { $0.tokenizer.value ?? "–" }),
      ("license", { $0.licenses.isEmpty ? "–" : excerpt($0.licenses.joined(separator: "; ")) }),
      ("history", { $0.history.isEmpty ? "–" : excerpt($0.history.joined(separator: ", ")) }),
      ("outcome", { excerpt($0.outcome.value ?? "–") }),
    ]
    let table = Table(
      "Properties of the models",
      [.text("property")] + models.map { .text(printable($0.file)) },
      rows.map { row in [row.name] + models.map(row.value) })
    let bars = Figure.bars(
      title: "Parameters of each model", label: "parameters",
      rows: models.map { (printable($0.file), Double($0.parameterCount)) })
    return [.table(table)] + (bars.map { [.figure($0)] } ?? [])
  }

  /// Returns a list such as `2 x lstm` or `lstm, gru`.
  private static func runs(_ names: [String]) -> String {
    Set(names).count == 1 && names.count > 1
      ? "\(names.count) x \(names[0])" : names.joined(separator: ", ")
  }

  // MARK: Learning curves

  private var curveBlocks: [Document.Block] {
    let without = models.filter { $0.evaluations.isEmpty }.map { printable($0.file) }
    let missing: [Document.Block] =
      without.isEmpty
      ? []
      : [
        .paragraph(
          "Without evaluations: \(without.joined(separator: ", ")). The state of a training has them, the file that "
            + "ends in .last.unroll.h5.")
      ]
    let evaluated = models.filter { !$0.evaluations.isEmpty }
    guard !evaluated.isEmpty else { return missing }
    let table = Table(
      "Trainings; losses in nats a token",
      [
        .text("model"), .number("evaluations"), .number("steps"), .number("best loss"),
        .number("its perplexity"), .number("its step"), .number("last loss"),
      ], evaluated.map(Self.row))
    return (figure.map { [.figure($0)] } ?? [.paragraph("A curve needs two evaluations.")])
      + [.table(table)] + missing
  }

  private static func row(_ model: ComparedModel) -> [String] {
    let best = model.evaluations.first(where: \.best)
    let last = model.evaluations.last
    return [
      printable(model.file), Output.grouped(model.evaluations.count),
      last.map { Output.grouped($0.step) } ?? "–", LearningCurve.loss(best?.validNLL),
      LearningCurve.perplexity(best?.validPerplexity),
      best.map { Output.grouped($0.step) } ?? "–", LearningCurve.loss(last?.validNLL),
    ]
  }

  // MARK: Norms

  /// The paths of all parameters, in the order in which models first have them.
  private var paths: [String] {
    var seen: Set<String> = []
    return models.flatMap { $0.norms.map(\.path) }.filter { seen.insert($0).inserted }
  }

  private var normBlocks: [Document.Block] {
    let paths = paths
    let norms = models.map { model in
      Dictionary(uniqueKeysWithValues: model.norms.map { ($0.path, $0.norm.value) })
    }
    let table = Table(
      "Norm of each tensor; – where a model has no such tensor, or a norm that is not finite",
      [.text("path")] + models.map { .number(printable($0.file)) },
      paths.map { path in [path] + norms.map { Document.number($0[path] ?? nil) } })
    return [
      .paragraph("The norm of a tensor is the root of the sum of the squares of its numbers.")
    ] + (normFigure(paths, norms).map { [.figure($0)] } ?? []) + [.table(table)]
  }

  private func normFigure(_ paths: [String], _ norms: [[String: Double?]]) -> Figure? {
    let names = paths.reversed().map { $0.hasPrefix("/model/") ? String($0.dropFirst(7)) : $0 }
    let series = zip(models, norms).map { model, norms in
      Figure.Series(
        name: printable(model.file),
        points: paths.reversed().enumerated().compactMap { place, path in
          (norms[path] ?? nil).map { Figure.Point(x: $0, y: Double(place)) }
        }, style: .points)
    }
    guard let largest = series.flatMap(\.points).map(\.x).max() else { return nil }
    return Figure(
      title: "Norm of each parameter",
      summary:
        "Norms of \(counted(paths.count, "tensor")) in \(counted(models.count, "model")), up to "
        + String(printf: "%.4g.", largest),
      x: Figure.Axis(label: "norm", range: 0...(largest > 0 ? largest * 1.05 : 1)),
      y: Figure.Axis(label: "", range: -0.6...(Double(names.count) - 0.4), names: names),
      series: series)
  }
}
