// The change of each tensor and gate from one model to another, on the page of `unroll diff`.

import UnrollEngine
import UnrollFormat
import UnrollReport
import UnrollTensors

/// The changes of the parameters that two models share.
struct TensorChanges {
  /// A tensor, or the rows of one of its gates.
  private struct Change {
    let path: String
    /// The gate; empty for a tensor without gates.
    let gate: String
    let norms: (first: Double, second: Double)
    /// The norm of the difference.
    let distance: Double

    /// The norm of the difference over that of the first; `nil` if it is not finite.
    var relative: Double? {
      guard distance > 0 else { return 0 }
      let ratio = distance / norms.first
      return ratio.isFinite ? ratio : nil
    }
  }

  /// The spectra of the recurrent weights of a gate.
  private struct Spectrum {
    let layer: Int
    let gate: String
    let radii: (Double, Double)
    let singularValues: (Double, Double)
  }

  private let changes: [[Change]]
  private let spectra: [Spectrum]

  /// The largest hidden size of recurrent weights whose spectra are computed.
  private static let spectrumLimit = 1024
  /// The lower bounds of the colors but the first.
  private static let levels = [1e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1]

  /// Compares the parameters of the same path and shape.
  ///
  /// - Parameters:
  ///   - first: One model with its weights.
  ///   - second: The other.
  /// - Throws: `NeuralError` if memory is short.
  init(_ first: Checkpoint, _ second: Checkpoint) throws {
    changes = first.architecture.parameters.compactMap { path, _ in
      guard let a = first.parameters[path], let b = second.parameters[path], a.shape == b.shape,
        let numbers = a.floats(), let others = b.floats()
      else { return nil }
      return Self.blocks(of: path, first.architecture).map { gate, share in
        Self.change(path, gate, numbers, others, share)
      }
    }
    spectra = try Self.spectra(first, second)
  }

  /// Returns the gates whose rows a tensor has one below the other, with their shares of it.
  private static func blocks(
    of path: ParameterPath, _ architecture: Architecture
  ) -> [(gate: String, share: Range<Double>)] {
    let parts = path.description.split(separator: "/")
    guard parts.count == 4, parts[1] == "layers", let layer = Int(parts[2]),
      architecture.layers.indices.contains(layer), parts[3] != "weight_hr"
    else { return [("", 0..<1)] }
    let gates = architecture.layers[layer].cell.facts.gates
    guard gates.count > 1 else { return [("", 0..<1)] }
    return gates.enumerated().map { index, gate in
      (gate, Double(index) / Double(gates.count)..<Double(index + 1) / Double(gates.count))
    }
  }

  private static func change(
    _ path: ParameterPath, _ gate: String, _ a: [Float], _ b: [Float], _ share: Range<Double>
  ) -> Change {
    let range =
      Int(
        (share.lowerBound * Double(a.count)).rounded())..<Int(
        (share.upperBound * Double(a.count)).rounded())
    var (squares, others, differences) = (0.0, 0.0, 0.0)
    for index in range {
      let (x, y) = (Double(a[index]), Double(b[index]))
      squares += x * x
      others += y * y
      differences += (x - y) * (x - y)
    }
    return Change(
      path: path.description, gate: gate, norms: (squares.squareRoot(), others.squareRoot()),
      distance: differences.squareRoot())
  }

  private static func spectra(_ first: Checkpoint, _ second: Checkpoint) throws -> [Spectrum] {
    let layers = (first.architecture.layers, second.architecture.layers)
    guard layers.0.map(\.cell) == layers.1.map(\.cell),
      (layers.0 + layers.1).allSatisfy({ $0.hiddenSize <= spectrumLimit }),
      [first, second].allSatisfy(\.hasFiniteRecurrences)
    else { return [] }
    let found = try [first, second].map {
      try GradientFlow.recurrences(of: $0, eigenvaluesUpTo: 0) { _ in }
    }
    return zip(found[0], found[1]).map { a, b in
      Spectrum(
        layer: a.layer, gate: a.gate,
        radii: (a.spectrum.spectralRadius, b.spectrum.spectralRadius),
        singularValues: (a.spectrum.largestSingularValue, b.spectrum.largestSingularValue))
    }
  }

  // MARK: Page

  /// The sections; none without tensors of the same shape.
  ///
  /// - Returns: The sections.
  /// - Throws: `FileError` if a temporary file cannot be written.
  func sections() throws -> [Document.Section] {
    guard !changes.isEmpty else { return [] }
    return [
      Document.Section(
        "Changes by gate",
        [
          .paragraph(
            "The color is the relative change: the norm of the difference over the norm of the first model's numbers. A "
              + "tensor of a layer is split into the rows of its gates.")
        ] + [.heatMap(try map()), .table(table)])
    ] + spectrumSections
  }

