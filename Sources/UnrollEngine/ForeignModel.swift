// A model of a foreign format, read for a report rather than for a conversion.

import UnrollFormat
import UnrollHDF5
import UnrollInterchange
import UnrollTensors

/// The kind of a model file, with its content.
public enum ModelFile: Sendable {
  /// An Unroll checkpoint, with the findings of the rules; it may be invalid.
  case checkpoint(Examination)
  /// A model of a foreign format.
  case foreign(ForeignModel)

  /// Reads a model of any format, detected by content.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - options: Information that a foreign file lacks. A vocabulary is not necessary.
  ///   - cost: The most expensive rules to run in a checkpoint.
  ///   - reader: Runs libhdf5, by default in this process.
  /// - Throws: The errors of `convert`, except those of an invalid checkpoint.
  public init(
    contentsOf path: String, options: ConversionOptions, upTo cost: Cost,
    reader: ContainerReader = .inProcess
  ) throws {
    let location = try ModelLocation(path)
    let path = location.path
    let file = try MappedFile(path: path)
    if let examination = try checkpointExamination(of: file, upTo: cost, reader: reader) {
      try options.refuseInformation(besideCheckpoint: path, expecting: "only the checkpoint")
      self = .checkpoint(examination)
    } else {
      var model = try ForeignModel(file, options: options, reader: reader)
      model.conversion.notes = location.notes + model.conversion.notes
      self = .foreign(model)
    }
  }
}

/// A model of a foreign format and the notes of its reader.
public struct ForeignModel: Sendable {
  /// The name of the format.
  public let format: String
  /// The size of the file.
  public let bytes: Int
  /// The model, and what is not preserved in it or assumed; `Vocabulary.isPlaceholder` is `true` for
  /// tokens that neither the file nor the options give.
  public fileprivate(set) var conversion: Conversion

  init(_ file: MappedFile, options: ConversionOptions, reader: ContainerReader) throws {
    let format = try foreignFormat(of: file, reader: reader)
    var options = options
    options.requiresVocabulary = false
    let notes: [Note]
    (options, notes) = try options.completed(beside: file, of: format)
    let tokens = try options.tokens { _ in }
    var conversion = try format.read(
      file, options: options.readingOptions(of: file, format, tokens: tokens, reader: reader))
    conversion.notes = notes + tokens.notes + conversion.notes
    bytes = try format.companions(of: file).reduce(file.count) {
      try $0 + MappedFile(path: $1).count
    }
    self.format = format.name
    self.conversion = conversion
  }
}
