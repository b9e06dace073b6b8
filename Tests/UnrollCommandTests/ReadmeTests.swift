// Every console block of the README, run as printed.

import Foundation
import TestSupport
import Testing

@Suite struct ReadmeTests {
  private struct Step {
    let command: String
    var output: [String] = []
  }

  /// The commands of the console blocks and the lines that are printed below each.
  private func steps() throws -> [Step] {
    let text = try String(
      contentsOf: Fixtures.root.appending(path: "README.md"), encoding: .utf8)
    var steps: [Step] = []
    for block in text.matches(of: #/```console\n((?:.*\n)*?)```/#) {
      for line in block.1.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
        if line.hasPrefix("$ ") {
          steps.append(Step(command: String(line.dropFirst(2))))
        } else {
          steps[steps.count - 1].output.append(String(line))
        }
      }
    }
    return steps
  }

  /// `true` if lines match a pattern, where `...` stands for any number of lines.
  private func matches(_ lines: ArraySlice<String>, _ pattern: ArraySlice<String>) -> Bool {
    guard let first = pattern.first else { return lines.isEmpty }
    if first == "..." {
      return (lines.startIndex...lines.endIndex).contains {
        matches(lines[$0...], pattern.dropFirst())
      }
    }
    return lines.first == first && matches(lines.dropFirst(), pattern.dropFirst())
  }

  @Test func consoleBlocksGiveWhatTheyShow() throws {
    let steps = try steps()
    #expect(steps.count >= 6)
    let runner = try CommandRunner()
    try withTemporaryFolder { folder in
      try FileManager.default.createSymbolicLink(
        atPath: "\(folder)/fixtures", withDestinationPath: Fixtures.path(""))
      for step in steps {
        // In one stream, as on a terminal.
        let result = try runner.run(
          shell: "{ \(step.command); } 2>&1", in: folder, seconds: 120)
        let lines = result.output.split(separator: "\n", omittingEmptySubsequences: false)
          .dropLast().map(String.init)
        // Progress shows on slow machines only.
        let lasting = lines.filter {
          $0.firstMatch(
            of:
              #/tokens/s, (perplexity|loss)|^(reading|evaluating|writing)|: \d+ s$|^\d+ of \d+ files: /#
          ) == nil
        }
        #expect(result.exitCode == 0, "\(step.command)")
        #expect(
          matches(lasting[...], step.output[...]),
          "\(step.command)\n\(lasting.joined(separator: "\n"))")
      }
    }
  }
}
