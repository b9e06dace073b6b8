// The page of `unroll gradients`: curves, their fits, clipping and recurrent weights.

import Foundation
import UnrollEngine
import UnrollReport
import UnrollTensors

extension GradientReport {
  /// Fills a document.
  ///
  /// - Parameter document: The document, with its origin.
  /// - Throws: `EncodingError` if a number is not finite.
  func fill(_ document: inout Document) throws {
    document.highlights = flow.curves.map { curve in
      Document.Fact(
        "half-life of \(name(of: curve)), in steps",
        curve.decay.map { String(printf: "%.1f", $0.halfLife) } ?? "–")
    }
    document.sections = [
      Document.Section("Curves", [.paragraph(measured + "."), .figure(figure)]),
      Document.Section("What they mean", [.list(sentences)]),
      Document.Section("Fits", [.table(fitTable)]),
      Document.Section("Clipping", [.paragraph(clipping + ".")] + normBlocks),
      Document.Section("Recurrent weights", recurrenceBlocks),
    ]
    document.result = try Output.encoded(GradientJSON(flow), isPretty: false)
  }

  private var fitTable: Table {
    Table(
      "Exponential decay fitted to each curve; the horizon is the largest lag with at least "
        + "\(percent(flow.settings.threshold)) of lag 0",
      [
        .number("layer"), .text("state"), .number("decay rate"), .number("half-life"),
        .number("horizon"),
      ],
      flow.curves.map { curve in
        [
          "\(curve.layer)", curve.quantity.rawValue, Document.number(curve.decay?.rate),
          curve.decay.map { String(printf: "%.1f", $0.halfLife) } ?? "–",
          curve.horizon.map(horizon) ?? "–",
        ]
      })
  }

  private var normBlocks: [Document.Block] {
    guard
      var histogram = Figure.histogram(
        title: "Gradient norms", label: "global norm of a window's gradient", unit: "windows",
        values: flow.clipping.norms.filter(\.isFinite))
    else { return [] }
    histogram.marks = [.x(flow.clipping.limit, "--clip, \(flow.clipping.limit)")]
    return [.figure(histogram)]
  }

  private var recurrenceBlocks: [Document.Block] {
    guard !flow.recurrences.isEmpty else { return [] }
    let bars = Figure.bars(
      title: "Spectral radius of weight_hh",
      label: "largest absolute value of an eigenvalue",
      rows: flow.recurrences.map {
        ("layer \($0.layer), gate \($0.gate)", $0.spectrum.spectralRadius)
      })
    let table = Table(
      "weight_hh of each gate",
      [
        .number("layer"), .text("gate"), .number("spectral radius"),
        .number("largest singular value"),
      ],
      flow.recurrences.map {
        [
          "\($0.layer)", $0.gate, Document.number($0.spectrum.spectralRadius),
          Document.number($0.spectrum.largestSingularValue),
        ]
      })
    return (bars.map { [.figure($0)] } ?? []) + [.table(table)]
  }
}
