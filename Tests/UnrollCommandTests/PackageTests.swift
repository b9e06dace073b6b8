// The promises of the manifest about the modules.

import Foundation
import TestSupport
import Testing

@Suite("The package") struct PackageTests {
  /// The modules that come with Swift.
  private static let standard: Set = ["Dispatch", "Foundation", "Synchronization"]

  /// The dependencies that the manifest declares for each target in `Sources`.
  private func declared() throws -> [String: Set<String>] {
    let manifest = try String(
      contentsOf: Fixtures.root.appending(path: "Package.swift"), encoding: .utf8)
    var result: [String: Set<String>] = [:]
    for part in manifest.components(separatedBy: "arget(").dropFirst() {
      let names = part.matches(of: #/"([A-Za-z0-9]+)"/#).map { String($0.1) }
      guard let target = names.first else { continue }
      result[target] = Set(names.dropFirst())
    }
    return result
  }

  @Test("A module imports no module that its target does not declare")
  func importsAreDeclared() throws {
    let declared = try declared()
    let sources = Fixtures.root.appending(path: "Sources")
    let files = try #require(FileManager.default.enumerator(atPath: sources.path()))
    var count = 0
    for case let path as String in files where path.hasSuffix(".swift") {
      let module = String(path.prefix { $0 != "/" })
      let known = try #require(declared[module], "no target \(module)").union(Self.standard)
      let text = try String(contentsOf: sources.appending(path: path), encoding: .utf8)
      for line in text.split(separator: "\n") where line.hasPrefix("import ") {
        let imported = String(line.dropFirst("import ".count).prefix { $0 != "." })
        #expect(known.contains(imported), "\(path) imports \(imported)")
        count += 1
      }
    }
    #expect(count > 500)
  }
}