  private func map() throws -> HeatMap {
    let bounds = Self.levels.map { String(printf: "%.3g", $0) }
    let inner = zip(bounds, bounds.dropFirst()).map { "\($0) to \($1)" }
    var map = HeatMap(
      title: "Relative change of each tensor",
      legend: ["below \(bounds[0])"] + inner + ["\(bounds[bounds.count - 1]) or more"],
      missing: "no number", isSpaced: true, isBordered: true)
    for (index, row) in changes.enumerated() {
      let cells = row.map { change in
        let name = [Self.shortened(change.path), change.gate].filter { !$0.isEmpty }
        let short =
          change.gate.isEmpty || change.gate == row[0].gate
          ? name.joined(separator: " ") : change.gate
        let relative = Self.text(change.relative)
        return HeatMap.Cell(
          text: "\(short) \(relative)",
          level: change.relative.map { value in Self.levels.count { $0 <= value } },
          detail: "\(name.joined(separator: ", gate ")): relative change \(relative); norms "
            + "\(Self.text(change.norms.first)) and \(Self.text(change.norms.second))")
      }
      try map.append(line: index + 1, cells)
    }
    return map
  }

  private static func shortened(_ path: String) -> String {
    path.hasPrefix("/model/") ? String(path.dropFirst(7)) : path
  }

  private static func text(_ number: Double?) -> String {
    number.map { $0.isFinite ? String(printf: "%.3g", $0) : "not finite" } ?? "no number"
  }

  private var table: Table {
    Table(
      "Norms of tensors and gates; a norm is the root of the sum of squares",
      [
        .text("path"), .text("gate"), .number("first"), .number("second"),
        .number("of the difference"), .number("relative change"),
      ],
      changes.joined().map { change in
        [
          change.path, change.gate.isEmpty ? "–" : change.gate, Self.text(change.norms.first),
          Self.text(change.norms.second), Self.text(change.distance), Self.text(change.relative),
        ]
      })
  }

  private var spectrumSections: [Document.Section] {
    guard !spectra.isEmpty else { return [] }
    let names = spectra.map { "layer \($0.layer), gate \($0.gate)" }
    let last = Double(names.count - 1)
    func points(_ value: (Spectrum) -> Double) -> [Figure.Point] {
      spectra.enumerated().map { Figure.Point(x: value($1), y: last - Double($0)) }
    }
    let series = [
      Figure.Series(name: "first model", points: points(\.radii.0), style: .points),
      Figure.Series(name: "second model", points: points(\.radii.1), style: .points),
    ]
    let largest = series.flatMap(\.points).map(\.x).max() ?? 1
    let figure = Figure(
      title: "Spectral radius of weight_hh in both models",
      summary:
        "The largest absolute value of an eigenvalue for \(counted(names.count, "gate")), up to "
        + String(printf: "%.4g.", largest),
      x: Figure.Axis(
        label: "largest absolute value of an eigenvalue", range: 0...(max(1, largest) * 1.05)),
      y: Figure.Axis(label: "", range: -0.6...(last + 0.6), names: names.reversed()),
      series: series, marks: [.x(1, "1: states neither grow nor fade")])
    let table = Table(
      "weight_hh of each gate: spectral radius, and largest singular value",
      [
        .text("gate"), .number("radius, first"), .number("second"),
        .number("singular value, first"), .number("second"),
      ],
      zip(names, spectra).map { name, spectrum in
        [name]
          + [
            spectrum.radii.0, spectrum.radii.1, spectrum.singularValues.0,
            spectrum.singularValues.1,
          ].map { Document.number($0) }
      })
    return [
      Document.Section(
        "Recurrent weights",
        [
          .paragraph(
            "A spectral radius is the growth of a state that passes the weights of a gate again and again; the largest "
              + "singular value is the most that one step can stretch it."), .figure(figure),
          .table(table),
        ])
    ]
  }
}

extension Checkpoint {
  /// `true` if all recurrent weights are finite numbers.
  fileprivate var hasFiniteRecurrences: Bool {
    architecture.layers.indices.allSatisfy { layer in
      [LayerParameter.weightHH, .weightHR].allSatisfy { name in
        parameters[.layer(layer, name)]?.floats()?.allSatisfy(\.isFinite) ?? true
      }
    }
  }
}
