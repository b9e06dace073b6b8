// Findings of a fuzzer: inventories that libhdf5 does not make, but a child that it took over may.

import Testing
import UnrollHDF5

@testable import UnrollFormat

@Suite("Inventories found by fuzzing") struct OddInventoryTests {
  @Test("An inventory without the root group is refused for it")
  func missingRoot() throws {
    let mutation = Mutation(
      rule: "S001", inventory: { $0.objects.removeAll { $0.path == "/" || $0.path == "/model" } })
    #expect(
      try mutation.findings() == [
        """
        FILE: /: error S001: expected group /; found nothing
          fix: write the file again with the tool that made it; a part is missing; \
        `unroll explain S001` shows the rule
        """
      ])
  }
}
