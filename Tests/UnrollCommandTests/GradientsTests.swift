// swift-format-ignore-file: AlwaysUseLowerCamelCase
// `unroll gradients` of a model whose answer is known, from the file to the sentence.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors

@Suite("Gradient flow of a linear model (gradients)") struct GradientsTests {
  /// A plain cell whose states stay positive, so that relu is the identity, and whose `weight_hh` is r
  /// times a permutation, which changes no norm: every ratio is r to the k-th.
  private static func linear(_ r: Float) -> Checkpoint {
    let H = 4
    var checkpoint = Checkpoint.small(cell: .rnn, hidden: [H], embedding: 5, activation: .relu)
    var generator = SeededGenerator(seed: 3)
    for (path, shape) in checkpoint.architecture.parameters {
      // Small logits, so that the softmax of a growing state has a gradient.
      let values = (0..<(shape.elementCount ?? 0)).map { _ in
        path == .outputWeight ? generator.number(1e-5) : 0.1 + abs(generator.number(0.1))
      }
      checkpoint.parameters[path] = Tensor(values, shape: shape)
    }
    var weight = [Float](repeating: 0, count: H * H)
    for row in 0..<H { weight[row * H + (row + 1) % H] = r }
    checkpoint.parameters[.layer(0, .weightHH)] = Tensor(weight, shape: [H, H])
    return checkpoint
  }

  @Test(
    "The gradient flow of a linear RNN is the power of its recurrent weight",
    arguments: [
      (
        0.5, 12,
        "the gradient halves every 1.0 steps back; beyond 6 steps less than 1 % of it is left; a BPTT "
          + "length of 8 reaches further.",
        "no step back can stretch a gradient"
      ),
      (
        1, 12,
        "the gradient keeps its size; at least 1 % of it is left at lag 12; a BPTT length of 8 "
          + "cuts some of it off.",
        "at most 1.0000-fold"
      ),
      (
        1.25, 5,
        "the gradient doubles every 3.1 steps back: it explodes; at least 1 % of it is left at lag 5.",
        "at most 1.2500-fold"
      ),
    ] as [(Float, Int, String, String)])
  func linearModel(
    r: Float, lags: Int, sentence: String, bound: String
  ) throws {
    let runner = try CommandRunner()
    try withTemporaryFolder { folder in
      try Self.linear(r).write(to: "\(folder)/linear.h5")
      let text = Array(repeating: "the cat sat on a mat\nü dog\n", count: 12).joined()
      try Data(text.utf8).write(to: URL(filePath: "\(folder)/text.txt"))
      let arguments = [
        "gradients", "linear.h5", "text.txt", "--batch-size", "3", "--bptt", "8", "--lags",
        "\(lags)",
      ]
      let plain = try runner.run(arguments, in: folder)
      #expect(plain.exitCode == 0, "\(plain.errors)")
      #expect(plain.output.contains("\nlayer 0, h: \(sentence)\n"), "\(plain.output)")
      #expect(plain.output.contains(bound), "\(plain.output)")
      let json = try runner.run(arguments + ["--json"], in: folder)
      let object = try JSONSerialization.jsonObject(with: Data(json.output.utf8))
      let report = try #require(object as? [String: Any])
      let curve = try #require((report["curves"] as? [[String: Any]])?.first)
      let medians = try #require(curve["median"] as? [Double])
      #expect(medians.count == lags + 1)
      for (k, median) in medians.enumerated() {
        #expect(abs(median / pow(Double(r), Double(k)) - 1) < 1e-5)
      }
      #expect(abs(try #require(curve["decay_rate"] as? Double) - Double(r)) < 1e-5)
      let weight = try #require((report["weight_hh"] as? [[String: Any]])?.first)
      for name in ["spectral_radius", "largest_singular_value"] {
        #expect(abs(try #require(weight[name] as? Double) - Double(r)) < 1e-5)
      }
    }
  }

  @Test("--baseline draws the curves of other models in the same figure, with their fits")
  func severalModels() throws {
    let runner = try CommandRunner()
    try withTemporaryFolder { folder in
      for (name, r) in [("half", 0.5), ("one", 1), ("quarter", 0.25)] as [(String, Float)] {
        try Self.linear(r).write(to: "\(folder)/\(name).h5")
      }
      let text = Array(repeating: "the cat sat on a mat\nü dog\n", count: 12).joined()
      try Data(text.utf8).write(to: URL(filePath: "\(folder)/text.txt"))
      let arguments = ["gradients", "half.h5", "text.txt", "--batch-size", "3", "--lags", "4"]
      let plain = try runner.run(arguments, in: folder)
      let result = try runner.run(
        arguments + ["--baseline", "one.h5", "--baseline", "quarter.h5", "--report", "a.html"],
        in: folder)
      #expect(result.exitCode == 0 && result.output == plain.output, "\(result.errors)")
      let page = try String(contentsOfFile: "\(folder)/a.html", encoding: .utf8)
      for name in ["half", "one", "quarter"] {
        #expect(page.contains(">\(name).h5: layer 0, h</th>"))
        #expect(page.contains("\(name).h5: exponential decay"))
      }
      let row = try #require(
        page.firstMatch(
          of:
            #/<td class="n">2<\/td><td class="n">([\d.]+)<\/td><td class="n">([\d.]+)<\/td><td class="n">([\d.]+)</#
        ))
      for (cell, expected) in zip([row.1, row.2, row.3], [0.25, 1, 0.0625]) {
        #expect(abs((Double(cell) ?? 0) - expected) < 1e-5)
      }
      let alone = try runner.run(arguments + ["--baseline", "one.h5"], in: folder)
      #expect(alone.exitCode == 64 && alone.errors.contains("--report or --plot"))
    }
  }
}
