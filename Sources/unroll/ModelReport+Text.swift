// The summary of a model as text.

import Foundation
import UnrollFormat
import UnrollReport
import UnrollTensors

extension ModelReport {
  /// Returns the report as text.
  ///
  /// - Parameters:
  ///   - terminalWidth: The width of the terminal that long tokens and lines of the history are cut
  ///     to; `nil` without one.
  ///   - plots: `true` to plot the learning curve.
  /// - Returns: The lines.
  func lines(terminalWidth: Int?, plots: Bool) -> [String] {
    func fitted(_ lines: [String]) -> [String] {
      lines.map { TextLayout.fitted($0, to: terminalWidth) }
    }
    let title = TextLayout.wrapped(
      "",
      [
        "\(printable(file)): recurrent language model",
        "\(Output.grouped(parameterCount)) parameters", "\(Output.grouped(bytes)) bytes",
      ])
    let sections = [
      ("model", modelLines), ("parameters", parameterLines),

      ("vocabulary", fitted(vocabularyLines(width: terminalWidth ?? TextLayout.width))),
      ("training", training?.lines ?? []),
      ("learning curve", curveLines(terminalWidth: terminalWidth, plots: plots)),
      ("card", fitted(cardLines)), ("history", fitted(historyLines)),
      ("notes", formatVersion == nil ? noteLines : []), ("file", fileLines),
    ]
    return title
      + sections.filter { !$0.1.isEmpty }.flatMap { name, lines in ["", name] + lines }
  }

  private func curveLines(terminalWidth: Int?, plots: Bool) -> [String] {
    guard let curve = training?.curve, !curve.evaluations.isEmpty else { return [] }
    guard plots, let figure = curve.figure else { return curve.lines }
    let width = min(64, max(20, (terminalWidth ?? TextLayout.width) - 10))
    // The section has a title of its own.
    return curve.lines + figure.textLines(width: width).dropFirst()
  }

  private var modelLines: [String] {
    let first =
      input == ModelInput.oneHot.rawValue
      ? "  input       one-hot, \(vocabularySize)"
      : "  embedding   \(vocabularySize) x \(embeddingSize)"
    return [first]
      + layers.enumerated().flatMap { index, layer in
        TextLayout.wrapped("  " + "layer \(index)".rightPadded(to: 12), layer.parts)
      }
      + TextLayout.wrapped("  output      ", outputParts)
  }

  /// The output in words.
  var outputParts: [String] {
    guard !tails.isEmpty else {
      return [
        "softmax over \(vocabularySize)", tied ? "tied to the embedding" : "not tied",
        outputProjection ? "after a projection to \(embeddingSize)" : nil,
      ].compactMap { $0 }
    }
    let head = vocabularySize - tails.reduce(0) { $0 + $1.size }
    return [
      "adaptive softmax over \(vocabularySize)", "head of \(head)",
    ] + tails.map { "tail of \($0.size), after a projection to \($0.projectionSize)" }
  }

  private var parameterLines: [String] {
    let rows = parameters.map { parameter in
      [
        "  " + parameter.path, parameter.dtype,
        "[" + parameter.shape.map(String.init).joined(separator: ", ") + "]",
      ]
    }
    return TextLayout.table([], rows, textColumns: [0, 1, 2])
      + (tied ? ["  /model/output/weight is /model/embedding/weight"] : [])
  }

  private func vocabularyLines(width: Int) -> [String] {
    guard let unit, let tokenizer, let lineConvention else {
      return [
        "  \(Output.grouped(vocabularySize)) tokens, which the file does not list: a conversion needs",
        "  --vocabulary FILE, or --corpus FOLDER with the training texts",
      ]
    }
    let gap = vocabularySize > 15 ? ["..."] : []
    let sample = (firstTokens + gap + lastTokens).map(printable)
    let rows = [
      ["\(Output.grouped(vocabularySize)) tokens (\(unit))", "tokenizer \(tokenizer)"],
      [
        "end of sentence \(excerpt(endOfSentence ?? "none"))",
        "unknown words \(excerpt(unknown ?? "none"))",
      ],
    ]
    let width = min(width, TextLayout.width)
    return rows.flatMap { TextLayout.wrapped("  ", $0, width: width) } + [
      "  lines: \(lineConvention)"
    ] + TextLayout.wrapped("  ", sample, separator: " ", width: width)
  }

  private var cardLines: [String] {
    let fields = card.sorted { $0.key < $1.key }.map { name, texts in
      "  \(name.rightPadded(to: 11)) " + texts.map(printable).joined(separator: "; ")
    }
    return fields + (readmeBytes.map { ["  readme      \(Output.grouped($0)) bytes"] } ?? [])
  }

  private var historyLines: [String] {
    provenance.flatMap { step in
      ["  \(printable(step.operation)) by \(printable(step.tool))"]
        + step.arguments.map { "    \(printable($0))" }
        + step.inputs.map { "    from \(printable($0))" }
        + (step.outcome.isEmpty ? [] : ["    outcome: \(printable(step.outcome))"])
    }
  }

  /// The notes of the reader of another format.
  private var noteLines: [String] {
    guard !notes.isEmpty else { return ["  none"] }
    return notes.flatMap { note in
      let text = "\(excerpt(note.location)): \(excerpt(note.message, limit: 1000))"
      let lines = TextLayout.wrapped("    ", TextLayout.words(of: text), separator: " ")
      // A hanging indent shows where a note begins.
      return lines.enumerated().map { $0 == 0 ? String($1.dropFirst(2)) : $1 }
    }
  }

  private var fileLines: [String] {
    guard let formatVersion, let producer else { return ["  format   \(format)"] }
    return [
      "  format   \(formatVersion), written by \(printable(producer))",
      "  weights  \(weightsDigest ?? "no digest")",
      "  content  \(contentDigest ?? "no digest")",
      "  test     "
        + (selfTestTokens.map { "\($0) tokens, for `validate --replay`" } ?? "no self-test"),
    ]
  }
}
