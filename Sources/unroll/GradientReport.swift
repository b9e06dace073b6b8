// The report of `unroll gradients`: tables, a figure, sentences, JSON.

import Foundation
import UnrollEngine
import UnrollReport
import UnrollTensors

/// The report of a measurement.
struct GradientReport {
  let flow: GradientFlow
  /// The model's file.
  let path: String
  /// The measurements of other models on the same text, for the figure.
  var others: [(path: String, flow: GradientFlow)] = []

  private var settings: GradientSettings { flow.settings }

  /// The number of positions at all sampled steps.
  private var positions: Int { flow.steps.count * settings.columns }

  /// The report as text.
  var lines: [String] {
    [measured, ""] + curveTable + [""] + figure([]).textLines() + [""] + [clipping, ""]
      + recurrenceTable + [""] + sentences
  }

  var measured: String {
    "\(Output.grouped(positions)) positions of \(Output.grouped(flow.tokens)) tokens, "
      + "batch size \(settings.columns), lags 0 to \(settings.lags)"
  }

  // MARK: Tables

  private var curveTable: [String] {
    let lags = [1, settings.window, settings.lags].filter { $0 <= settings.lags }
    let shown = Set(lags).sorted()
    let rows = flow.curves.map { curve in
      let medians = shown.map { curve.medians.isEmpty ? "-" : number(curve.medians[$0]) }
      return [
        "\(curve.layer)", curve.quantity.rawValue,
        curve.decay.map { String(printf: "%.4f", $0.rate) } ?? "-",
        curve.decay.map { abs($0.halfLife) < 1000 ? String(printf: "%.1f", $0.halfLife) : "-" }
          ?? "-",
        curve.horizon.map(horizon) ?? "-",
      ] + medians
    }
    return TextLayout.table(
      ["layer", "state", "decay rate", "half-life", "horizon"] + shown.map { "lag \($0)" }, rows)
  }

  func horizon(_ lag: Int) -> String {
    lag == settings.lags ? "\(lag) or more" : "\(lag)"
  }

  /// Nothing for cells without such a weight.
  private var recurrenceTable: [String] {
    flow.recurrences.isEmpty
      ? []
      : ["weight_hh"]
        + TextLayout.table(
          ["layer", "gate", "spectral radius", "largest singular value"],
          flow.recurrences.map {
            [
              "\($0.layer)", $0.gate, String(printf: "%.4f", $0.spectrum.spectralRadius),
              String(printf: "%.4f", $0.spectrum.largestSingularValue),
            ]
          })
  }

  /// Returns a ratio in three digits.
  private func number(_ value: Double) -> String {
    value == 0 || (1e-3..<1e4).contains(value)
      ? String(printf: "%.3g", value) : String(printf: "%.2e", value)
  }

  var clipping: String {
    let clipping = flow.clipping
    return
      "\(clipping.clipped) of \(clipping.norms.count) windows of \(settings.window) steps have a "
      + "gradient norm over \(number(clipping.limit)) (\(percent(clipping.share))), the median is "
      + number(clipping.median)
  }

  func percent(_ share: Double) -> String { String(printf: "%.3g %%", 100 * share) }

  // MARK: Sentences

  var sentences: [String] {
    flow.curves.flatMap(sentences) + singularSentences + [clippingSentence]
  }

  /// Returns the interpretation of a curve.
  private func sentences(_ curve: LagCurve) -> [String] {
    let name = name(of: curve)
    guard let horizon = curve.horizon else {
      return ["\(name): no loss has a gradient here; the layer is dead."]
    }
    guard let decay = curve.decay else {
      return ["\(name): the gradient is gone, or beyond a float, after a step or two."]
    }
    let share = percent(settings.threshold)
    let reach =
      horizon == settings.lags
      ? "at least \(share) of it is left at lag \(horizon)"
      : "beyond \(horizon) steps less than \(share) of it is left"
    return [([name + ": " + change(decay), reach] + window(horizon)).joined(separator: "; ") + "."]
  }

  private func change(_ decay: LagCurve.Decay) -> String {
    let steps = String(printf: "%.1f steps", abs(decay.halfLife))
    guard abs(decay.halfLife) < 1000 else { return "the gradient keeps its size" }
    return decay.rate < 1
      ? "the gradient halves every \(steps) back"
      : "the gradient doubles every \(steps) back: it explodes"
  }

  /// Returns the interpretation of a horizon for truncated BPTT; nothing if the BPTT length exceeds
  /// the measured lags.
  private func window(_ horizon: Int) -> [String] {
    guard horizon < settings.lags || settings.window <= settings.lags else { return [] }
    let window = "a BPTT length of \(settings.window)"
    return [
      horizon < settings.window ? "\(window) reaches further" : "\(window) cuts some of it off"
    ]
  }

