// `unroll card`: front matter and page of a model hub.

import Foundation
import TestSupport
import Testing
import UnrollFormat

@Suite("Model cards (card)") struct CardTests {
  private let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  @Test("A model card has the Hub's front matter, the structure and the weights digest")
  func card() throws {
    try withTemporaryFolder { folder in
      var model = Checkpoint.small()
      var card = Card()
      card.fields = [
        .title: ["Poet [1]"], .license: ["CC-BY-4.0"], .authors: ["A. Uthor"],
        .languages: ["en", "no"], .datasets: ["tiny: \"Shakespeare\""], .baseModel: ["org/base"],
      ]
      card.readme = "A model.\n"
      model.card = card
      try model.write(to: "\(folder)/poet.unroll.h5")
      let result = try runner.run(["card", "poet.unroll.h5"], in: folder)
      #expect(result.exitCode == 0 && result.errors.isEmpty, "\(result.errors)")
      #expect(
        result.output.hasPrefix(
          """
          ---
          library_name: unroll
          license: "cc-by-4.0"
          language:
          - en
          - "no"
          datasets:
          - "tiny: \\"Shakespeare\\""
          base_model: "org/base"
          pipeline_tag: text-generation
          tags:
          - unroll
          - language-model
          - lstm
          ---

          # Poet \\[1\\]

          A model.

          Authors: A. Uthor

          ## Model

          """), "\(result.output)")
      #expect(result.output.contains(model.weightsDigest))
      #expect(result.output.contains("unroll score poet.unroll.h5 sentences.txt"))
      let json = try runner.run(["card", "poet.unroll.h5", "--json"], in: folder)
      #expect(json.output.contains("\"license\" : [\n      \"CC-BY-4.0\"\n    ]"), "\(json.output)")
      let both = try runner.run(["card", "poet.unroll.h5", "--json", "-o", "x.md"], in: folder)
      #expect(both.exitCode == 64)
    }
  }

  @Test("Fields cannot break out of the front matter, and an own license is named")
  func hostileFields() throws {
    try withTemporaryFolder { folder in
      var model = Checkpoint.small()
      var card = Card()
      card.fields = [
        .license: ["LicenseRef-own"], .datasets: ["a\n---\nb", "null"], .title: ["<script>\n# x"],
      ]
      model.card = card
      try model.write(to: "\(folder)/poet.unroll.h5")
      let result = try runner.run(["card", "poet.unroll.h5", "-o", "README.md"], in: folder)
      #expect(result.exitCode == 0, "\(result.errors)")
      let text = try String(contentsOfFile: "\(folder)/README.md", encoding: .utf8)
      #expect(text.split(separator: "\n").filter { $0 == "---" }.count == 2)
      #expect(text.contains("license: other\nlicense_name: \"LicenseRef-own\""))
      #expect(text.contains("- \"a\\n---\\nb\"\n- \"null\""))
      #expect(text.contains("# \\<script\\>") && !text.contains("\n# x"))
      let again = try runner.run(["card", "poet.unroll.h5", "-o", "README.md"], in: folder)
      #expect(again.exitCode == 2 && again.errors.contains("--force"))
    }
  }

  @Test("A model with damaged weights gets no card")
  func damagedModel() throws {
    try withTemporaryFolder { folder in
      let model = Checkpoint.small()
      try model.write(to: "\(folder)/poet.unroll.h5")
      var bytes = try Data(contentsOf: URL(filePath: "\(folder)/poet.unroll.h5"))
      let weight = try #require(model.parameters[.outputWeight]).withUnsafeBytes { Data($0) }
      let place = try #require(bytes.range(of: weight))
      bytes[place.lowerBound] ^= 1
      try bytes.write(to: URL(filePath: "\(folder)/poet.unroll.h5"))
      let result = try runner.run(["card", "poet.unroll.h5", "-o", "README.md"], in: folder)
      #expect(result.exitCode == 2 && result.errors.contains("I001"), "\(result.errors)")
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/README.md"))
    }
  }

  @Test("File names with spaces or semicolons are quoted for the shell")
  func oddNames() throws {
    try withTemporaryFolder { folder in
      try Checkpoint.small().write(to: "\(folder)/a b;c.unroll.h5")
      let result = try runner.run(["card", "a b;c.unroll.h5"], in: folder)
      #expect(result.output.contains("unroll generate 'a b;c.unroll.h5'"), "\(result.output)")
      #expect(result.errors.contains("unroll edit 'a b;c.unroll.h5'"), "\(result.errors)")
    }
  }

  @Test("A model without a license gets a card and a hint how to add one")
  func withoutLicense() throws {
    try withTemporaryFolder { folder in
      try Checkpoint.small().write(to: "\(folder)/poet.unroll.h5")
      let result = try runner.run(["card", "poet.unroll.h5"], in: folder)
      #expect(
        result.exitCode == 0 && result.errors.contains("unroll edit poet.unroll.h5 --license"))
      #expect(!result.output.contains("license:"))
    }
  }
}
