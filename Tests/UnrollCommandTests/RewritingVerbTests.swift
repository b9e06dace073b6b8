// `unroll repack`, `edit`, `diff` and `validate --replay` as their users see them.

import Foundation
import TestSupport
import Testing

@Suite("Rewriting and comparison (repack, edit, diff)") struct RewritingVerbTests {
  private let runner: CommandRunner
  private let model = Fixtures.root.appending(path: "fixtures/checkpoints/torch-mixed.unroll.h5")
    .path()

  init() throws { runner = try CommandRunner() }

  @Test("An archive is the same model to diff, and repack never replaces its input")
  func archives() throws {
    try withTemporaryFolder { folder in
      let packed = try runner.run(
        ["repack", model, "--profile", "archive", "-o", "b.h5"], in: folder)
      #expect(packed.exitCode == 0 && packed.errors.contains("wrote b.h5: "))
      let same = try runner.run(["diff", model, "b.h5"], in: folder)
      #expect(same.exitCode == 0 && same.output == "the same\n", "\(same.output)\(same.errors)")
      let again = try runner.run(["repack", "b.h5", "--profile", "live", "-o", "b.h5"], in: folder)
      #expect(again.exitCode == 2 && again.errors.contains("it is the input b.h5"))
      #expect(try runner.run(["repack", "b.h5", "-o", "c.h5"], in: folder).exitCode == 64)
    }
  }

  @Test("diff shows what edit changed, and the edited file is valid on replay")
  func edits() throws {
    try withTemporaryFolder { folder in
      try Data("# Model".utf8).write(to: URL(filePath: "\(folder)/card.md"))
      let edited = try runner.run(
        [
          "edit", model, "-o", "b.h5", "--license", "MIT", "--author", "Ä", "--remove", "title",
          "--readme", "card.md",
        ], in: folder)
      #expect(edited.exitCode == 0, "\(edited.errors)")
      let different = try runner.run(["diff", model, "b.h5"], in: folder)
      #expect(different.exitCode == 1)
      for line in ["card license: CC0-1.0 -> MIT", "card title: Klein -> none", "edit by unroll"] {
        #expect(different.output.contains(line), "\(different.output)")
      }
      let replayed = try runner.run(["validate", "--replay", "b.h5"], in: folder)
      #expect(replayed.exitCode == 0, "\(replayed.output)")
    }
  }

  @Test("Editing warns of a licence that is no SPDX expression, and writes it")
  func unknownLicence() throws {
    try withTemporaryFolder { folder in
      let edited = try runner.run(
        ["edit", model, "-o", "b.h5", "--license", "Apache 2"], in: folder)
      #expect(edited.exitCode == 0)
      #expect(
        edited.errors.contains("warning: --license 'Apache 2' is no SPDX expression"),
        "\(edited.errors)")
    }
  }

  @Test(
    "Wrong usage of edit, repack and diff has exit code 64",
    arguments: [
      ["edit", "a.h5", "-o", "b.h5"], ["edit", "a.h5", "-o", "b.h5", "--remove", "name"],
      ["repack", "a.h5", "--profile", "zip", "-o", "b.h5"], ["diff", "a.h5"],
    ])
  func wrongUsage(arguments: [String]) throws {
    try withTemporaryFolder { folder in
      let result = try runner.run(arguments, in: folder)
      #expect(result.exitCode == 64)
    }
  }

  @Test("A file of another format is compared by what both formats can hold")
  func diffOfForeignFile() throws {
    try withTemporaryFolder { folder in
      let fixtures = Fixtures.root.appending(path: "fixtures").path()
      let tokens = (1...11).map { "\($0)\n" }.joined()
      try Data(tokens.utf8).write(to: URL(filePath: "\(folder)/tokens.txt"))
      let source = "\(fixtures)/pytorch/lstm-state.pt"
      let converted = try runner.run(
        ["convert", source, "--vocabulary", "tokens.txt", "-o", "a.h5"], in: folder)
      #expect(converted.exitCode == 0)
      #expect(try runner.run(["diff", "a.h5", source], in: folder).exitCode == 0)
      let other = try runner.run(
        [
          "diff", source, "\(fixtures)/pytorch/gru-state.pt", "--vocabulary", "tokens.txt",
          "--json",
        ],
        in: folder)
      #expect(other.exitCode == 1)
      #expect(
        other.output.contains("\"part\" : \"layer 0: cell\""), "\(other.output)\(other.errors)")
    }
  }

  /// Checkpoints are HDF5, too: what is inside tells, not the signature.
  @Test("diff compares checkpoints with the HDF5 files of Keras and TheanoLM")
  func diffOfForeignHDF5() throws {
    try withTemporaryFolder { folder in
      let fixtures = Fixtures.root.appending(path: "fixtures").path()
      let tokens = (1...11).map { "\($0)\n" }.joined()
      try Data(tokens.utf8).write(to: URL(filePath: "\(folder)/tokens.txt"))
      let keras = "\(fixtures)/keras/lstm.h5"
      let converted = try runner.run(
        ["convert", keras, "--vocabulary", "tokens.txt", "-o", "a.h5"], in: folder)
      #expect(converted.exitCode == 0)
      for pair in [
        ["a.h5", keras], [keras, "a.h5"], ["a.h5", "\(fixtures)/keras/lstm.weights.h5"],
      ] {
        let same = try runner.run(["diff"] + pair, in: folder)
        #expect(same.exitCode == 0 && same.output == "the same\n", "\(same.errors)")
      }
      let other = try runner.run(["diff", "\(fixtures)/theanolm/lstm.h5", "a.h5"], in: folder)
      #expect(other.exitCode == 1 && other.output.contains("layers: 2 -> 1\n"), "\(other.errors)")
    }
  }

  @Test("diff --text compares the log-probabilities of two models token by token")
  func diffOnText() throws {
    try withTemporaryFolder { folder in
      let fixtures = Fixtures.root.appending(path: "fixtures").path()
      try Data("1 2 3\n4 5\n".utf8).write(to: URL(filePath: "\(folder)/text.txt"))
      let tokens = (1...10).map { "\($0)\n" }.joined() + "<eos>\n"
      try Data(tokens.utf8).write(to: URL(filePath: "\(folder)/tokens.txt"))
      for name in ["lstm", "gru"] {
        let source = "\(fixtures)/pytorch/\(name)-state.pt"
        _ = try runner.run(
          ["convert", source, "--vocabulary", "tokens.txt", "-o", "\(name).h5"], in: folder)
      }
      let result = try runner.run(["diff", "lstm.h5", "gru.h5", "--text", "text.txt"], in: folder)
      #expect(result.exitCode == 1 && result.output.contains("  7 predictions, nll "))
      let same = try runner.run(["diff", "gru.h5", "gru.h5", "--text", "text.txt"], in: folder)
      #expect(same.output.contains("differ by 0 on average, 0 at most"), "\(same.output)")
    }
  }

  @Test("A file that another program has locked can be read")
  func lockedFile() throws {
    try withTemporaryFolder { folder in
      try FileManager.default.copyItem(atPath: model, toPath: "\(folder)/a.h5")
      let descriptor = open("\(folder)/a.h5", O_RDWR)
      defer { close(descriptor) }
      #expect(flock(descriptor, LOCK_EX) == 0)
      let result = try runner.run(["validate", "a.h5"], in: folder)
      #expect(result.exitCode == 0, "\(result.output)\(result.errors)")
    }
  }

  @Test("An archive needs a folder for temporary files, and the error names it")
  func temporaryFolder() throws {
    try withTemporaryFolder { folder in
      let packed = try runner.run(
        ["repack", model, "--profile", "archive", "-o", "b.h5"], in: folder)
      #expect(packed.exitCode == 0)
      let result = try runner.run(
        shell: "TMPDIR=/none unroll validate b.h5", in: folder, seconds: 15)
      #expect(result.exitCode == 2)
      #expect(
        result.errors.contains("/none: cannot create a temporary file: no such file or directory"))
    }
  }
}
