// Writes models under the caller's own names.

import UnrollFormat
import UnrollTensors

/// A format that can write tensors under the names of a map.
protocol NameWritingFormat: NamedFormat {
  /// Returns notes on properties that a file under such names would not preserve.
  ///
  /// - Throws: `InterchangeError` for tensors that are missing or that the format cannot represent.
  static func exportNotes(for checkpoint: Checkpoint, naming: StateNaming) throws -> [Note]

  /// Writes a checkpoint under names.
  ///
  /// - Parameters:
  ///   - checkpoint: The model.
  ///   - naming: The names.
  ///   - path: An existing file, which is overwritten.
  ///   - progress: Called with the number of bytes of tensors written since the last call.
  /// - Throws: `InterchangeError` for tensors that the format cannot represent, `FileError` if the
  ///   file cannot be written.
  static func write(
    _ checkpoint: Checkpoint, naming: StateNaming, to path: String, progress: (Int) -> Void
  ) throws
}

extension ForeignFormat {
  /// `true` if models can also be written under the names of a map.
  public static var writesNames: Bool { self is any NameWritingFormat.Type }

  /// Returns the model as a file under the names of a map represents it: the same; without a map,
  /// the result of `held`.
  ///
  /// - Throws: `InterchangeError` if the format cannot represent the model at all.
  public static func held(_ checkpoint: Checkpoint, map: NameMap) throws -> Checkpoint {
    map.isEmpty ? try held(checkpoint) : checkpoint
  }

  /// Returns notes on properties that a file under the names of a map would not preserve.
  ///
  /// - Parameters:
  ///   - checkpoint: The model.
  ///   - map: The names; empty for the format's own.
  /// - Returns: The notes.
  /// - Throws: `InterchangeError` if the format cannot represent the model or does not support
  ///   names, or if the map does not fit the model.
  public static func exportNotes(for checkpoint: Checkpoint, map: NameMap) throws -> [Note] {
    try checkParts(checkpoint.architecture)
    if map.isEmpty { return try exportNotes(for: checkpoint) }
    let (format, naming) = try naming(map, checkpoint)
    let places = map.ignored.sorted()
    return try format.exportNotes(for: checkpoint, naming: naming)
      + (naming.mapped?.misreadings ?? [])
      + places.map {
        Note(
          place: $0, message: "not preserved: the map ignores it, so a checkpoint does not have it")
      } + [
        Note(
          place: "/model", message: "names as in the map; to convert back, give the same --map",
          isHarmless: true)
      ]
  }

  /// Writes a checkpoint under the names of a map, or the format's own if it is empty.
  static func write(
    _ checkpoint: Checkpoint, map: NameMap, to path: String, progress: (Int) -> Void
  ) throws {
    if map.isEmpty { return try write(checkpoint, to: path, progress: progress) }
    let (format, naming) = try naming(map, checkpoint)
    try format.write(checkpoint, naming: naming, to: path, progress: progress)
  }

  private static func naming(
    _ map: NameMap, _ checkpoint: Checkpoint
  ) throws -> (any NameWritingFormat.Type, StateNaming) {
    guard let format = self as? any NameWritingFormat.Type else {
      let formats = AllFormats.written.filter { $0.writesNames }.map { $0.name }
      throw MappedNames.error(
        map, "", expected: "an output whose tensors have names of the caller's (\(list(formats)))",
        found: name, fix: "leave --map out, or give another output, such as `-o model.pt`")
    }
    return (format, .mapped(try MappedNames(map, of: checkpoint.architecture)))
  }
}
