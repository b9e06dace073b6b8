// Mutations for what goes along with a model, and for numbers that are lawful and wrong.

import TestSupport
import UnrollHDF5
import UnrollTensors

@testable import UnrollFormat

private let recurrence = "/model/layers/00/weight_hh"

extension Mutation {
  static let companions: [Mutation] = [
    Mutation(
      rule: "E001",
      outline: { outline in
        outline.addGroup("/extensions")
        outline.addGroup("/extensions/phonology")
      }),
    Mutation(
      rule: "M001", outline: { $0.addGroup("/card", ["license": .text("MIT OR Apache 2")]) }),
    Mutation(
      rule: "M002",
      sealed: { $0.objects["/provenance/000"]?.attributes["weights_digest"] = .text("00") }),
    Mutation(
      rule: "M005",
      outline: { $0.addGroup("/card", ["languages": .texts(["de-CH", "English", "de_DE"])]) }),
    Mutation(
      rule: "P004",
      outline: {
        $0.addDataset("/model/output/bias", Tensor([Double](repeating: 0, count: 11)))
      }),
  ]

  static let quality: [Mutation] = [
    Mutation(
      rule: "Q001",
      outline: changing(recurrence) {
        ($0[19], $0[20], $0[30]) = (.infinity, .nan, .nan)
      }),
    Mutation(
      rule: "Q002",
      outline: changing(recurrence) { numbers in
        for row in 3..<10 {
          numbers.replaceSubrange(row * 9..<(row + 1) * 9, with: repeatElement(0, count: 9))
        }
      }, hidden: [9]),
    Mutation(
      rule: "Q003",
      outline: changing(recurrence) { numbers in
        for place in 0..<2 { numbers[place] = -0x1p-140 }
      }),
    Mutation(
      rule: "Q004", outline: changing(recurrence) { $0 = $0.map { $0 * 10_000 } }),
    Mutation(
      // TensorFlow's order i, g, f, o of a model whose forget gates began at 1.
      rule: "Q006",
      outline: changing("/model/layers/00/bias_ih") { numbers in
        for place in 64..<96 { numbers[place] += 1 }
      }, hidden: [32]),
    .secondMoments,
    Mutation(
      // A rotation of pairs by 1 radian, 3 times as long: a complex pair of eigenvalues.
      rule: "Q008",
      outline: changing(recurrence) { numbers in
        numbers = (0..<400).map { place in
          let (row, column) = (place / 20, place % 20)
          guard row / 2 == column / 2 else { return 0 }
          return row == column ? 6 * 0.5403 : 6 * (row < column ? -0.8415 : 0.8415)
        }
      }, cell: .rnn, hidden: [20]),
    Mutation(rule: "Q009", outline: token("ü", becomes: "m\u{FFFD}dchen")),
    Mutation(rule: "Q010", outline: token("mat", becomes: "New York")),
    Mutation(
      rule: "Q011",
      outline: { outline in
        token("on", becomes: "für".decodedTwice)(&outline)
        token("ü", becomes: "schön".decodedTwice)(&outline)
        token("日本", becomes: "日".decodedTwice)(&outline)
      }),
  ]

  /// Changes the numbers of a tensor of f32.
  static func changing(
    _ path: String, _ change: @escaping @Sendable (inout [Float]) -> Void
  ) -> @Sendable (inout Outline) -> Void {
    { outline in
      guard case .dataset(let tensor)? = outline.objects[path]?.kind,
        var numbers = tensor.floats()
      else { return }
      change(&numbers)
      outline.addDataset(path, Tensor(numbers, shape: tensor.shape))
    }
  }

  /// Replaces a token by another text.
  static func token(
    _ old: String, becomes new: String
  ) -> @Sendable (inout Outline) -> Void {
    { outline in
      guard case .dataset(let bytes)? = outline.objects["/vocabulary/token_bytes"]?.kind,
        case .dataset(let offsets)? = outline.objects["/vocabulary/token_offsets"]?.kind
      else { return }
      let text = bytes.withUnsafeBytes { Array($0) }
      let places = offsets.withUnsafeBytes { $0.elements(of: UInt64.self) { Int($0) } }
      let tokens = zip(places, places.dropFirst()).map { first, end in
        let token = Array(text[first..<end])
        return token == Array(old.utf8) ? Array(new.utf8) : token
      }
      outline.addDataset("/vocabulary/token_bytes", Tensor(tokens.flatMap { $0 }))
      let ends = tokens.reduce(into: [UInt64(0)]) { $0.append(($0.last ?? 0) + UInt64($1.count)) }
      outline.addDataset("/vocabulary/token_offsets", Tensor(ends))
    }
  }
}

extension String {
  /// The text that its UTF-8 gives when it is read as Latin-1.
  var decodedTwice: String { String(String.UnicodeScalarView(utf8.map { Unicode.Scalar($0) })) }
}
