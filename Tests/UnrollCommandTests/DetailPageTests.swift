// The page of `evaluate --details --baseline`.

import Foundation
import TestSupport
import Testing

@Suite("The page of evaluate --details --baseline") struct DetailPageTests {
  private let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  /// Evaluates a model beside another, and returns the page and the result of `--json`.
  private func evaluate() throws -> (page: String, json: NSDictionary) {
    try withTemporaryFolder { folder in
      for name in ["lstm", "gru"] {
        let result = try runner.run(
          [
            "convert", Fixtures.path("scoring/\(name).pt"), "--vocabulary",
            Fixtures.path("scoring/tokens.tsv"), "-o", "\(name).h5",
          ], in: folder)
        #expect(result.exitCode == 0, "\(result.errors)")
      }
      let command = [
        "evaluate", "lstm.h5", Fixtures.path("scoring/text.txt"), "--protocol", "sentence",
        "--details", "--baseline", "gru.h5", "--json",
      ]
      let result = try runner.run(command + ["--report", "a.html"], in: folder)
      #expect(result.exitCode == 0, "\(result.errors)")
      let json = try JSONSerialization.jsonObject(with: Data(result.output.utf8))
      return (
        try String(contentsOfFile: "\(folder)/a.html", encoding: .utf8),
        try #require(json as? NSDictionary)
      )
    }
  }

  private func number(_ object: Any?, _ key: String) throws -> String {
    let value = (object as? NSDictionary)?[key]
    return value is NSNull ? "–" : String(format: "%.4f", try #require(value as? Double))
  }

  @Test("It has the numbers of --json: groups, calibration with its diagonal, and the baseline")
  func numbers() throws {
    let (page, json) = try evaluate()
    let match = try #require(
      page.firstMatch(of: #/<script type="application\/json" id="result">([^<]*)<\/script>/#))
    let embedded = try #require(
      try JSONSerialization.jsonObject(with: Data(match.1.utf8)) as? NSDictionary)
    for key in ["details", "baseline"] {
      #expect(embedded[key] as? NSDictionary == json[key] as? NSDictionary)
    }
    let details = try #require(json["details"] as? NSDictionary)
    for key in ["frequency", "position", "length"] {
      let groups = try #require(details[key] as? [NSDictionary])
      #expect(groups.count > 2)
      for group in groups {
        let cells = try ["nll", "perplexity", "top1", "top5", "top10"].map {
          try number(group, $0)
        }
        let name = try #require(group["group"] as? String)
        #expect(page.contains("<tr><td>\(name)</td>"), "\(name)")
        #expect(
          page.contains(cells.map { "<td class=\"n\">\($0)</td>" }.joined()), "\(key) \(name)")
      }
    }
    for bin in try #require(details["calibration"] as? [NSDictionary]) {
      let cells = try ["confidence", "accuracy"].map { try number(bin, $0) }
      #expect(page.contains(cells.map { "<td class=\"n\">\($0)</td>" }.joined()))
    }
    #expect(page.contains("calibration error is \(try number(details, "calibration_error")):"))
    // From the lower left to the upper right corner.
    #expect(page.contains(#/<polyline class="line s1 d1" points="76,314 700,14">/#))
    let baseline = json["baseline"]
    for fact in [
      "<dd>\(try number(baseline, "nll_difference")) nats a token, model - baseline</dd>",
      "<dd>\(try number(baseline, "interval_low")) to \(try number(baseline, "interval_high")), by paired bootstrap",
      "<dd>\(try number(baseline, "divergence")) nats a token, of the model from the baseline</dd>",
      "<dt>baseline</dt><dd>gru.h5</dd>",
    ] {
      #expect(page.contains(fact), "\(fact)")
    }
  }
}
