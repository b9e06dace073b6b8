// `unroll validate` as its users see it: what is reported, in which form, and with which exit code.

import Foundation
import TestSupport
import Testing
import UnrollTensors
import UnrollTokenization

@testable import UnrollFormat

@Suite("Validation reports (validate)") struct ValidateTests {
  private let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  /// Writes `a.h5` with a note (C003), warnings (S002, V003) and an error (I001), `b.h5` with the
  /// note alone and `c.h5` with nothing, and runs a closure in their folder.
  ///
  /// Names and tokens hold what could break a form of the report.
  private func withFiles(_ body: (String) throws -> Void) throws {
    try withTemporaryFolder { folder in
      var checkpoint = Checkpoint.small()
      try checkpoint.write(to: "\(folder)/c.h5", replacing: false)
      let good = try Data(contentsOf: URL(filePath: "\(folder)/c.h5"))
      try (good + [0, 0]).write(to: URL(filePath: "\(folder)/b.h5"))
      var tokens = (0..<checkpoint.vocabulary.count).map { Array(checkpoint.vocabulary[$0]) }
      tokens[0] = Array(
        "]]><&\"'\u{1b}[2J\u{9b}\u{202e}\u{fffe}\n\(String(repeating: "long", count: 7500))".utf8)
      tokens[1] = tokens[0]
      checkpoint.vocabulary = Vocabulary(tokens: tokens, unit: .word)
      checkpoint.vocabulary.unknownID = 10
      var outline = checkpoint.outline()
      outline.addDataset("/<notes> & \"more\"", Tensor([Float](repeating: 1, count: 3), shape: [3]))
      outline.seal()
      try outline.write(to: "\(folder)/a.h5", replacing: false)
      var bytes = try Data(contentsOf: URL(filePath: "\(folder)/a.h5"))
      let extent = try #require(try place(of: "/model/output/bias", in: "\(folder)/a.h5"))
      bytes[extent.lowerBound] ^= 1
      try (bytes + [0, 0, 0]).write(to: URL(filePath: "\(folder)/a.h5"))
      try body(folder)
    }
  }

  private func place(of object: String, in path: String) throws -> Range<Int>? {
    try Examination(of: path, upTo: .header).extent(of: object)
  }

  private func validate(
    _ arguments: String..., in folder: String, exit code: Int = 0,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> CommandResult {
    let result = try runner.run(["validate"] + arguments, in: folder)
    #expect(result.exitCode == code, "\(result.errors)", sourceLocation: sourceLocation)
    return result
  }

  /// The lines with the verdicts on files, and the summary.
  private func verdicts(_ result: CommandResult) -> [Substring] {
    result.output.split(separator: "\n").filter { $0.contains(/(valid, |files: )/) }
  }

  private func expect(
    _ lines: [Substring], of arguments: String..., in folder: String, exit code: Int = 0,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let result = try runner.run(["validate"] + arguments, in: folder)
    #expect(result.exitCode == code, "\(result.errors)", sourceLocation: sourceLocation)
    #expect(verdicts(result) == lines, sourceLocation: sourceLocation)
  }

  private func write(_ text: String, _ name: String, in folder: String) throws {
    try Data(text.utf8).write(to: URL(filePath: "\(folder)/\(name)"))
  }

  // MARK: - Repairs

  @Test("--fix writes a repaired copy, reports the repair and keeps the input")
  func repairedCopy() throws {
    try withFiles { folder in
      let before = try Data(contentsOf: URL(filePath: "\(folder)/b.h5"))
      let result = try validate("b.h5", "--fix", "d.h5", in: folder)
      #expect(result.output == "d.h5: valid, no findings\n")
      #expect(
        result.errors == "fixed: /: C003: the content is written again as it is\nwrote d.h5\n")
      #expect(try Data(contentsOf: URL(filePath: "\(folder)/b.h5")) == before)
      // The copy is refused where there is a file, and another name gives the same bytes.
      let refused = try validate("b.h5", "--fix", "d.h5", in: folder, exit: 2)
      #expect(refused.errors.contains("d.h5") && refused.errors.contains("--force"))
      let json = try validate("b.h5", "--fix", "e.h5", "--json", in: folder)
      let report = try object(Data(json.output.utf8))
      let file = try #require((report["files"] as? [[String: Any]])?.first)
      #expect(file["file"] as? String == "e.h5" && file["valid"] as? Bool == true)
      #expect((file["fixed"] as? [[String: Any]])?.map { $0["rule"] as? String } == ["C003"])
      let copies = try ["d.h5", "e.h5"].map {
        try Data(contentsOf: URL(filePath: "\(folder)/\($0)"))
      }
      #expect(copies[0] == copies[1])
    }
  }

  @Test("--fix writes no copy if nothing can be repaired, and takes one file")
  func unrepairableFiles() throws {
    try withFiles { folder in
      let damaged = try validate("a.h5", "--fix", "d.h5", in: folder, exit: 1)
      #expect(
        damaged.errors
          == "note: d.h5: not written: what breaks I001 does not follow from the rest\n")
      #expect(damaged.output.contains("error I001") && damaged.output.contains("a.h5: invalid"))
      let valid = try validate("c.h5", "--fix", "d.h5", in: folder)
      #expect(
        valid.errors == "note: d.h5: not written, since there is nothing that --fix repairs\n")
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/d.h5"))
      for arguments in [["b.h5", "c.h5"], ["."]] {
        let result = try runner.run(["validate"] + arguments + ["--fix", "d.h5"], in: folder)
        #expect(result.exitCode == 64 && result.errors.contains("--fix repairs one file"))
      }
      let onto = try validate("b.h5", "--fix", "b.h5", "--force", in: folder, exit: 2)
      #expect(onto.errors.contains("it is the input b.h5"))
    }
  }

  // MARK: - Forms

  @Test(
    "The report equals the snapshot in each format and holds no control characters",
    arguments: ["text", "json", "sarif", "junit", "github"])
  func snapshots(_ form: String) throws {
    try withFiles { folder in
      try write(
        #"{"suppressions": [{"rule": "S002", "object": "/<*", "reason": "ours <&\">"}]}"#,
        "accept.json", in: folder)
      let result = try validate(
        "a.h5", "none.h5", "c.h5", "--config", "accept.json", "--format", form,
        // The cases of JUnit are all rules of the report: few, so that new rules do not come here.
        "--select", "C003,S002,V003,I001", in: folder, exit: 2)
      #expect(result.errors == "unroll: none.h5: cannot open: no such file or directory\n")
      // Nothing that steers a terminal, whatever the file holds.
      #expect(
        result.output.unicodeScalars.allSatisfy {
          $0 == "\n" || ![.control, .format].contains($0.properties.generalCategory)
        })
      let text = result.output.replacing(
        String(repeating: "long", count: 7500), with: "[7500 long]")
      expectSnapshot(text, "Tests/Snapshots/validate.\(form).txt")
    }
  }

  @Test("A long token is cut in text, SARIF and JUnit and whole in JSON")
  func longTokens() throws {
    try withFiles { folder in
      let text = try validate("a.h5", in: folder, exit: 1)
      #expect(text.output.utf8.count < 3000 && text.output.contains("more)"))
      let json = try validate("a.h5", "--json", in: folder, exit: 1)
      #expect(json.output.contains(String(repeating: "long", count: 7500)))
      for form in ["sarif", "junit"] {
        let result = try validate("a.h5", "--format", form, in: folder, exit: 1)
        #expect(!result.output.contains(String(repeating: "long", count: 100)))
      }
    }
  }

  /// `scripts/check/findings` holds all of the form against the schema; this, its keys.
  @Test("JSON reports have exactly the keys of the schema")
  func schemaKeys() throws {
    let schema = try object(
      Data(contentsOf: Fixtures.root.appending(path: "spec/findings.schema.json")))
    let definitions = try #require(schema["$defs"] as? [String: [String: Any]])
    func keys(_ schema: Any?) -> Set<String> {
      Set(((schema as? [String: Any])?["properties"] as? [String: Any] ?? [:]).keys)
    }
    func found(_ value: Any?) -> Set<String> { Set((value as? [String: Any] ?? [:]).keys) }
    try withFiles { folder in
      try write(
        #"{"suppressions": [{"rule": "C003", "reason": "known"}]}"#, "accept.json", in: folder)
      let result = try validate(
        "a.h5", "--config", "accept.json", "--json", in: folder, exit: 1)
      let report = try object(Data(result.output.utf8))
      let file = try #require((report["files"] as? [[String: Any]])?.first)
      #expect(found(report) == keys(schema))
      #expect(found(file) == keys(definitions["file"]))
      #expect(found((file["findings"] as? [Any])?.first) == keys(definitions["finding"]))
      #expect(found((file["suppressed"] as? [Any])?.first) == keys(definitions["suppressed"]))
      let good = try validate("c.h5", "--json", in: folder)
      let files = try object(Data(good.output.utf8))["files"] as? [[String: Any]]
      #expect(files?.first?["unchecked"] as? [String] == [])
    }
  }

  private func object(_ data: Data) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
  }

  @Test("SARIF gives the byte range of a dataset and escapes paths")
  func sarifBytesAndPaths() throws {
    try withFiles { folder in
      let name = "ü a#1%.h5"
      try FileManager.default.moveItem(atPath: "\(folder)/a.h5", toPath: "\(folder)/\(name)")
      let result = try validate(
        name, "--select", "I001", "--format", "sarif", in: folder, exit: 1)
      #expect(result.output.contains("\"uri\" : \"%C3%BC%20a%231%25.h5\""))
      let extent = try #require(try place(of: "/model/output/bias", in: "\(folder)/\(name)"))
      #expect(result.output.contains("\"byteOffset\" : \(extent.lowerBound)"))
      #expect(result.output.contains("\"byteLength\" : \(extent.count)"))
      #expect(result.output.contains("\"ruleAndObject/v1\" : \"I001 /model/output/bias\""))
      let whole = try validate(
        "\(folder)/\(name)", "--format", "sarif", in: "/", exit: 1)
      #expect(whole.output.contains("\"uri\" : \"file:///"))
    }
  }

  @Test("SARIF results have a line and fingerprints that no two share")
  func sarifFingerprints() throws {
    try withFiles { folder in
      let result = try runner.run(
        ["validate", "a.h5", "b.h5", "c.h5", Fixtures.path("hostile"), "--format", "sarif"],
        in: folder)
      let log = try object(Data(result.output.utf8))
      let run = try #require((log["runs"] as? [[String: Any]])?.first)
      let results = try #require(run["results"] as? [[String: Any]])
      #expect(results.count > 10)
      var fingerprints: Set<String> = []
      for result in results {
        let location = try #require((result["locations"] as? [[String: Any]])?.first)
        let place = try #require(location["physicalLocation"] as? [String: Any])
        #expect((place["region"] as? [String: Any])?["startLine"] as? Int == 1)
        let prints = try #require(result["partialFingerprints"] as? [String: String])
        fingerprints.insert(try #require(prints["primaryLocationLineHash"]))
      }
      #expect(fingerprints.count == results.count)
      let again = try runner.run(
        ["validate", "a.h5", "b.h5", "c.h5", Fixtures.path("hostile"), "--format", "sarif"],
        in: folder)
      #expect(again.output == result.output)
    }
  }

  @Test("Workflow commands have one line each and escape what would end them")
  func workflowCommands() throws {
    try withFiles { folder in
      let name = "x,y:100%.h5"
      try FileManager.default.moveItem(atPath: "\(folder)/a.h5", toPath: "\(folder)/\(name)")
      let result = try validate(
        name, "none.h5", "--select", "I001,S002", "--format", "github", in: folder, exit: 2)
      let lines = result.output.split(separator: "\n")
      #expect(lines.count >= 3, "\(result.output)")
      for line in lines.dropLast() {
        #expect(
          line.wholeMatch(
            of:
              #/::(error|warning|notice) file=x%2Cy%3A100%25\.h5,line=1,title=[^:,]+::.*%0Afix: .*/#
          ) != nil, "\(line)")
      }
      #expect(
        lines.last?.hasPrefix("::error file=none.h5,line=1,title=unreadable::none.h5: ") == true)
    }
  }

  @Test("A configuration raises a warning to an error, and the run fails")
  func raisedLevels() throws {
    try withFiles { folder in
      let plain = try validate("b.h5", in: folder)
      #expect(plain.output.contains("note C003") && plain.output.contains("b.h5: valid, 1 note"))
      for (level, code) in [("error", 1), ("warning", 0)] {
        try write(#"{"levels": {"C003": "\#(level)"}}"#, "raised.json", in: folder)
        let raised = try validate("b.h5", "--config", "raised.json", in: folder, exit: Int(code))
        // A file that breaks no rule of level error stays valid: it can be read.
        #expect(raised.output.contains("\(level) C003"), "\(raised.output)")
        #expect(raised.output.contains("b.h5: valid, 1 \(level)"), "\(raised.output)")
      }
    }
  }

  @Test("JUnit marks a rule that was not checked as skipped")
  func skippedRules() throws {
    let result = try runner.run(
      ["validate", Fixtures.path("hostile/external-link.h5"), "--format", "junit"])
    #expect(result.exitCode == 1)
    #expect(result.output.contains(#/name="X001: [^>]*[^/]>\n *<failure type="error"/#))
    #expect(result.output.contains(#/name="V001: [^>]*[^/]>\n *<skipped /#))
    #expect(result.output.contains(#/name="C001: [^>]*"/>/#))
  }

  // MARK: - What is reported

  @Test("--select, --ignore and --level choose the findings, and the rest is counted")
  func selectedRules() throws {
    try withFiles { folder in
      try expect(["a.h5: invalid, 1 error, 2 warnings, 1 note"], of: "a.h5", in: folder, exit: 1)
      try expect(
        ["a.h5: invalid, 2 warnings; left out: 2 ignored"], of: "a.h5", "--select", "v,S",
        in: folder)
      try expect(
        ["a.h5: invalid, 1 warning; left out: 3 ignored"], of: "a.h5", "--ignore", "I001, C",
        "--ignore", "v003", in: folder)
      try expect(
        ["a.h5: invalid, 1 warning; left out: 3 ignored"], of: "a.h5", "--select", "V003",
        "--ignore", "V", in: folder)
      try expect(
        ["a.h5: invalid, 2 warnings; left out: 2 ignored"], of: "a.h5", "--level", "warning",
        "--ignore", "I", in: folder)
    }
  }

  @Test("An error that prevents the selected rules from being checked is reported")
  func hiddenRules() throws {
    let file = Fixtures.path("hostile/external-link.h5")
    let selected = try runner.run(["validate", file, "--select", "V"])
    #expect(selected.exitCode == 1 && CommandResult.rules(in: selected.output) == ["X001"])
    let before = try runner.run(["validate", file, "--select", "C"])
    #expect(before.exitCode == 0 && CommandResult.rules(in: before.output) == [])
    let ignored = try runner.run(["validate", file, "--ignore", "X001"])
    #expect(ignored.exitCode == 0)
    #expect(ignored.output == "\(file): invalid, no findings; left out: 1 ignored\n")
    // The file stays as closed as it was.
    #expect(try runner.run(["inspect", file]).exitCode == 2)
  }

  @Test("--strict fails on warnings, but not on notes")
  func strictWarnings() throws {
    try withFiles { folder in
      _ = try validate("a.h5", "--select", "S002", in: folder)
      _ = try validate("a.h5", "--select", "S002", "--strict", in: folder, exit: 1)
      _ = try validate("b.h5", "--strict", in: folder)
    }
  }

  @Test("--max-findings shows the worst findings and counts the others")
  func worstFindings() throws {
    try withFiles { folder in
      let result = try validate("a.h5", "--max-findings", "1", in: folder, exit: 1)
      #expect(CommandResult.rules(in: result.output) == ["I001"])
      #expect(
        result.output.hasSuffix(
          "\n... and 3 more\na.h5: invalid, 1 error, 2 warnings, 1 note\n"))
      let none = try validate("a.h5", "--max-findings", "0", in: folder, exit: 1)
      #expect(
        none.output == "... and 4 more\na.h5: invalid, 1 error, 2 warnings, 1 note\n")
    }
  }

  @Test("A baseline leaves out its known findings, and only those")
  func baselines() throws {
    try withFiles { folder in
      let written = try validate("b.h5", "--write-baseline", "known.json", in: folder)
      #expect(written.errors == "wrote known.json: 1 known finding\n")
      try expect(
        ["b.h5: valid, no findings; left out: 1 known"], of: "b.h5", "--baseline", "known.json",
        in: folder)
      // The same finding of another file is new.
      try expect(
        ["a.h5: invalid, 1 error, 2 warnings, 1 note"], of: "a.h5", "--baseline", "known.json",
        in: folder, exit: 1)
      let refused = try validate("a.h5", "--write-baseline", "known.json", in: folder, exit: 2)
      #expect(refused.errors.contains("file exists") && refused.output == "")
      _ = try validate(
        "a.h5", "--baseline", "known.json", "--write-baseline", "known.json", "--force", in: folder)
      try expect(
        [
          "a.h5: invalid, no findings; left out: 4 known",
          "b.h5: valid, no findings; left out: 1 known",
          "2 files: 1 valid, 1 invalid; no findings; left out: 5 known",
        ], of: "a.h5", "b.h5", "--baseline", "known.json", in: folder)
      let input = try validate("a.h5", "--write-baseline", "a.h5", "--force", in: folder, exit: 2)
      #expect(input.errors.contains("it is the input"))
      try write(#"{"version": 2, "findings": []}"#, "known.json", in: folder)
      let newer = try validate("a.h5", "--baseline", "known.json", in: folder, exit: 2)
      #expect(newer.errors.contains("known.json: version: expected 1; found 2"))
    }
  }

  @Test(".unroll.json or --config chooses the findings, and options override it")
  func configurations() throws {
    try withFiles { folder in
      try write(
        """
        {"ignore": ["I"], "level": "warning", "strict": true, "levels": {"S002": "note"},
         "suppressions": [{"rule": "V003", "object": "/vocabulary/*", "file": "a*", "reason": "x"}]}
        """, ".unroll.json", in: folder)
      let found = try validate("a.h5", in: folder)
      #expect(found.errors == "note: findings are chosen as .unroll.json says\n")
      #expect(
        verdicts(found) == ["a.h5: invalid, no findings; left out: 3 ignored, 1 suppressed"])
      try write(#"{"levels": {"S002": "note"}}"#, "other.json", in: folder)
      let named = try validate("a.h5", "--config", "other.json", "--strict", in: folder, exit: 1)
      #expect(named.errors == "")
      #expect(verdicts(named) == ["a.h5: invalid, 1 error, 1 warning, 2 notes"])
      // An option goes before the configuration.
      try expect(
        ["a.h5: invalid, 2 notes; left out: 1 ignored, 1 suppressed"], of: "a.h5", "--level",
        "note", in: folder)
    }
  }

  @Test(
    "A wrong configuration is refused by the location in it",
    arguments: [
      (
        #"{"selekt": []}"#,
        "expected only select, ignore, level, strict, levels, suppressions; found selekt"
      ),
      (
        #"{"select": ["V", "Z"]}"#,
        "select[1]: expected the id of a rule or its first letter; found Z"
      ),
      (#"{"level": "loud"}"#, "level: expected note, warning or error; found loud"),
      (#"{"levels": {"V001": "note"}}"#, "found note for V001, which is error"),
      (#"{"levels": {"V999": "note"}}"#, "levels: expected ids of rules; found V999"),
      (
        #"{"suppressions": [{"rule": "V003"}]}"#,
        "suppressions[0].reason: expected a value; found nothing"
      ),
      (
        #"{"suppressions": [{"rule": "V003", "reason": " "}]}"#,
        "suppressions[0].reason: expected why"
      ),
      (
        #"{"suppressions": [{"rule": "V", "reason": "x"}]}"#,
        "suppressions[0].rule: expected the id of a rule"
      ),
      (#"{"suppressions": [{"rule": "V003", "reason": "x", "path": "/"}]}"#, "found path"),
      (#"{"strict": "yes"}"#, "strict: "),
      (#"{"strict": true, "level": "error"}"#, "--strict is about warnings"),
      ("[1", "conf.json: "),
    ])
  func wrongConfigurations(_ text: String, _ message: String) throws {
    try withTemporaryFolder { folder in
      try write(text, "conf.json", in: folder)
      let result = try validate("a.h5", "--config", "conf.json", in: folder, exit: 64)
      #expect(result.errors.contains(message), "\(result.errors)")
    }
  }

  @Test(
    "Wrong usage of validate has exit code 64",
    arguments: [
      ["--select", "Z"], ["--select", "V002,V9"], ["--ignore", ""], ["--level", "loud"],
      ["--format", "xml"], ["--json", "--format", "sarif"], ["--max-findings", "-1"], ["--force"],
      ["--strict", "--level", "error"],
    ])
  func wrongUsage(_ options: [String]) throws {
    #expect(try runner.run(["validate", "a.h5"] + options).exitCode == 64)
  }

  // MARK: - Folders

  @Test("Folders are examined in order, and symbolic links inside are not followed")
  func folders() throws {
    try withFiles { folder in
      let files = FileManager.default
      for name in ["m/z", "m/b", "none"] {
        try files.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
      }
      for name in ["m/z.H5", "m/b/x.hdf5", "m/a.h5", "m/b/.x.h5.17.partial", "m/model.pt"] {
        try files.copyItem(atPath: "\(folder)/c.h5", toPath: "\(folder)/\(name)")
      }
      try files.createSymbolicLink(atPath: "\(folder)/m/z/loop", withDestinationPath: "..")
      try files.createSymbolicLink(atPath: "\(folder)/link", withDestinationPath: "m")
      let walked = try validate("m", "none", in: folder, exit: 2)
      #expect(
        walked.output == """
          m/a.h5: valid, no findings
          m/b/x.hdf5: valid, no findings
          m/z.H5: valid, no findings
          4 files: 3 valid, 1 could not be read; no findings

          """)
      #expect(
        walked.errors == """
          note: m: 2 files of other kinds not examined: 1 .partial, 1 .pt
          unroll: none: cannot find *.h5 or *.hdf5 in this folder: no such file or directory

          """)
      // A named file is examined, whatever its name, and a named link is followed.
      let named = try verdicts(validate("m/model.pt", "link/", in: folder))
      #expect(
        named.map { $0.prefix { $0 != ":" } } == [
          "m/model.pt", "link/a.h5", "link/b/x.hdf5", "link/z.H5", "4 files",
        ])
      let empty = try validate("none", in: folder, exit: 2)
      #expect(
        empty.output.contains("1 could not be read") && empty.errors.contains("none: cannot find"))
    }
  }

  @Test("The exit code is that of the worst file")
  func exitCodes() throws {
    try withFiles { folder in
      _ = try validate("c.h5", "b.h5", in: folder)
      _ = try validate("c.h5", "a.h5", "b.h5", in: folder, exit: 1)
      let result = try validate("none.h5", "a.h5", "c.h5", in: folder, exit: 2)
      #expect(
        verdicts(result).last
          == "3 files: 1 valid, 1 invalid, 1 could not be read; 1 error, 2 warnings, 1 note")
    }
  }

  // MARK: - The catalogue

  @Test("explain --json lists every rule with its fields")
  func jsonCatalogue() throws {
    let all = try object(Data(runner.run(["explain", "--all", "--json"]).output.utf8))
    let rules = try #require(all["rules"] as? [[String: String]])
    #expect(rules.map { $0["id"] } == Rule.all.map(\.id))
    let one = try object(Data(runner.run(["explain", "v002", "--json"]).output.utf8))
    let rule = try #require((one["rules"] as? [[String: String]])?.first)
    #expect(Set(rule.keys) == ["id", "level", "cost", "what", "why", "example", "fix"])
    #expect(try rules.contains(#require(rule as [String: String]?)))
  }
}
