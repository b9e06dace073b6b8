// The examples of the documentation: those of the page are those that are compiled, and they run.

import Foundation
import TestSupport
import Testing
import UnrollEngine
import UnrollFormat

@Suite("Examples of the documentation") struct ExampleTests {
  /// The Swift blocks of a page.
  private func examples(in page: String) throws -> [String] {
    let block = #/```swift\n(.*?)```/#.dotMatchesNewlines()
    return try text(page).matches(of: block).map { String($0.1) }
  }

  private func text(_ path: String) throws -> String {
    try String(contentsOf: Fixtures.root.appending(path: path), encoding: .utf8)
  }

  @Test("Examples of UnrollEngine's page are in the compiled program")
  func compiledExamples() throws {
    let program = try text("Tests/UnrollEngineTests/Examples.swift")
    let examples = try self.examples(in: "Sources/UnrollEngine/UnrollEngine.docc/UnrollEngine.md")
    #expect(examples.count == 7)
    for example in examples {
      #expect(program.contains(example), "\(example)")
      // The comment aside, ten lines.
      #expect(example.split(separator: "\n").count <= 11)
    }
  }

  @Test("Swift code of the README and the documentation is compiled")
  func compiledDocumentation() throws {
    // scripts/check/library builds the manifest and runs the examples.
    let compiled = try [
      "Tests/UnrollEngineTests/Examples.swift", "Benchmarks/Loading/Sources/main.swift",
      "docs/reference/swift.md",
    ].map(text)
    let documents = FileManager.default.enumerator(
      atPath: Fixtures.root.appending(path: "docs").path)
    let pages = (documents?.compactMap { ($0 as? String).map { "docs/\($0)" } } ?? [])
      .filter { $0.hasSuffix(".md") }
    #expect(!pages.isEmpty)
    for page in ["README.md"] + pages {
      for example in try examples(in: page) {
        let isManifest = example.hasPrefix("// swift-tools-version")
        let sources = isManifest ? compiled.suffix(1) : compiled.prefix(2)
        #expect(sources.contains { $0.contains(example) }, "\(page):\n\(example)")
      }
    }
  }

  @Test("Examples of the documentation run and give plausible results")
  func runningExamples() async throws {
    let folder = FileManager.default.temporaryDirectory.appending(
      path: "unroll-examples-\(UUID().uuidString)"
    ).path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let model = "\(folder)/poet.unroll.h5"
    try convertModel(
      Fixtures.path("characters/model.pt"), corpus: Fixtures.path("characters"), to: model)
    var texts: [String] = []
    let lines = try String(contentsOfFile: Fixtures.path("characters/test.txt"), encoding: .utf8)
      .split(separator: "\n", omittingEmptySubsequences: false)
    for (name, range) in [("train", 0..<60), ("valid", 60..<100)] {
      texts.append("\(folder)/\(name).txt")
      let text = lines[range].map { $0 + "\n" }.joined()
      try Data(text.utf8).write(to: URL(filePath: "\(folder)/\(name).txt"))
    }
    let value = try perplexity(of: texts[1], model: model)
    #expect((2...10).contains(value))
    let words = try surprisals(of: "W e _ a r e", model: model)
    #expect(words.map(\.0) == ["W", "e", "_", "a", "r", "e"])
    #expect(words.allSatisfy { ($0.1 ?? 0) > 0 })
    let losses = try finetune(
      model, train: texts[0], valid: texts[1], best: "\(folder)/tuned.unroll.h5")
    #expect(losses.count == 3)
    #expect(try continuation(of: "K I N G :", model: model).utf8.count > 50)
    try exportModel(model, to: "\(folder)/poet.pt")
    #expect(FileManager.default.fileExists(atPath: "\(folder)/poet.pt"))
    #expect(try await perplexity(of: texts[1], model: model, within: .seconds(60)) == value)
    let long = "\(folder)/long.txt"
    try Data(String(repeating: "a b c d e f\n", count: 2_000_000).utf8)
      .write(to: URL(filePath: long))
    await #expect(throws: CancellationError.self) {
      try await perplexity(of: long, model: model, within: .milliseconds(100))
    }
  }

  @Test("A cancelled training saves its last step")
  func cancelledTraining() async throws {
    let work = Task {
      try withTemporaryFolder { folder in
        let path = "\(folder)/text.txt"
        try Data(String(repeating: "the cat sat on a mat\n", count: 40).utf8)
          .write(to: URL(filePath: path))
        let checkpoint = Checkpoint.small()
        let encoder = try LanguageModel.encoder(of: checkpoint, path: "")
        let text = try TrainingText(path: path, encoder: encoder)
        var settings = TrainingSettings()
        (settings.columns, settings.window) = (4, 5)
        var run = try TrainingRun(checkpoint, settings: settings, train: text, valid: text)
        let files = TrainingFiles(best: "\(folder)/a.h5")
        #expect(throws: CancellationError.self) {
          _ = try run.run(
            saving: files,
            report: { event, run in
              if run.state.step == 5 { withUnsafeCurrentTask { $0?.cancel() } }
            })
        }
        return try Checkpoint(contentsOf: files.last).training?.step
      }
    }
    #expect(try await work.value == 5)
  }
}