  /// The bound of Pascanu, Mikolov & Bengio 2013, which applies to vanilla RNNs only.
  private var singularSentences: [String] {
    flow.recurrences.filter { $0.gate == "h" }.map { recurrence in
      let value = recurrence.spectrum.largestSingularValue
      let number = String(printf: "%.4f", value)
      return value < 1
        ? "layer \(recurrence.layer): no step back can stretch a gradient, since the largest singular "
          + "value of weight_hh is \(number), below 1: it must vanish."
        : "layer \(recurrence.layer): a step back can stretch a gradient at most \(number)-fold, the "
          + "largest singular value of weight_hh."
    }
  }

  private var clippingSentence: String {
    flow.clipping.clipped == 0
      ? "clipping: none of these windows would be clipped."
      : "clipping: in \(percent(flow.clipping.share)) of the windows the step is made shorter, its "
        + "direction stays."
  }

  func name(of curve: LagCurve) -> String {
    "layer \(curve.layer), \(curve.quantity.rawValue)"
  }

  // MARK: Figure

  /// The medians by lag, of all models.
  var figure: Figure { figure(others) }

  private func figure(_ others: [(path: String, flow: GradientFlow)]) -> Figure {
    let all = [(path: path, flow: flow)] + others
    let values =
      all.flatMap(\.flow.curves).flatMap(\.medians).filter { $0 > 0 && $0.isFinite } + [1]
    // Values below this floor show only that the gradient has vanished.
    let lowest = max(values.min() ?? 1, min(settings.threshold, 1e-2) * 1e-6)
    let low = pow(10, floor(log10(min(lowest, settings.threshold))))
    let high = pow(10, ceil(log10(values.max() ?? 1)))
    return Figure(
      title: "Gradient of one step's loss by the state k steps before",
      summary: "Norms relative to lag 0, for lags 0 to \(settings.lags). "
        + flow.curves.flatMap(sentences).joined(separator: " "),
      x: Figure.Axis(label: "lag k, in steps", range: 0...Double(settings.lags)),
      y: Figure.Axis(
        label: "median norm relative to lag 0", range: low...high, isLogarithmic: true),
      series: all.flatMap { path, flow in
        flow.curves.map { curve in
          Figure.Series(
            name: (others.isEmpty ? "" : "\(printable(path)): ") + name(of: curve),
            points: curve.medians.enumerated().map { Figure.Point(x: Double($0), y: $1) })
        }
      },
      marks: [
        .x(Double(settings.window), "BPTT length, \(settings.window) steps"),
        .y(settings.threshold, "\(percent(settings.threshold)) of lag 0"),
      ])
  }
}

extension GradientReport {
  /// The note on unknown words; `nil` if there are none.
  var unknownNote: String? {
    guard flow.unknown > 0 else { return nil }
    return
      "note: \(Output.grouped(flow.unknown)) of \(Output.grouped(flow.tokens)) tokens are words that "
      + "the vocabulary lacks"
  }
}

/// The report of `--json`; a number beyond the range of a float is null.
struct GradientJSON: Encodable {
  struct Curve: Encodable {
    let layer: Int
    let state: String
    let positions: Int
    let median: [Double?]
    let lowerQuartile: [Double?]
    let upperQuartile: [Double?]
    let decayRate: Double?
    let fittedLags: [Int]?
    let halfLife: Double?
    let horizon: Int?
  }

  struct Clipping: Encodable {
    let limit: Double
    let windows: [Int]
    let norms: [Double?]
    let clipped: Int
    let share: Double
  }

  struct Recurrence: Encodable {
    let layer: Int
    let gate: String
    let spectralRadius: Double
    let largestSingularValue: Double
  }

  let tokens: Int
  let unknown: Int
  let columns: Int
  let window: Int
  let lags: Int
  let threshold: Double
  let seed: UInt32
  let steps: [Int]
  let curves: [Curve]
  let clipping: Clipping
  let weightHh: [Recurrence]

  init(_ flow: GradientFlow) {
    func finite(_ values: [Double]) -> [Double?] { values.map { $0.isFinite ? $0 : nil } }
    let settings = flow.settings
    (tokens, unknown, steps) = (flow.tokens, flow.unknown, flow.steps)
    (columns, window, lags) = (settings.columns, settings.window, settings.lags)
    (threshold, seed) = (settings.threshold, settings.seed)
    curves = flow.curves.map { curve in
      Curve(
        layer: curve.layer, state: curve.quantity.rawValue, positions: curve.positions,
        median: finite(curve.medians), lowerQuartile: finite(curve.lowerQuartiles),
        upperQuartile: finite(curve.upperQuartiles), decayRate: curve.decay?.rate,
        fittedLags: curve.decay.map { [$0.lags.lowerBound, $0.lags.upperBound] },
        halfLife: curve.decay.flatMap { $0.halfLife.isFinite ? $0.halfLife : nil },
        horizon: curve.horizon)
    }
    clipping = Clipping(
      limit: flow.clipping.limit, windows: flow.clipping.windows,
      norms: finite(flow.clipping.norms), clipped: flow.clipping.clipped,
      share: flow.clipping.share)
    weightHh = flow.recurrences.map {
      Recurrence(
        layer: $0.layer, gate: $0.gate, spectralRadius: $0.spectrum.spectralRadius,
        largestSingularValue: $0.spectrum.largestSingularValue)
    }
  }
}
