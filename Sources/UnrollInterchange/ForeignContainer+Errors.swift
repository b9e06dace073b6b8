// Opens HDF5 files of other programs, with errors that give advice.

import UnrollFormat
import UnrollHDF5
import UnrollTensors

extension ForeignContainer {
  /// Opens a file with its chunked data decoded.
  ///
  /// - Parameters:
  ///   - image: The bytes of the HDF5 file.
  ///   - file: The file, or the file that contains it.
  ///   - place: The location in that file.
  ///   - expected: The expectation, for errors.
  ///   - fix: The advice, for errors.
  ///   - reader: Runs libhdf5.
  /// - Returns: The container.
  /// - Throws: `InterchangeError` if libhdf5 cannot read it; `FileError` if libhdf5 cannot be run.
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
  /// Returns the failure as an error about a file.
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
