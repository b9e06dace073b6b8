// A group with more members than a checkpoint may have objects; too large for a fixture.

import Foundation
import TestSupport
import Testing
import UnrollHDF5

@Suite("Files with too many objects") struct ManyObjectsTests {
  @Test("A group of 30,000 members is refused in time")
  func thirtyThousandMembers() throws {
    try withTemporaryFolder { folder in
      let writer = try FileWriter(creating: "\(folder)/many.h5")
      try writer.writeAttributes(
        ["format": .text("unroll"), "format_version": .text("1.0"), "complete": .integer(1)],
        of: "/")
      try writer.createGroup("/many")
      try writer.createGroup("/one")
      for number in 0..<30_000 { try writer.createHardLink("/many/\(number)", to: "/one") }
      try writer.close()
      let result = try CommandRunner().run(["validate", "many.h5"], in: folder)
      #expect(result.exitCode == 1)
      #expect(CommandResult.rules(in: result.output).contains("X012"))
      #expect(
        result.output.contains(
          "many.h5: /: error X012: expected at most 20000 objects; found more\n"))
    }
  }
}
