// The README's table of formats.

import Foundation
import TestSupport
import Testing
import UnrollInterchange

@Suite("The README's table of formats") struct FormatTableTests {
  @Test("The README lists the extensions of every format that is written")
  func readmeListsWrittenExtensions() throws {
    let readme = try String(
      contentsOf: Fixtures.root.appending(path: "README.md"), encoding: .utf8)
    let table = try #require(readme.firstMatch(of: #/\| format \| read \|.*\n((?:\|.*\n)+)/#))
    let listed = table.1.split(separator: "\n").flatMap { row in
      row.split(separator: "|").dropFirst(2).first?.matches(of: #/`\.([a-z0-9.]+)`/#)
        .map { String($0.1) } ?? []
    }
    let written = AllFormats.written.flatMap { $0.fileExtensions }
    #expect(listed.sorted() == written.sorted())
  }
}
