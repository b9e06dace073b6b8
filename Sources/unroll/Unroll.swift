// The command-line tool: its verbs, and how they end.

import ArgumentParser
import Foundation
import UnrollFormat

/// How a verb ends; `--help` says the same.
enum Ending {
  /// The answer is no: findings, differences, a failed check.
  static let no = ExitCode(1)
  /// It could not be done: unreadable, refused, input or output failed.
  static let failure: Int32 = 2
  /// It was asked to stop, has saved its state, and can be resumed.
  static let paused = ExitCode(3)
}

@main
struct Unroll: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "unroll",
    abstract: "Convert, check, run and train recurrent language models, each in one HDF5 file.",
    discussion: """
      Results go to standard output, progress and notes to standard error.
      Exit codes: 0 fine; 1 the answer is no (findings, differences); 2 it could not be done (unreadable, refused, \
      input or output failed); 3 paused, saved and ready to resume; 64 wrong usage.
      """,
    version: UnrollVersion.number,
    subcommands: [
      Inspect.self, Tokenize.self, Validate.self, Explain.self, Convert.self, Evaluate.self,
      Score.self,
      Train.self, Finetune.self, Repack.self, Edit.self, Diff.self,
    ])

  static func main() {
    // A file-size limit is then an error of a write, not the end of the process.
    signal(SIGXFSZ, SIG_IGN)
    do {
      var command = try parseAsRoot()
      try command.run()
      try Output.finish()
    } catch {
      guard !(error is ExitCode), exitCode(for: error) == .failure else { exit(withError: error) }
      Output.note("unroll: \(error)")
      Foundation.exit(Ending.failure)
    }
  }
}
