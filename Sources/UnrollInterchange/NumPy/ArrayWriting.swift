// Writes named arrays as NumPy's .npz.

import UnrollTensors

/// Writes arrays into an archive that `numpy.load` reads: uncompressed, in the given order.
///
/// - Parameters:
///   - arrays: The arrays, of float32 or int64.
///   - path: The file, which exists; it is emptied.
/// - Throws: `FileError` if it cannot be written.
package func writeArrays(_ arrays: [(name: String, tensor: Tensor)], to path: String) throws {
  var archive = try ZipWriter(emptying: path)
  for (name, tensor) in arrays {
    precondition([.float32, .int64].contains(tensor.dtype), "\(name) is float32 or int64")
    try archive.add(
      name + ".npy",
      header: NPYHeader.bytes(
        type: tensor.dtype == .int64 ? "<i8" : "<f4", shape: tensor.shape.dimensions),
      tensor.storage)
  }
  try archive.finish()
}
