// The parameters of a model on its page: their numbers as histograms, with norms and digests.

import UnrollFormat
import UnrollNeural
import UnrollReport
import UnrollTensors

/// The numbers of the parameters of a model.
struct ParameterSection {
  private struct Row {
    let path: String
    let dtype: String
    let shape: [Int]
    let digest: String?
    /// `nil` for a tensor with numbers that are not finite, or without floats.
    let histogram: NumberHistogram?

    var count: Int { shape.reduce(1, *) }
  }

  private let rows: [Row]

  /// Counts the numbers of each parameter.
  ///
  /// - Parameters:
  ///   - parameters: The parameters as `inspect` lists them.
  ///   - checkpoint: The model with its weights.
  init(_ parameters: [ModelReport.Parameter], of checkpoint: Checkpoint) {
    rows = parameters.map { parameter in
      let path = checkpoint.parameters.paths.first { $0.description == parameter.path }
      let tensor = path.flatMap { checkpoint.parameters[$0] }
      return Row(
        path: parameter.path, dtype: parameter.dtype, shape: parameter.shape,
        digest: parameter.digest, histogram: tensor?.floats().flatMap { NumberHistogram($0) })
    }
  }

  /// The section.
  var section: Document.Section {
    let meaning =
      "Each histogram has a range and a height of its own: compare shapes, and ranges by their numbers. A norm is the root of "
      + "the sum of squares."
    return Document.Section(
      "Parameters", (figure.map { [.paragraph(meaning), .histograms($0)] } ?? []) + [.table(table)])
  }

  private var figure: HistogramRows? {
    let known = rows.compactMap { row in
      row.histogram.map {
        HistogramRows.Row(Self.shortened(row.path), $0.range, $0.counts)
      }
    }
    guard !known.isEmpty else { return nil }
    let edge = known.map { max(abs($0.range.lowerBound), abs($0.range.upperBound)) }.max() ?? 0
    return HistogramRows(
      title: "Numbers of each parameter",
      summary:
        "A histogram of \(NumberHistogram.binCount) bins for each of \(counted(known.count, "tensor")), from its "
        + "smallest to its largest number; the largest absolute value of all is \(String(printf: "%.4g", edge)).",
      label: "from the smallest to the largest number of each tensor", rows: known)
  }

  private static func shortened(_ path: String) -> String {
    path.hasPrefix("/model/") ? String(path.dropFirst(7)) : path
  }

  private var table: Table {
    Table(
      "Tensors, with the SHA-256 of their bytes",
      [
        .text("path"), .text("type"), .text("shape"), .number("numbers"), .number("mean"),
        .number("deviation"), .number("norm"), .text("digest"),
      ],
      rows.map { row in
        let mean = row.histogram.map { $0.sum / Double(max(1, row.count)) }
        let deviation = row.histogram.map { histogram in
          max(0, histogram.sumOfSquares / Double(max(1, row.count)) - (mean ?? 0) * (mean ?? 0))
            .squareRoot()
        }
        return [
          row.path, row.dtype, "[" + row.shape.map(String.init).joined(separator: ", ") + "]",
          Output.grouped(row.count),
        ] + [mean, deviation, row.histogram.map { $0.sumOfSquares.squareRoot() }].map(Self.short)
          + [row.digest.map { "\($0.prefix(12))…" } ?? "–"]
      })
  }

  private static func short(_ number: Double?) -> String {
    number.map { String(printf: "%.4g", $0) } ?? "–"
  }
}
