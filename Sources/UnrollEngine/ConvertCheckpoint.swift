// Reads Unroll checkpoints as inputs of a conversion.

import UnrollFormat
import UnrollHDF5
import UnrollInterchange
import UnrollTensors

/// Returns `true` if a file looks like a model of any supported format, by content.
public func isModel(_ file: MappedFile) -> Bool {
  isHDF5(file) || AllFormats.format(of: file) != nil
}

func isHDF5(_ file: MappedFile) -> Bool {
  file.copy(0..<8) == [0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A]
}

/// Returns the findings of all rules in a checkpoint, since its whole content goes into another
/// file, or of the rules up to a cost; `nil` for other files, including other HDF5 files.
func checkpointExamination(
  of file: MappedFile, upTo cost: Cost = .bytes, reader: ContainerReader
) throws -> Examination? {
  guard isHDF5(file) else { return nil }
  let examination = try Examination(of: file.path, upTo: cost, reader: reader)
  return examination.otherKind == nil ? examination : nil
}

/// Opens a checkpoint to be written in a foreign format.
///
/// - Throws: `InvalidCheckpoint` if it breaks a rule; `InterchangeError` for options that do not
///   apply to checkpoints.
func readCheckpoint(
  _ examination: Examination, _ path: String, options: ConversionOptions
) throws -> Conversion {
  let checkpoint = try Checkpoint(examination)
  if case .checkpoint = options.target, options.dtype == nil {
    throw InterchangeError(
      file: path, place: "",
      expected: "an output of another format, since this is an Unroll checkpoint",
      found: "one whose name is that of an Unroll checkpoint",
      fix:
        "name it as one of another format, such as `-o model.pt` or `-o model.keras`, or give --to; --dtype rounds "
        + "the numbers of a checkpoint")
  }
  let namesOutput = if case .foreign = options.target { true } else { false }
  try options.refuseInformation(
    besideCheckpoint: path, expecting: "only the checkpoint and an output", exceptMap: namesOutput)
  // Findings of the level `note` are of no concern to an export.
  let notes = examination.findings.filter { $0.level != .note }.map { finding in
    Note(
      place: finding.object,
      message: "\(finding.level.rawValue) \(finding.rule): expected "
        + "\(finding.expected); found \(finding.found)")
  }
  var conversion = Conversion(ownCheckpoint: checkpoint, notes: notes)
  conversion.outputNames = try options.names.map { try NameMap(contentsOf: $0) } ?? NameMap()
  return conversion
}

extension ConversionOptions {
  /// Refuses information that foreign files lack and a checkpoint has.
  ///
  /// - Parameters:
  ///   - path: The checkpoint.
  ///   - expected: The expectation of the message.
  ///   - allowsMap: `true` if a map gives the names of an output.
  /// - Throws: `InterchangeError` if there is any.
  func refuseInformation(
    besideCheckpoint path: String, expecting expected: String, exceptMap allowsMap: Bool = false
  ) throws {
    guard case .file = vocabulary, nonlinearity == nil, names == nil || allowsMap,
      ignored.isEmpty, root == nil, gateActivation == nil, forgetBias == nil,
      configuration == nil, special == SpecialTokens()
    else {
      throw InterchangeError(
        file: path, place: "", expected: expected,
        found:
          "a corpus, a vocabulary, tokens, a nonlinearity, ignored names, a map or a configuration beside it",
        fix: "leave them out: a checkpoint holds all that")
    }
  }
}
