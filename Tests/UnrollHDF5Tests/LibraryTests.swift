// Errors, ownership, and what the library is asked to do differently from its defaults.

import Foundation
import TestSupport
import Testing
import UnrollTensors

@testable import UnrollHDF5

@Suite("libhdf5") struct LibraryTests {
  @Test("An error names operation, file, object and reason")
  func errors() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/bad.h5"
      try Data("no HDF5 file".utf8).write(to: URL(filePath: path))
      #expect(
        throws: HDF5Error(
          operation: "open file", file: path, object: "/", reason: "file signature not found")
      ) {
        try Inventory(contentsOf: path)
      }
    }
  }

  @Test("Errors of libhdf5 print nothing from any thread")
  func silentErrors() throws {
    // The library prints to the standard error of the process; a pipe in its place shows it.
    var ends: [Int32] = [0, 0]
    #expect(pipe(&ends) == 0)
    let original = dup(STDERR_FILENO)
    dup2(ends[1], STDERR_FILENO)
    let group = DispatchGroup()
    for index in 0..<8 {
      let thread = Thread {
        _ = try? Inventory(contentsOf: "/no/such/file\(index)")
        group.leave()
      }
      group.enter()
      thread.start()
    }
    group.wait()
    dup2(original, STDERR_FILENO)
    close(ends[1])
    let printed = FileHandle(fileDescriptor: ends[0], closeOnDealloc: true).readDataToEndOfFile()
    #expect(!String(decoding: printed, as: UTF8.self).contains("HDF5"))
  }

  @Test("Identifiers of libhdf5 do not leak, also after errors")
  func identifierLeaks() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.h5"
      for _ in 0..<3 {
        let writer = try FileWriter(creating: path)
        try writer.createGroup("/group")
        try [UInt8](repeating: 7, count: 24).withUnsafeBytes {
          try writer.createDataset("/group/data", element: .float64, dimensions: [3], bytes: $0)
        }
        try writer.writeAttributes(
          [
            "text": .text("ü"), "texts": .texts(["a", "bc"]), "n": .integer(-3), "x": .number(0.1),
          ],
          of: "/group")
        do {
          try writer.createGroup("/no/parent")
          Issue.record("a group without a parent was created")
        } catch let error as HDF5Error {
          #expect(error.operation == "create group" && error.object == "/no/parent")
        }
        try writer.close()
        _ = try Inventory(contentsOf: path)
      }
      // Tests beside this one have files open, too; a leak would keep the count above 0 for good.
      let deadline = ContinuousClock.now + .seconds(60)
      while openIdentifierCount() > 0, ContinuousClock.now < deadline { usleep(1000) }
      #expect(ContinuousClock.now < deadline, "identifiers stay open")
    }
  }

  @Test("An inventory describes the groups, datasets, attributes and links that were written")
  func inventoryOfWrittenFile() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.h5"
      let writer = try FileWriter(creating: path)
      try writer.createGroup("/g")
      for element in DType.allCases {
        let bytes = (0..<6 * element.size).map { UInt8($0) }
        try bytes.withUnsafeBytes {
          try writer.createDataset(
            "/g/\(element.rawValue)", element: element, dimensions: [2, 3], bytes: $0)
        }
      }
      try writer.createHardLink("/g/z", to: "/g/f32")
      let attributes: [String: AttributeValue] = [
        "text": .text("ü"), "texts": .texts(["a", "bc"]), "n": .integer(-3), "x": .number(0.1),
        "empty": .text(""),
      ]
      try writer.writeAttributes(attributes, of: "/g")
      try writer.close()

      let inventory = try Inventory(contentsOf: path)
      let file = [UInt8](try Data(contentsOf: URL(filePath: path)))
      #expect(inventory.stoppedAt == nil)
      let group = inventory.objects.first { $0.path == "/g" }
      #expect(group?.attributes == attributes)
      for element in DType.allCases {
        let object = inventory.objects.first { $0.path == "/g/\(element.rawValue)" }
        guard case .dataset(let dataset)? = object?.kind else {
          Issue.record("no dataset \(element)")
          continue
        }
        #expect(dataset.datatype == .element(element))
        #expect(dataset.dimensions == [2, 3])
        #expect(dataset.layout == .contiguous && dataset.filters == [])
        #expect(object?.linkCount == (element == .float32 ? 2 : 1))
        let offset = try #require(dataset.offset)
        #expect(offset % 64 == 0)
        #expect(
          Array(file[Int(offset)..<Int(offset + dataset.storageSize)])
            == (0..<6 * element.size).map { UInt8($0) })
      }
      #expect(
        inventory.objects.last
          == InventoryObject(path: "/g/z", kind: .hardLink(to: "/g/f32"), linkCount: 2))
    }
  }

  @Test("The superblock is read without libhdf5")
  func superblocks() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.h5"
      try FileWriter(creating: path).close()
      let bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
      let superblock = try #require(Superblock(bytes))
      #expect(superblock.version == 2)
      #expect(superblock.endOfFile == UInt64(bytes.count))
      #expect(!superblock.isOpenForWriting)
      #expect(Superblock([1, 2, 3]) == nil)
      #expect(Superblock(Array(Superblock.signature)) == nil)
    }
  }

  @Test("Reserving more than the disk has fails")
  func impossibleReservation() throws {
    try withTemporaryFolder { folder in
      let writer = try FileWriter(creating: "\(folder)/a.h5")
      do {
        try writer.reserve(1 << 60)
        Issue.record("more than the disk has was reserved")
      } catch let error as HDF5Error {
        #expect(error.operation == "reserve \(1 << 60) bytes")
      }
      try writer.close()
    }
  }
}
