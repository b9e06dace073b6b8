// The examples of the documentation are those of a program that is built and run.

import Foundation
import TestSupport
import Testing

@Suite("Examples of UnrollFormat") struct DocumentationTests {
  @Test("Examples of UnrollFormat's page are in the example program")
  func compiledExamples() throws {
    func text(_ path: String) throws -> String {
      try String(contentsOf: Fixtures.root.appending(path: path), encoding: .utf8)
    }
    let page = try text("Sources/UnrollFormat/UnrollFormat.docc/UnrollFormat.md")
    let program = try text("Benchmarks/Loading/Sources/main.swift")
    let block = #/```swift\n(.*?)```/#.dotMatchesNewlines()
    let examples = page.matches(of: block).map { String($0.1) }
    #expect(examples.count == 4)
    for example in examples { #expect(program.contains(example), "\(example)") }
  }
}
