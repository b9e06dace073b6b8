// Runs the built `unroll`.

import Foundation
import Testing

/// The result of a run of the tool.
public struct CommandResult: Sendable {
  /// The standard output.
  public let output: String
  /// The standard error.
  public let errors: String
  /// The exit code; the negative number of the signal if one ended it.
  public let exitCode: Int

  /// The ids of the rules that a text says are broken, each once, in the order of the alphabet.
  public static func rules(in text: String, level: String = "error") -> [String] {
    let found = text.matches(of: #/: ([a-z]+) ([A-Z][0-9]{3}): expected /#)
    return Set(found.filter { $0.1 == level }.map { String($0.2) }).sorted()
  }
}

/// Runs the built `unroll` as a user does.
public struct CommandRunner: Sendable {
  private let executable: URL

  /// Finds the executable beside the test bundle.
  ///
  /// - Throws: `CocoaError` if it is not there.
  public init() throws {
    // The bundle is an executable on Linux and a folder of several levels on macOS.
    var folder = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
    let candidates = (0..<5).map { _ in
      defer { folder = folder.deletingLastPathComponent() }
      return folder.appending(path: "unroll")
    }
    let fallback = Fixtures.root.appending(path: ".build/debug/unroll")
    let found = (candidates + [fallback]).first {
      FileManager.default.isExecutableFile(atPath: $0.path) && !$0.hasDirectoryPath
    }
    guard let found else { throw CocoaError(.fileNoSuchFile) }
    executable = found
  }

  /// Runs the tool to its end.
  ///
  /// - Parameters:
  ///   - arguments: The arguments behind the name of the tool.
  ///   - folder: The current folder; that of the tests unless told.
  ///   - seconds: After this time the tool is killed, and the test has an issue.
  ///   - sourceLocation: The place of the call.
  /// - Returns: The output and the exit code.
  /// - Throws: `CocoaError` if it cannot be started.
  public func run(
    _ arguments: [String], in folder: String? = nil, seconds: Double = 15,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> CommandResult {
    try run(executable, arguments, in: folder, seconds: seconds, sourceLocation: sourceLocation)
  }

  /// Runs a line of shell in which `unroll` is the built tool.
  ///
  /// - Parameters:
  ///   - line: The line.
  ///   - folder: The current folder.
  ///   - seconds: After this time the shell is killed, and the test has an issue.
  ///   - sourceLocation: The place of the call.
  /// - Returns: The output and the exit code.
  /// - Throws: `CocoaError` if it cannot be started.
  public func run(
    shell line: String, in folder: String, seconds: Double = 15,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> CommandResult {
    let path = executable.deletingLastPathComponent().path
    return try run(
      URL(filePath: "/bin/sh"), ["-c", "PATH='\(path)':$PATH; \(line)"], in: folder,
      seconds: seconds, sourceLocation: sourceLocation)
  }

  private func run(
    _ executable: URL, _ arguments: [String], in folder: String?, seconds: Double,
    sourceLocation: SourceLocation
  ) throws -> CommandResult {
    try withTemporaryFolder { temporary in
      // Files rather than pipes: nothing to drain, however much is written.
      let names = ["out", "err"].map { "\(temporary)/\($0)" }
      for name in names { try Data().write(to: URL(filePath: name)) }
      let handles = try names.map { try FileHandle(forWritingTo: URL(filePath: $0)) }
      let process = Process()
      process.executableURL = executable
      process.arguments = arguments
      process.standardInput = FileHandle.nullDevice
      process.standardOutput = handles[0]
      process.standardError = handles[1]
      if let folder { process.currentDirectoryURL = URL(filePath: folder) }
      let ended = DispatchSemaphore(value: 0)
      process.terminationHandler = { _ in ended.signal() }
      try process.run()
      if ended.wait(timeout: .now() + seconds) == .timedOut {
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        let command = ([executable.lastPathComponent] + arguments).joined(separator: " ")
        Issue.record("\(command) took more than \(seconds) s", sourceLocation: sourceLocation)
      }
      for handle in handles { try handle.close() }
      let texts = try names.map {
        String(decoding: try Data(contentsOf: URL(filePath: $0)), as: UTF8.self)
      }
      let status = Int(process.terminationStatus)
      return CommandResult(
        output: texts[0], errors: texts[1],
        exitCode: process.terminationReason == .exit ? status : -status)
    }
  }
}
