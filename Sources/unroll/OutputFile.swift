// The output file of a verb, checked before the work as well as after it.

import ArgumentParser
import Foundation
import UnrollFormat
import UnrollTensors

/// The output options of verbs that can do without an output.
struct OptionalOutputOptions: ParsableArguments {
  @Option(name: [.short, .long], help: ArgumentHelp("File to write.", valueName: "file"))
  var output: String?

  @Flag(help: "Replace the output file if it exists.")
  var force = false

  func validate() throws {
    guard output?.isEmpty == true else { return }
    throw ValidationError("--output needs a name.")
  }
}

/// The output options of every verb that writes a model.
struct OutputOptions: ParsableArguments {
  @Option(
    name: [.short, .long],
    help: ArgumentHelp("Output file, such as poet.unroll.h5.", valueName: "file"))
  var output: String

  @Flag(help: "Replace the output file if it exists.")
  var force = false

  func validate() throws {
    guard output.isEmpty else { return }
    throw ValidationError("--output needs a name.")
  }

  /// Refuses an output before any work, if it would be refused afterwards.
  ///
  /// - Parameter inputs: The files that the verb reads; they are never written.
  /// - Throws: `Refusal` with advice.
  func check(inputs: [String]) throws {
    try Self.check(output, inputs: inputs, replacing: force)
  }

  /// Refuses a file before any work, if it would be refused afterwards.
  ///
  /// - Parameters:
  ///   - path: The file to write.
  ///   - inputs: The files that the verb reads; they are never written.
  ///   - outputs: The other files that the verb writes.
  ///   - replacing: `true` to replace an existing file.
  /// - Throws: `Refusal` with advice.
  static func check(
    _ path: String, inputs: [String], outputs: [String] = [], replacing: Bool
  ) throws {
    try checkOthers(path, inputs, outputs)
    guard !isFolder(path) else {
      throw Refusal(
        "\(printable(path)): cannot write: it is a folder\n"
          + "  fix: give the name of a file, such as \(printable(path))/model.unroll.h5")
    }
    do {
      try AtomicFile.check(path, replacing: replacing)
    } catch let error where error.code == EEXIST {
      throw Refusal("\(error)\n  fix: give another name, or --force to replace it")
    } catch {
      throw Refusal("\(error)\n  fix: give the name of a regular file, or of none")
    }
  }

  /// Refuses a file that is appended to, such as a log; it may be a link or a device.
  ///
  /// Parameters and errors are those of `check`.
  static func checkGrowing(
    _ path: String, inputs: [String], outputs: [String], replacing: Bool
  ) throws {
    try checkOthers(path, inputs, outputs, makesFolder: true)
    guard !replacing, identity(path) != nil else { return }
    throw Refusal(
      "\(FileError("write", path: path, code: EEXIST))\n"
        + "  fix: give another name, or --force to replace it")
  }

  private static func checkOthers(
    _ path: String, _ inputs: [String], _ outputs: [String], makesFolder: Bool = false
  ) throws {
    for (role, others) in [("input", inputs), ("output", outputs)] {
      guard let other = others.first(where: { isSameFile($0, path) }) else { continue }
      throw Refusal(
        "\(printable(path)): cannot write: it is the \(role) \(printable(other))\n"
          + "  fix: give another name")
    }
    guard path != "-" else {
      throw Refusal(
        "-: expected the name of a file to write; found the sign for standard output\n"
          + "  fix: give a name; a file of this name is ./-")
    }
    try checkFolder(of: path, makesFolder: makesFolder)
  }

  private static func checkFolder(of path: String, makesFolder: Bool) throws {
    let folder = folder(of: path)
    guard access(folder, W_OK | X_OK) != 0 else { return }
    if makesFolder && errno == ENOENT { return }
    let error = FileError("create a file in \(printable(folder))", path: path)
    let fix = error.code == ENOENT ? "make the folder" : "let files be written there"
    throw Refusal("\(error)\n  fix: \(fix), or give another name")
  }

  /// Writes a checkpoint.
  ///
  /// - Throws: The errors of writing.
  func write(_ checkpoint: Checkpoint) throws {
    try Progress.during("writing and reading back \(output)") {
      try checkpoint.write(to: output, replacing: force)
    }
    Output.note("wrote \(printable(output))")
  }

  /// Returns `true` if two paths lead to the same file, existing or not.
  static func isSameFile(_ first: String, _ second: String) -> Bool {
    if let first = identity(first), let second = identity(second) { return first == second }
    guard let folder = identity(folder(of: first)), folder == identity(self.folder(of: second))
    else { return first == second }
    return URL(filePath: first).lastPathComponent == URL(filePath: second).lastPathComponent
  }

  /// Returns `true` if there is a folder at a path.
  static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// Returns the folder of a file.
  static func folder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// Returns device and inode number of a file, following links; `nil` if there is none.
  private static func identity(_ path: String) -> [UInt64]? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    return [UInt64(status.st_dev), UInt64(status.st_ino)]
  }
}

/// An operation that the tool refuses, with the reason.
struct Refusal: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

/// Makes a folder and those above it, if there are none.
///
/// - Throws: `FileError` if that fails.
func makeFolder(_ path: String) throws {
  do {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  } catch {
    let cause = (error as? CocoaError)?.underlying as? POSIXError
    throw FileError("make the folder", path: path, code: cause?.code.rawValue ?? EIO)
  }
}
