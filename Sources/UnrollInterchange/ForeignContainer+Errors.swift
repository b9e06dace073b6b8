// HDF5 files of other programs, opened with errors that say what to do.

import UnrollFormat
import UnrollTensors

extension ForeignContainer {
  /// Opens a file, its data in chunks decoded.
  ///
  /// - Parameters:
  ///   - image: Its bytes.
  ///   - file: The file that it is, or that it is a part of.
  ///   - place: Where in that file it is.
  ///   - expected: What it should be, for errors.
  ///   - fix: How its user makes it again, for errors.
  ///   - reader: Runs libhdf5.
  /// - Returns: The objects.
  /// - Throws: `InterchangeError` if libhdf5 does not get through it; `FileError` if it cannot be run.
  static func opened(
    _ image: ByteStorage, of file: MappedFile, place: String, expected: String, fix: String,
    reader: ContainerReader
  ) throws -> ForeignContainer {
    do {
      var container = try ForeignContainer(image, name: file.path, reader: reader)
      try container.decode()
      return container
    } catch let failure as ContainerFailure {
      throw failure.error(file: file, place: place, expected: expected, fix: fix)
    }
  }
}

extension ContainerFailure {
  /// The failure as an error about a file.
  func error(
    file: MappedFile, place: String, expected: String, fix: String
  ) -> InterchangeError {
    if case .refused(let reason) = self,
      let sizes = reason.firstMatch(of: /truncated file: eof = (\d+), .*stored_eof = (\d+)/)
    {
      return InterchangeError(
        file: file.path, place: place, expected: "\(expected) of \(sizes.2) bytes, as it says",
        found: "\(sizes.1) bytes", fix: "the file is cut off: copy it again, or " + fix)
    }
    let (inside, found) =
      switch self {
      case .refused(let reason): ("", "what libhdf5 refuses (\(reason))")
      case .died(let how): ("", how)
      case .undecodable(let object, let reason): (object, "what libhdf5 cannot decode (\(reason))")
      case .unavailable(let operation, _): ("", operation)
      }
    let separator = place.isEmpty || inside.isEmpty ? "" : ": "
    return InterchangeError(
      file: file.path, place: place + separator + inside, expected: expected, found: found,
      fix: "the file is damaged, or not what it says: do not trust it; else " + fix)
  }
}
