// The command-line tool: its verbs and exit codes.

import ArgumentParser
import Foundation
import UnrollFormat
import UnrollTensors

/// Exit codes; `--help` lists the same.
enum Ending {
  /// The answer is negative: findings, differences, a failed check.
  static let no = ExitCode(1)
  /// The operation failed: input refused or unreadable, or output failed.
  static let failure: Int32 = 2
  /// The verb was asked to stop, has saved its state, and can be resumed.
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
      Score.self, Generate.self, Gradients.self,
      Train.self, Finetune.self, Repack.self, Edit.self, WriteCard.self, Diff.self,
      WriteReport.self,
    ])

  /// The names of the verbs, with the parser's own `help`.
  static let verbs = Set(configuration.subcommands.map { $0._commandName } + ["help"])

  /// Shows a newcomer the first commands: no verb is given.
  func run() {
    Output.result(
      """
      Unroll converts, checks, runs and trains recurrent language models.

      First steps:
        unroll convert model.pt --corpus data/ -o poet.unroll.h5    from PyTorch
        unroll train --train train.txt --valid valid.txt -o poet.unroll.h5
        unroll inspect poet.unroll.h5                    sizes, tokens, history
        unroll evaluate poet.unroll.h5 test.txt                      perplexity
        unroll score poet.unroll.h5 sentences.txt        surprisal of each word
        unroll generate poet.unroll.h5 --prompt "To be"           samples a text

      `unroll --help` lists all verbs, `unroll VERB --help` explains one.
      """)
  }

  static func main() {
    openStandardStreams()
    refuseBrokenNames()
    // Exceeding a file-size limit then fails the write instead of ending the process.
    signal(SIGXFSZ, SIG_IGN)
    var configured: [String] = []
    do {
      let expanded = try Train.expandingConfiguration(Array(CommandLine.arguments.dropFirst()))
      configured = expanded.configured
      let arguments = try ForeignNames.translated(expanded.arguments)
      try Train.refuseResuming(arguments)
      var command = try parseAsRoot(arguments)
      try command.run()
      try Output.finish()
    } catch {
      guard !(error is ExitCode), exitCode(for: error) == .failure else {
        if !configured.isEmpty && exitCode(for: error) == .validationFailure {
          Output.note("note: --config gave \(printable(configured.joined(separator: " ")))")
        }
        exit(withError: error)
      }
      Output.failure(error)
      Foundation.exit(Ending.failure)
    }
  }

  /// Opens standard streams that are closed, so that no other file gets their descriptors.
  private static func openStandardStreams() {
    for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
      _ = open("/dev/null", O_RDWR)
    }
  }

  /// Refuses arguments that are not UTF-8: they could be mistaken for other file names.
  private static func refuseBrokenNames() {
    for index in 0..<Int(CommandLine.argc) {
      guard let argument = CommandLine.unsafeArgv[index],
        String(validatingCString: argument) == nil
      else { continue }
      Output.note(
        "unroll: argument \(index): expected UTF-8; found other bytes\n"
          + "  fix: give the file a name in UTF-8")
      Foundation.exit(Ending.failure)
    }
  }
}
