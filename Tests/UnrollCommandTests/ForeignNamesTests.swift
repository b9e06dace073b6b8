// Verbs and options under the names of other programs.

import Foundation
import TestSupport
import Testing

@testable import unroll

@Suite("Verbs and options of other programs") struct ForeignNamesTests {
  @Test("Verbs and options of other programs are translated to Unroll's")
  func aliases() throws {
    #expect(
      try ForeignNames.translated([
        "eval", "m.h5", "--num_threads=2", "--protocol", "a_b", "--", "--lr", "--data",
      ]) == ["evaluate", "m.h5", "--threads=2", "--protocol", "a_b", "--", "--lr", "--data"])
    #expect(
      try ForeignNames.translated(["train", "--lr", "1e-3", "--batch_size", "4", "--nhid", "7"])
        == ["train", "--learning-rate", "1e-3", "--batch-size", "4", "--hidden-size", "7"])
    #expect(
      try ForeignNames.translated(["train", "--tokenizer", "char", "--tied"])
        == ["train", "--tokenizer", "character", "--tied"])
    #expect(try ForeignNames.translated([]).isEmpty)
  }

  @Test("Unknown names of other programs get a hint and exit code 64")
  func hints() throws {
    let runner = try CommandRunner()
    for (arguments, own) in [
      (["train", "--columns", "4"], "--batch-size"), (["quantize", "m.h5"], "--precision int8"),
      (["evaluate", "--model", "m.h5"], "the model is the first argument"),
      (["train", "--data=x"], "--train TEXT, and --valid TEXT"),
      (["train", "--model", "LSTM"], "--cell"),
    ] {
      let result = try runner.run(arguments)
      #expect(result.exitCode == 64 && result.errors.contains(own))
    }
  }

  @Test("A configuration can use option names of other programs")
  func configurations() throws {
    try withTemporaryFolder { folder in
      try Data(#"{"nlayers": 1, "columns": 4}"#.utf8).write(to: URL(filePath: "\(folder)/c.json"))
      let result = try CommandRunner().run(["train", "--config", "c.json"], in: folder)
      #expect(result.exitCode == 64)
      #expect(result.errors.contains("unknown option --columns: Unroll has --batch-size"))
    }
  }

  @Test("No translated name is an option of Unroll")
  func disjointNames() throws {
    let help = try CommandRunner().run(["--experimental-dump-help"]).output
    struct Help: Decodable {
      struct Command: Decodable {
        struct Argument: Decodable {
          struct Name: Decodable {
            let kind: String
            let name: String
          }
          let names: [Name]?
        }
        let arguments: [Argument]?
        let subcommands: [Command]?
      }
      let command: Command
    }
    let command = try JSONDecoder().decode(Help.self, from: Data(help.utf8)).command
    let own = Set(
      (command.subcommands ?? []).flatMap { $0.arguments ?? [] }.flatMap { $0.names ?? [] }.map {
        ($0.kind == "long" ? "--" : "-") + $0.name
      })
    #expect(own.contains("--batch-size"))
    #expect(own.isDisjoint(with: ForeignNames.options))
  }

  @Test(
    "The help of every verb begins with an example and fits 80 columns",
    arguments: Unroll.verbs.subtracting(["help"]))
  func helpFits(verb: String) throws {
    let help = try CommandRunner().run(["help", verb]).output
    let lines = help.split(separator: "\n", omittingEmptySubsequences: false)
    #expect(lines.filter { $0.count > 80 }.isEmpty)
    let overview = lines.prefix { !$0.hasPrefix("USAGE:") }.filter { !$0.isEmpty }.dropFirst()
    #expect(overview.count <= 8, "\(verb): \(overview.count) lines")
    let simple = ["explain", "repack", "edit"]
    #expect(simple.contains(verb) || overview.first?.hasPrefix("`unroll \(verb) ") == true)
  }

  @Test("Help on an unknown verb is wrong usage, and an alias shows the verb's help")
  func helpOnVerbs() throws {
    let runner = try CommandRunner()
    let unknown = try runner.run(["help", "nosuch"])
    #expect(unknown.exitCode == 64 && unknown.errors.contains("nosuch"), "\(unknown.errors)")
    let hinted = try runner.run(["help", "quantize"])
    #expect(hinted.exitCode == 64 && hinted.errors.contains("--precision int8"))
    let alias = try runner.run(["help", "ppl"])
    #expect(alias.exitCode == 0)
    #expect(alias.output == (try runner.run(["help", "evaluate"]).output))
  }

  @Test("The help of train lists the precisions of training only")
  func trainingPrecisions() throws {
    let runner = try CommandRunner()
    let help = try runner.run(["help", "train"]).output
    #expect(help.contains("(values: f32, bf16)") && !help.contains("int8"))
    let refused = try runner.run([
      "train", "--train", "a", "--valid", "b", "-o", "c", "--precision", "int8",
    ])
    #expect(refused.exitCode == 64 && refused.errors.contains("int8 is for evaluations"))
  }

  @Test("A misspelled verb gets the name of the nearest one")
  func misspelledVerbs() throws {
    let runner = try CommandRunner()
    let near = try runner.run(["evaluat", "a.h5", "b.txt"])
    #expect(near.exitCode == 64 && near.errors.contains("did you mean evaluate?"), "\(near.errors)")
    let far = try runner.run(["frobnicate"])
    #expect(far.exitCode == 64 && far.errors.contains("unroll --help"), "\(far.errors)")
  }
}
