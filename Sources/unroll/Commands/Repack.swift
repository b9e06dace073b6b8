// `unroll repack`: rewrites a checkpoint with other compression and chunking.

import ArgumentParser
import UnrollFormat
import UnrollHDF5
import UnrollTensors

extension StorageProfile: ExpressibleByArgument {}

struct Repack: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Rewrite a checkpoint to be small, or quick to load.",
    discussion: """
      The profile archive compresses the data in chunks with checksums; live stores it as it is \
      mapped into memory. Content and digests stay the same, and so does the history.
      """)

  @Argument(help: "Checkpoint.")
  var model: String

  @Option(help: "How to store the data: live or archive.")
  var profile: StorageProfile

  @OptionGroup var output: OutputOptions

  func run() throws {
    try output.check(inputs: [model])
    let examination = try Examination.shown(of: model, upTo: .bytes)
    try Progress.during("writing and reading back \(output.output)") {
      try examination.repack(to: output.output, profile: profile, replacing: output.force)
    }
    try Output.wrote(output.output, insteadOf: model)
  }
}

extension Output {
  /// Prints the output's path and compares its size.
  static func wrote(_ path: String, insteadOf old: String) throws {
    let (new, before) = (try MappedFile(path: path).count, try MappedFile(path: old).count)
    note("wrote \(printable(path)): \(grouped(new)) bytes, from \(grouped(before))")
  }
}
