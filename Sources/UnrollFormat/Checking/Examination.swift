// Opens a file and runs the rules over it, the root causes first.

import UnrollHDF5
import UnrollTensors

/// A file and the findings of the rules in it.
public struct Examination: Sendable {
  /// The file as the rules saw it.
  public let contents: Contents
  /// Reads the container of the file.
  let reader: ContainerReader
  /// The findings in the order of the rules.
  public private(set) var findings: [Finding]
  /// The ids of the rules that were checked: those behind a family with errors are not.
  public private(set) var checkedRules: Set<String>

  /// Runs the rules over a file.
  ///
  /// Families build on each other, so after a family with errors the later ones are not run: a soft
  /// link is one finding, not also a missing dataset. libhdf5 sees the file only if its first bytes
  /// break no rule.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - cost: The most expensive rules to run.
  ///   - reader: Runs libhdf5; in this process by default.
  /// - Throws: `FileError` if the file cannot be read.
  public init(
    of path: String, upTo cost: Cost, reader: ContainerReader = .inProcess
  ) throws(FileError) {
    self.reader = reader
    let file = try MappedFile(path: path)
    let container = Contents(container: file)
    let containerRules = Rule.all.filter { $0.cost == .container }
    let containerFindings = containerRules.flatMap { $0.findings(in: container) }
    guard !containerFindings.contains(where: { $0.level == .error }) else {
      contents = container
      findings = containerFindings
      checkedRules = Set(containerRules.map(\.id))
      return
    }
    var contents: Contents
    do throws(ContainerFailure) {
      contents = Contents(file, inventory: try reader.inventory(path), failure: nil)
    } catch {
      if let error = error.fileError(path: path) { throw error }
      contents = Contents(file, inventory: Inventory(objects: []), failure: error)
    }
    let (rules, others) = try Self.check(&contents, upTo: cost) { contents throws(FileError) in
      try contents.decode(with: reader) { cost != .header || !Layout.isWeight($0) }
    }
    self.contents = contents
    findings = containerFindings + others
    checkedRules = Set((containerRules + rules).map(\.id))
  }

  /// Runs the families of rules after those of the first bytes.
  ///
  /// - Parameters:
  ///   - contents: The file. Out: decoded where `decode` did.
  ///   - cost: The most expensive rules to run.
  ///   - decode: Decodes chunked data; called only if that is known to be safe.
  /// - Returns: The rules that were checked, and their findings.
  /// - Throws: `FileError` if there is no room for decoded data.
  private static func check(
    _ contents: inout Contents, upTo cost: Cost, decode: (inout Contents) throws(FileError) -> Void
  ) throws(FileError) -> (checked: [Rule], findings: [Finding]) {
    var checked: [Rule] = []
    var findings: [Finding] = []
    for stage in ["C", "X", "S", "ATV", "OR", "I", "EMPQ"] {
      if stage == "ATV" { try decode(&contents) }
      if stage.contains("Q"), cost == .bytes { contents.summarize() }
      let rules = Rule.all.filter { rule in
        stage.contains(rule.family) && rule.cost != .container
          && (rule.cost == .header || (rule.cost == .bytes && cost == .bytes))
      }
      checked += rules
      findings += rules.flatMap { $0.findings(in: contents) }
      guard findings.contains(where: { $0.level == .error }) else { continue }
      // A wrong digest must not hide that the numbers are none: this is why many a digest is wrong.
      if stage == "I", cost == .bytes {
        contents.summarize()
        checked.append(.numbersAreFinite)
        findings += Rule.numbersAreFinite.findings(in: contents)
      }
      break
    }
    return (checked, findings)
  }

  /// Returns the examination with the findings of running the self-test; the same where there is none to run,
  /// or a rule of level error is broken.
  ///
  /// - Parameter compute: Gives the log-probabilities of a self-test's tokens after the first,
  ///   `[N - 1]`, from a zero state, and how far rounding can move them; `UnrollEngine` has a function for
  ///   it, `replay`.
  /// - Returns: This examination and the findings of the replay.
  /// - Throws: The errors of `compute`, and those of reading the checkpoint.
  public func replaying(
    _ compute: (Checkpoint, SelfTest) throws -> Replay
  ) throws -> Examination {
    guard worstLevel != .error, contents.exists(Layout.selfTest) else { return self }
    var examination = self
    let checkpoint = try Checkpoint(self)
    var contents = contents
    contents.replay = try checkpoint.selfTest.map { try compute(checkpoint, $0) }
    let rules = Rule.all.filter { $0.cost == .replay }
    examination.findings += rules.flatMap { $0.findings(in: contents) }
    examination.checkedRules.formUnion(rules.map(\.id))
    return examination
  }

  /// `true` if the file has a self-test that `replaying` can compute.
  public var hasSelfTest: Bool { worstLevel != .error && contents.exists(Layout.selfTest) }

  /// The ids of the rules that an error kept from being checked.
  ///
  /// Rules that were not requested, such as those of the self-test, are not among them in a valid file.
  public var barredRules: Set<String> {
    worstLevel == .error ? Set(Rule.all.map(\.id)).subtracting(checkedRules) : []
  }

  /// The worst level among the findings, or `nil` if there are none.
  public var worstLevel: Level? { findings.map(\.level).max() }
}

/// A file that breaks a rule of level error, and every finding in it.
public struct InvalidCheckpoint: Error, Sendable, CustomStringConvertible {
  /// The findings of the rules.
  public let findings: [Finding]

  /// The errors, one after the other.
  public var description: String {
    findings.filter { $0.level == .error }.map(\.description).joined(separator: "\n")
  }
}

extension Examination {
  /// The statements of a file's root about the file.
  public struct Header: Sendable {
    /// The version of the format.
    public let formatVersion: String
    /// The tool that wrote the file.
    public let producer: String
    /// The digest of the function that the model computes.
    public let weightsDigest: String?
    /// The digest of all content.
    public let contentDigest: String?
  }

  /// The statements of the root about the file; empty texts if it has none.
  public var header: Header {
    Header(
      formatVersion: contents.text(Layout.root, AttributeName.formatVersion) ?? "",
      producer: contents.text(Layout.root, AttributeName.producer) ?? "",
      weightsDigest: contents.text(Layout.root, AttributeName.weightsDigest),
      contentDigest: contents.text(Layout.root, AttributeName.contentDigest))
  }

  /// The sign that the file is HDF5 of another kind; `nil` for a checkpoint, damaged or not, and for a file
  /// that is not HDF5 or too damaged to tell.
  public var otherKind: String? {
    if let superblock = contents.superblock, superblock.version != 2 {
      return "superblock version \(superblock.version) where Unroll writes 2"
    }
    guard contents.object(Layout.root)?.kind == .group else { return nil }
    let format = contents.text(Layout.root, AttributeName.format)
    guard format != Layout.format else { return nil }
    return format.map { "root attribute format is \"\($0)\"" } ?? "root attribute format is missing"
  }

  /// Returns the location of a contiguous dataset's bytes, or `nil` if there is none in the file.
  public func extent(of object: String) -> Range<Int>? {
    guard let dataset = contents.dataset(object), let offset = dataset.offset,
      let start = Int(exactly: offset), let count = Int(exactly: dataset.storageSize),
      start <= contents.file.count, count <= contents.file.count - start
    else { return nil }
    return start..<start + count
  }

  /// Returns the digest that the file states for a parameter.
  public func digest(of path: ParameterPath) -> String? {
    contents.text(path.description, AttributeName.digest)
  }
}
