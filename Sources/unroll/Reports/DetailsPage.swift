// Sections of the page of `unroll evaluate`: groups of words, calibration, and the baseline.

import UnrollEngine
import UnrollReport
import UnrollTensors

extension DetailsReport {
  /// The sections with the figures by groups, and with the calibration.
  var sections: [Document.Section] {
    let source =
      frequencySource == TextDetails.FrequencySource.vocabulary.rawValue
      ? "counts of the vocabulary" : "occurrences in this text"
    return [
      Document.Section("Accuracy", accuracyBlocks),
      Document.Section("Frequency of the word", Self.blocks("frequency, \(source)", frequency)),
      Document.Section("Position in the line", Self.blocks("position in the line", position)),
      Document.Section("Length of the word", Self.blocks("length in characters", length)),
      Document.Section("Calibration", calibrationBlocks),
    ]
  }

  // MARK: Groups

  private static let topNames = ["top 1", "top 5", "top 10"]

  private var accuracyBlocks: [Document.Block] {
    let shares = [all.top1, all.top5, all.top10].map(\.value)
    let rows = zip(Self.topNames, shares).compactMap { name, share in
      share.map { (name: name, value: $0) }
    }
    let figure = Figure.bars(
      title: "Share of tokens among the likeliest 1, 5 and 10", label: "share of predictions",
      rows: rows)
    return [.paragraph("A token counts if it is one of the k likeliest tokens in its place.")]
      + (figure.map { [.figure($0)] } ?? [])
  }

  private static func blocks(_ kind: String, _ groups: [Group]) -> [Document.Block] {
    let rows = groups.compactMap { group in group.nll.value.map { (name: group.group, value: $0) } }
    let isDrawn = rows.allSatisfy { $0.value.isFinite }
    let figure = Figure.bars(
      title: "Loss by \(kind)", label: "loss, in nats a token", rows: isDrawn ? rows : [])
    let table = Table(
      "Words by \(kind)",
      [.text("group"), .number("words"), .number("predictions"), .number("nats a token")]
        + [.number("perplexity")] + topNames.map { .number($0) },
      groups.map { group in
        [group.group, Output.grouped(group.words), Output.grouped(group.predictions)]
          + [group.nll, group.perplexity, group.top1, group.top5, group.top10].map {
            Document.number($0.value)
          }
      })
    return (figure.map { [.figure($0)] } ?? []) + [.table(table)]
  }

  // MARK: Calibration

  private var calibrationBlocks: [Document.Block] {
    let table = Table(
      "Predictions by the probability of their likeliest token",
      [
        .text("probability"), .number("predictions"), .number("mean probability"),
        .number("share that is right"),
      ],
      calibration.map { bin in
        [
          String(printf: "%.1f to %.1f", bin.lower, bin.upper), Output.grouped(bin.predictions),
          Document.number(bin.confidence.value), Document.number(bin.accuracy.value),
        ]
      })
    return [
      .paragraph(
        "On the diagonal a model is right as often as it expects; below it, it is too certain. The expected "
          + "calibration error is \(Document.number(calibrationError)): the mean distance from the diagonal, each "
          + "bin weighted by its predictions."),
      .figure(calibrationFigure), .table(table),
    ]
  }

  private var calibrationFigure: Figure {
    let points = calibration.compactMap { bin in
      bin.confidence.value.flatMap { x in
        bin.accuracy.value.map { Figure.Point(x: x, y: $0) }
      }
    }
    return Figure(
      title: "Calibration of the likeliest token",
      summary: "\(counted(points.count, "bin")) of predictions beside the diagonal.",
      x: Figure.Axis(label: "predicted probability", range: 0...1),
      y: Figure.Axis(label: "observed share", range: 0...1),
      series: [
        Figure.Series(name: "bins of predictions", points: points, style: .points),
        Figure.Series(
          name: "diagonal: as often right as expected",
          points: [Figure.Point(x: 0, y: 0), Figure.Point(x: 1, y: 1)]),
      ])
  }
}

extension BaselineReport {
  /// Returns the section that compares the model with the baseline.
  ///
  /// - Parameter result: The figures of the model.
  /// - Returns: The section.
  func section(beside result: Perplexity) -> Document.Section {
    let rows = [("model", result.perplexity), ("baseline", perplexity.value ?? .infinity)]
    let isDrawn = rows.allSatisfy { $0.1.isFinite }
    let figure = Figure.bars(
      title: "Perplexity beside the baseline", label: "perplexity",
      rows: isDrawn ? rows.map { (name: $0.0, value: $0.1) } : [])
    let facts = [
      Document.Fact("baseline", printable(model)),
      Document.Fact("predictions", Output.grouped(predictions)),
      Document.Fact("nll of the baseline", Document.number(nll.value) + " nats a token"),
      Document.Fact("perplexity of the baseline", Document.number(perplexity.value)),
      Document.Fact(
        "difference", Document.number(nllDifference.value) + " nats a token, model - baseline"),
      Document.Fact("95 % interval", interval),
      Document.Fact(
        "ratio", Document.number(perplexityRatio.value) + ", perplexity of the model / baseline"),
      Document.Fact(
        "KL divergence",
        Document.number(divergence.value) + " nats a token, of the model from the baseline"),
    ]
    return Document.Section(
      "Beside the baseline", (figure.map { [.figure($0)] } ?? []) + [.facts(facts)])
  }

  private var interval: String {
    guard let low = intervalLow.value, let high = intervalHigh.value else {
      return "none: fewer than two lines, or --resamples 0"
    }
    return "\(Document.number(low)) to \(Document.number(high)), by paired bootstrap over "
      + "\(Output.grouped(lineCount)) lines, \(Output.grouped(resamples)) samples, seed \(seed)"
  }
}
