// Whatever the process that read a file answers: rules, reader and writer end, and do not trap.

import Foundation
import TestSupport
import Testing
import UnrollHDF5
import UnrollTensors

@testable import UnrollFormat

/// A valid file, and what a reader of it could say.
private struct ForeignAnswer {
  let path: String
  let inventory: Inventory
  private let file: MappedFile

  init(_ path: String) throws {
    self.path = path
    inventory = try Inventory(contentsOf: path)
    file = try MappedFile(path: path)
  }

  /// The inventory with the digest of all content that it should have, as an attacker would write it.
  func sealed(_ inventory: Inventory) -> Inventory {
    let digest = Digest.content(Contents(file, inventory: inventory, failure: nil).digestEntries)
    var inventory = inventory
    for index in inventory.objects.indices where inventory.objects[index].path == Layout.root {
      inventory.objects[index].attributes[AttributeName.contentDigest] = .text(digest)
    }
    return inventory
  }

  /// Uses the file as the tool does; whether it could be opened, and what the rules found.
  func use(_ inventory: Inventory, reader: ContainerReader? = nil) throws -> (Bool, Set<String>) {
    let reader = reader ?? .answering(inventory)
    let all = try Examination(of: path, upTo: .bytes, reader: reader)
    let opened = try Examination(of: path, upTo: .header, reader: reader)
    let rules = Set(all.findings.map(\.rule))
    guard opened.worstLevel != .error else { return (false, rules) }
    do {
      _ = try Checkpoint(opened)
      let copy = path + ".copy"
      try opened.repack(to: copy, profile: .archive, replacing: true)
      try opened.edit(to: copy, replacing: true) { $0.fields[.license] = ["CC0-1.0"] }
    } catch is InvalidCheckpoint {
      // The data of the copy, which is read back, breaks a rule that openings do not check.
    } catch let error as HDF5Error {
      // Text that no attribute can hold.
      return (true, rules.union([error.operation]))
    }
    return (true, rules)
  }
}

@Suite("False answers of the HDF5 reader") struct ForeignInventoryTests {
  private func withAnswers(
    _ profile: StorageProfile, inTraining: Bool, _ body: (ForeignAnswer) throws -> Void
  ) throws {
    try withTemporaryFolder { folder in
      let model = Checkpoint.small(tied: true, hidden: [3], embedding: 3)
      try (inTraining ? model.inTraining() : model)
        .write(to: "\(folder)/a.h5", profile: profile)
      try body(ForeignAnswer("\(folder)/a.h5"))
    }
  }

  /// One to three lies about a true file, half of them with a digest that fits.
  @Test(
    "A false inventory of a file is a finding or harmless, and never traps",
    arguments: StorageProfile.allCases, [false, true])
  func changedAnswers(profile: StorageProfile, inTraining: Bool) throws {
    try withAnswers(profile, inTraining: inTraining) { answer in
      #expect(try answer.use(answer.inventory) == (true, []))
      var generator = SeededGenerator(seed: inTraining ? 41 : 42)
      var (openedCount, rules): (Int, Set<String>) = (0, [])
      for number in 0..<500 {
        var inventory = answer.inventory
        for _ in 0..<Int.random(in: 1...3, using: &generator) { generator.change(&inventory) }
        if number.isMultiple(of: 2) { inventory = answer.sealed(inventory) }
        let (isOpened, found) = try answer.use(inventory)
        openedCount += isOpened ? 1 : 0
        rules.formUnion(found)
      }
      // The lies reach every family of rules, and some of them nobody minds.
      #expect(openedCount > 5 && openedCount < 400, "\(openedCount) opened")
      #expect(Set(rules.compactMap(\.first)).isSuperset(of: "CXSAI"), "\(rules.sorted())")
      #expect(rules.count > 25, "\(rules.sorted())")
    }
  }

  @Test("An arbitrary inventory is refused")
  func arbitraryAnswers() throws {
    try withAnswers(.live, inTraining: false) { answer in
      var generator = SeededGenerator(seed: 43)
      for _ in 0..<1000 {
        let (isOpened, rules) = try answer.use(answer.sealed(generator.inventory()))
        #expect(!isOpened && !rules.isEmpty)
      }
    }
  }

  /// The bytes between the processes, some of them other ones.
  @Test("Changed bytes of an encoded inventory are refused, are findings or are harmless")
  func changedBytes() throws {
    try withAnswers(.archive, inTraining: true) { answer in
      let bytes = answer.inventory.encoded
      var generator = SeededGenerator(seed: 44)
      var readCount = 0
      for _ in 0..<1500 {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...3, using: &generator) {
          let place = Int.random(in: 0..<bytes.count, using: &generator)
          bytes[place] ^= UInt8.random(in: 1...255, using: &generator)
        }
        guard let inventory = Inventory(encoded: bytes[...]) else { continue }
        readCount += 1
        let (isOpened, rules) = try answer.use(inventory)
        #expect(isOpened || !rules.isEmpty)
      }
      #expect(readCount > 300, "\(readCount)")
    }
  }

  /// The decoded data is not the requested data: nothing, or other bytes, or an end that was not announced.
  @Test("Decoded data with other bytes, or none, is found", arguments: [false, true])
  func falseData(writesNoise: Bool) throws {
    try withAnswers(.archive, inTraining: true) { answer in
      let inventory = answer.inventory
      let reader = ContainerReader { _ in
        inventory
      } decode: { orders, _, descriptor throws(ContainerFailure) in
        guard writesNoise else { return }
        let noise = [UInt8](repeating: 0xA5, count: 1 << 20)
        for order in orders {
          pwrite(descriptor, noise, order.byteCount, off_t(order.offset))
        }
      }
      let (isOpened, rules) = try answer.use(inventory, reader: reader)
      #expect(!isOpened && rules.contains { $0.hasPrefix("V") }, "\(rules)")
    }
  }

  @Test("Decoded data that ends early is refused")
  func truncatedData() throws {
    try withAnswers(.archive, inTraining: false) { answer in
      let inventory = answer.inventory
      let reader = ContainerReader { _ in
        inventory
      } decode: { orders, path, descriptor throws(ContainerFailure) in
        try ContainerReader.inProcess.decode(orders, path, descriptor)
        ftruncate(descriptor, 10)
      }
      let (isOpened, rules) = try answer.use(inventory, reader: reader)
      #expect(!isOpened && rules == ["I005"], "\(rules)")
    }
  }

  /// A report stays short, and says what it leaves out.
  @Test("A rule reports at most 1000 findings and counts the others")
  func findingLimit() throws {
    try withAnswers(.live, inTraining: false) { answer in
      var inventory = answer.inventory
      inventory.objects += (0..<1500).map {
        InventoryObject(path: "/link\($0)", kind: .softLink, linkCount: 0)
      }
      let examination = try Examination(
        of: answer.path, upTo: .header, reader: .answering(inventory))
      let findings = examination.findings.filter { $0.rule == "X002" }
      #expect(findings.count == 1000)
      #expect(findings.first?.found == "a soft link")
      #expect(findings.last?.found == "a soft link (and 500 more findings of this rule)")
    }
  }
}
