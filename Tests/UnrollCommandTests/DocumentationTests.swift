// Every console block of the README and the documentation, run as printed.

import Foundation
import TestSupport
import Testing

@Suite("Console blocks of the documentation") struct DocumentationTests {
  private struct Step {
    var command: String
    var output: [String] = []
  }

  /// The README and the pages of `docs` that have console blocks, as paths from the top folder.
  private static let pages: [String] = {
    let root = Fixtures.root.path
    let documents = FileManager.default.enumerator(atPath: "\(root)/docs")?.compactMap {
      ($0 as? String).map { "docs/\($0)" }
    }
    let names = ["README.md"] + (documents ?? []).filter { $0.hasSuffix(".md") }.sorted()
    return names.filter { (try? text(of: $0))?.contains("```console\n") ?? true }
  }()

  private static func text(of page: String) throws -> String {
    try String(contentsOf: Fixtures.root.appending(path: page), encoding: .utf8)
  }

  /// Returns the commands of a page's console blocks and the lines that are printed below each.
  private static func steps(of page: String) throws -> [Step] {
    var steps: [Step] = []
    let text = try text(of: page)
    let blocks = text.matches(of: #/(?m)^```console\n((?:.*\n)*?)```$/#)
    #expect(blocks.count == text.matches(of: #/```console/#).count, "\(page): a block is not read")
    for block in blocks {
      for line in block.1.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
        if line.hasPrefix("$ ") {
          steps.append(Step(command: String(line.dropFirst(2))))
          continue
        }
        let last = try #require(steps.indices.last, "\(page): a block begins without a command")
        if steps[last].output.isEmpty && steps[last].command.hasSuffix("\\") {
          steps[last].command += "\n\(line)"
        } else {
          steps[last].output.append(String(line))
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

  @Test("The README has console blocks")
  func readmeHasConsoleBlocks() {
    #expect(Self.pages.first == "README.md")
  }

  @Test("The README lists every verb of the command line's reference")
  func readmeListsVerbs() throws {
    let readme = try Self.text(of: "README.md")
    let table = try #require(readme.firstMatch(of: #/\| verb \|.*\n((?:\|.*\n)+)/#))
    let listed = table.1.split(separator: "\n").flatMap { row in
      row.split(separator: "|").first?.matches(of: #/`([a-z]+)`/#).map { String($0.1) } ?? []
    }
    let reference = try Self.text(of: "docs/reference/cli.md")
    let verbs = reference.matches(of: #/(?m)^## ([a-z]+)$/#).map { String($0.1) }
    #expect(listed.sorted() == verbs.sorted())
  }

  @Test("Console blocks print what the page shows", arguments: pages)
  func consoleBlocksPrintWhatThePageShows(_ page: String) throws {
    let runner = try CommandRunner()
    try withTemporaryFolder { folder in
      try FileManager.default.createSymbolicLink(
        atPath: "\(folder)/fixtures", withDestinationPath: Fixtures.path(""))
      for step in try Self.steps(of: page) {
        // In one stream, as on a terminal.
        let result = try runner.run(
          shell: "{ \(step.command)\n} 2>&1", in: folder, seconds: 120)
        let lines = result.output.split(separator: "\n", omittingEmptySubsequences: false)
          .dropLast().map(String.init)
        // Progress shows on slow machines only.
        let lasting = lines.filter {
          $0.firstMatch(
            of:
              #/, [\d,]+ tokens/s$|^(reading|evaluating|writing|comparing|going back)|: \d+ s$|^\d+ of \d+ files: |^[\d,]+ lines, \d+ %$/#
          ) == nil
        }
        #expect(result.exitCode == 0, "\(page): \(step.command)")
        #expect(
          matches(lasting[...], step.output[...]),
          "\(page): \(step.command)\n\(lasting.joined(separator: "\n"))")
      }
    }
  }
}
