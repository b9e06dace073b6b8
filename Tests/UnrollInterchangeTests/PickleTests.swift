// The pickle machine, opcode by opcode.

import Testing

@testable import UnrollInterchange

@Suite("The pickle machine") struct PickleTests {
  /// Pickles of the same dictionary, by Python's `pickle.dumps(value, protocol)`.
  @Test(
    "Pickles of protocol 0 and 2 give the same values",
    arguments: [
      "(dp0\nVab\np1\n(lp2\nI1\naI01\naL5L\naF0.5\naNas.",
      "\u{2}}q\0X\u{2}\0\0\0abq\u{1}]q\u{2}(K\u{1}I01\nL5L\nF0.5\nNes.",
    ])
  func protocols(text: String) throws {
    let bytes = text.first == "\u{2}" ? [0x80] + Array(text.utf8) : Array(text.utf8)
    let graph = try PickleMachine.graph(of: bytes)
    let entry = try #require(graph.entries(graph.root)?.first)
    #expect(graph.string(entry.key) == "ab")
    let values = graph[entry.value].items.map { graph[$0].value }
    #expect(values == [.int(1), .bool(true), .int(5), .float(0.5), .none])
  }

  @Test("Pickled integers of any length are read")
  func integersOfAnyLength() throws {
    #expect(try value([0x8A, 0, 0x2E]) == .int(0))
    #expect(try value([0x8A, 1, 0xFF, 0x2E]) == .int(-1))
    #expect(try value([0x8A, 2, 0xFF, 0, 0x2E]) == .int(255))
    #expect(
      try value([0x8A, 9, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0x2E])
        == .largeInt([0, 0, 0, 0, 0, 0, 0, 0x80, 0]))
    #expect(try value([0x4A, 0xFE, 0xFF, 0xFF, 0xFF, 0x2E]) == .int(-2))
  }

  @Test("Pickled floats are read as big-endian")
  func floatsAreBigEndian() throws {
    #expect(try value([0x47, 0x3F, 0xF8, 0, 0, 0, 0, 0, 0, 0x2E]) == .float(1.5))
  }

  @Test("Escapes in strings of protocol 0 are decoded")
  func escapedStringsOfProtocol0() throws {
    #expect(try value(Array("S'a\\x41\\n'\n.".utf8)) == .string("aA\n"))
    #expect(try value(Array("S'\\xff'\n.".utf8)) == .bytes([0xFF]))
    #expect(try value(Array("V\\u0041\\U0001F600\\q\n.".utf8)) == .string("A\u{1F600}\\q"))
  }

  @Test("A call in a pickle is recorded and not executed")
  func recordedCalls() throws {
    let graph = try PickleMachine.graph(of: Array("cos\nsystem\n(S'ls'\ntR.".utf8))
    #expect(graph.className(graph.root) == "os.system")
  }

  @Test("A pickled list can hold itself")
  func selfReference() throws {
    // A list that holds itself.
    let graph = try PickleMachine.graph(of: Array("(lp0\ng0\na.".utf8))
    #expect(graph[graph.root].items == [graph.root])
  }

  @Test(
    "A malformed pickle is refused with byte, opcode and expectation",
    arguments: [
      ("", 0, "none", "an opcode", "none"),
      ("N", 1, "none", "an opcode", "none"),
      ("\u{1}", 0, "none", "an opcode", "byte 0x1"),
      (".", 0, "STOP", "a value on the stack", "none"),
      ("(t(.", 3, "STOP", "a value on the stack", "none"),
      ("Nt.", 1, "TUPLE", "a MARK on the stack", "none"),
      ("Na.", 1, "APPEND", "a value on the stack", "none"),
      ("NNa.", 2, "APPEND", "a list or an object to add items to", "None"),
      ("NNNs.", 3, "SETITEM", "a dictionary or an object to set items of", "None"),
      ("}(Nu.", 3, "SETITEMS", "a value for each key", "1 items"),
      ("NNR.", 2, "REDUCE", "a tuple of arguments", "None"),
      ("]Nb.", 2, "BUILD", "an object without state", "a list of 0 items"),
      ("g5\n.", 0, "GET", "a memo entry 5", "none"),
      ("Ix\n.", 0, "INT", "a decimal integer of at most 64 bits", "none"),
      ("K", 0, "BININT1", "1 bytes", "0"),
      ("X\u{9}\0\0\0ab", 0, "BINUNICODE", "9 bytes", "2"),
    ])
  func malformedPickles(
    text: String, offset: Int, opcode: String, expected: String, found: String
  ) throws {
    let error = PickleError(offset: offset, opcode: opcode, expected: expected, found: found)
    #expect(throws: error) {
      try PickleMachine.graph(of: Array(text.utf8))
    }
  }

  /// Tuples inside each other, a byte each: 3 MB took 10 s and 0.5 GB.
  @Test("A pickle of more than 1048576 values is refused")
  func valueLimit() throws {
    let bytes = [0x29] + [UInt8](repeating: 0x85, count: 3 << 20) + [0x2E]
    let error = PickleError(
      offset: 1 << 20, opcode: "TUPLE1", expected: "at most 1048576 values", found: "more")
    #expect(throws: error) { try PickleMachine.graph(of: bytes) }
  }

  /// One value memorised by every byte: the memo took 60 times the file.
  @Test("A pickle of more than 4194304 opcodes is refused")
  func opcodeLimit() throws {
    let bytes = [0x4E] + [UInt8](repeating: 0x94, count: 5 << 20) + [0x2E]
    let error = PickleError(
      offset: (4 << 20) - 1, opcode: "MEMOIZE", expected: "at most 4194304 opcodes", found: "more")
    #expect(throws: error) { try PickleMachine.graph(of: bytes) }
  }

  private func value(_ bytes: [UInt8]) throws -> PickleValue {
    let graph = try PickleMachine.graph(of: bytes)
    return graph[graph.root].value
  }
}
