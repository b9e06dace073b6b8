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
      Document.Section(
        "Fits",
        ([(path, flow)] + others).map {
          .table(fitTable($1, of: others.isEmpty ? nil : $0))
        }),
      Document.Section("Clipping", [.paragraph(clipping + ".")] + normBlocks),
      Document.Section("Recurrent weights", recurrenceBlocks),
    ]
    document.result = LongText(try Output.encoded(GradientJSON(flow), isPretty: false))
  }

  /// Returns the fits of a model.
  ///
  /// - Parameters:
  ///   - flow: The measurement.
  ///   - path: The model's file, if there are several.
  /// - Returns: The table.
  private func fitTable(_ flow: GradientFlow, of path: String?) -> Table {
    Table(
      (path.map { "\(printable($0)): e" } ?? "E")
        + "xponential decay fitted to each curve; the horizon is the largest lag with at least "
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
    return (bars.map { [.figure($0)] } ?? []) + [.table(table)] + eigenvalueBlocks
  }

  // MARK: Eigenvalues

  /// The largest hidden size of layers whose eigenvalues the page draws.
  static let eigenvalueLimit = 256

  private var eigenvalueBlocks: [Document.Block] {
    let layers = Set(flow.recurrences.map(\.layer)).sorted()
    let figures = layers.compactMap(eigenvalueFigure)
    let cut =
      figures.count < layers.count
      ? "Eigenvalues are drawn for layers of at most \(Self.eigenvalueLimit) units." : nil
    let meaning =
      "Each sign is an eigenvalue of the weights by which a gate takes up the state of the step before. Outside of the unit "
      + "circle a direction grows with every step, inside it fades; away from the horizontal axis it turns as it goes. "
      + "Gates scale that: for an LSTM or a GRU this is one part of the whole step."
    return (figures.isEmpty ? [] : [.paragraph(meaning)]) + figures.map { .figure($0) }
      + (cut.map { [.paragraph($0)] } ?? [])
  }

  /// Returns the eigenvalues of a layer's gates in the complex plane; `nil` if they are not known.
  private func eigenvalueFigure(layer: Int) -> Figure? {
    let gates = flow.recurrences.filter { $0.layer == layer }
    let series = gates.compactMap { recurrence in
      recurrence.spectrum.eigenvalues.map { values in
        Figure.Series(
          name: "gate \(recurrence.gate)",
          points: values.map { Figure.Point(x: $0.real, y: $0.imaginary) }, style: .points)
      }
    }
    guard !series.isEmpty, series.count == gates.count else { return nil }
    let values = gates.flatMap { $0.spectrum.eigenvalues ?? [] }.map(\.magnitude)
    let edge = 1.1 * max(1, values.max() ?? 1)
    let outside = values.count { $0 > 1 }
    return Figure(
      title: "Eigenvalues of weight_hh, layer \(layer)",
      summary:
        "\(outside) of \(values.count) eigenvalues lie outside of the unit circle; the largest absolute value is "
        + String(printf: "%.4g.", values.max() ?? 0),
      x: Figure.Axis(label: "real part", range: -edge...edge),
      y: Figure.Axis(label: "imaginary part", range: -edge...edge), series: series,
      marks: [.unitCircle("unit circle")])
  }
}
