// Further figures of `unroll evaluate`: by groups of words, calibration, and beside another model.

import ArgumentParser
import UnrollEngine
import UnrollTensors

/// Options of `evaluate` for further figures.
struct DetailOptions: ParsableArguments {
  @Flag(
    help: "Add figures by word frequency, position and length, top-k accuracy and calibration.")
  var details = false

  @Option(
    help: ArgumentHelp(
      "Compare with another model of the same tokens, by paired bootstrap over lines.",
      valueName: "checkpoint"))
  var baseline: String?

  /// `true` if an option is given.
  var isGiven: Bool { details || baseline != nil }

  /// Refuses what the options do not go with.
  ///
  /// - Throws: `ValidationError`.
  func check(
    _ protocol: PerplexityProtocol, texts: [String], adapts: Bool, leavesOutUnknown: Bool
  ) throws {
    guard isGiven else { return }
    guard texts.count == 1, !adapts else {
      throw ValidationError(
        "--details and --baseline are for one text, without --cache and --dynamic.")
    }
    guard baseline != nil else { return }
    guard [.stream, .sentence].contains(`protocol`), !leavesOutUnknown, texts != ["-"] else {
      throw ValidationError(
        "--baseline is for a file and the protocols stream and sentence, without --unknown drop.")
    }
  }
}

/// Figures by groups, as a table and as JSON.
struct DetailsReport: Encodable {
  struct Group: Encodable {
    let group: String
    let words: Int
    let predictions: Int
    let nll: OrNull<Double>
    let perplexity: OrNull<Double>
    let top1: OrNull<Double>
    let top5: OrNull<Double>
    let top10: OrNull<Double>

    init(_ group: PredictionGroup) {
      self.group = group.name
      words = group.words
      predictions = group.predictions
      nll = OrNull(group.nll)
      perplexity = OrNull(group.perplexity.flatMap { $0.isFinite ? $0 : nil })
      let shares = group.accuracies
      top1 = OrNull(shares[0])
      top5 = OrNull(shares[1])
      top10 = OrNull(shares[2])
    }

    var cells: [String] {
      [group, Output.grouped(words), Output.grouped(predictions)]
        + [nll, perplexity].map { figure($0.value) }
        + [top1, top5, top10].map { figure($0.value, "%.4f") }
    }
  }

  struct Bin: Encodable {
    let lower: Double
    let upper: Double
    let predictions: Int
    let confidence: OrNull<Double>
    let accuracy: OrNull<Double>

    init(_ bin: CalibrationBin) {
      lower = bin.lower
      upper = bin.upper
      predictions = bin.predictions
      confidence = OrNull(bin.confidence)
      accuracy = OrNull(bin.accuracy)
    }

    var cells: [String] {
      [
        String(printf: "%.1f-%.1f", lower, upper), Output.grouped(predictions),
        figure(confidence.value), figure(accuracy.value),
      ]
    }
  }

  let all: Group
  let frequencySource: String
  let frequency: [Group]
  let position: [Group]
  let length: [Group]
  let calibration: [Bin]
  let calibrationError: Double

  init(_ details: TextDetails) {
    all = Group(details.all)
    frequencySource = details.frequencySource.rawValue
    frequency = details.byFrequency.map(Group.init)
    position = details.byPosition.map(Group.init)
    length = details.byLength.map(Group.init)
    calibration = details.calibration.map(Bin.init)
    calibrationError = details.calibrationError
  }

  /// The tables, with empty lines before each.
  var lines: [String] {
    let source =
      frequencySource == "vocabulary" ? "counts of the vocabulary" : "occurrences in this text"
    return [
      ("frequency of the word, \(source)", [all] + frequency), ("word in the line", position),
      ("characters of the word", length),
    ].flatMap { title, groups in
      ["", title]
        + TextLayout.table(
          ["group", "words", "predictions", "nll", "perplexity", "top 1", "top 5", "top 10"],
          groups.map(\.cells), textColumns: [0])
    }
      + ["", "calibration of the likeliest token"]
      + TextLayout.table(
        ["probability", "predictions", "confidence", "accuracy"], calibration.map(\.cells),
        textColumns: [0])
      + ["expected calibration error \(figure(calibrationError))"]
  }
}

/// A model beside a baseline, as a table and as JSON.
struct BaselineReport: Encodable {
  let model: String
  let predictions: Int
  let lineCount: Int
  let nll: OrNull<Double>
  let perplexity: OrNull<Double>
  let nllDifference: OrNull<Double>
  let intervalLow: OrNull<Double>
  let intervalHigh: OrNull<Double>
  let perplexityRatio: OrNull<Double>
  let divergence: OrNull<Double>
  let resamples: Int
  let seed: UInt32

  /// - Parameters:
  ///   - path: The baseline.
  ///   - difference: The difference of the model, the second one, from the baseline.
  ///   - bootstrap: The number of resamples, and the seed.
  init(_ path: String, _ difference: TextDifference, _ bootstrap: BootstrapOptions) {
    func finite(_ number: Double?) -> OrNull<Double> {
      OrNull(number.flatMap { $0.isFinite ? $0 : nil })
    }
    model = path
    predictions = difference.predictions
    lineCount = difference.lines
    nll = finite(difference.nll[0])
    perplexity = finite(difference.perplexities[0])
    nllDifference = finite(difference.nllDifference)
    let interval = difference.interval(resamples: bootstrap.resamples, seed: bootstrap.seed)
    intervalLow = finite(interval?.lowerBound)
    intervalHigh = finite(interval?.upperBound)
    perplexityRatio = finite(difference.perplexityRatio)
    divergence = finite(difference.divergence)
    resamples = bootstrap.resamples
    seed = bootstrap.seed
  }

  /// The report as text, with an empty line before it.
  var lines: [String] {
    let interval =
      intervalLow.value == nil
      ? ["interval        none: fewer than two lines, or --resamples 0"]
      : [
        "interval        \(figure(intervalLow.value)) to \(figure(intervalHigh.value)), 95 % by paired bootstrap",
        "bootstrap       \(Output.grouped(lineCount)) lines, \(Output.grouped(resamples)) samples, seed \(seed)",
      ]
    return [
      "", "baseline        " + printable(model),
      "nll             \(figure(nll.value)) nats a token",
      "perplexity      \(figure(perplexity.value))",
      "difference      \(figure(nllDifference.value)) nats a token (model - baseline)",
    ] + interval + [
      "ratio           \(figure(perplexityRatio.value)) (perplexity of the model / baseline)",
      "KL divergence   \(figure(divergence.value)) nats a token, of the model from the baseline",
    ]
  }
}

/// Returns a number of a report; `-` for none.
private func figure(_ value: Double?, _ format: String = "%.6f") -> String {
  value.map { String(printf: format, $0) } ?? "-"
}
