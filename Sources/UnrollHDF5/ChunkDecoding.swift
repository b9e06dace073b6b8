// Decodes chunked and filtered datasets into a file of plain bytes.

import CHDF5
import UnrollTensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A dataset to be decoded, and the location of the decoded bytes in the output.
public struct DecodingOrder: Sendable, Hashable {
  /// The path of the dataset.
  public var path: String
  /// The type of its elements.
  public var element: DType
  /// Its dimensions; at least one, none of them 0.
  public var dimensions: [Int]
  /// The number of rows (entries of the first dimension) of a chunk.
  public var rowsPerChunk: Int
  /// The offset of its first byte in the output.
  public var offset: Int
  /// The number of chunks.
  public var chunkCount: Int
  /// The size of a chunk, or of a run of rows that is as high as one, whichever is larger, in bytes.
  public var chunkSize: Int

  /// The number of decoded bytes.
  public var byteCount: Int { dimensions.reduce(element.size, *) }

  /// The offset of the dataset after this one in the output: a multiple of 64 bytes.
  package var nextOffset: Int { (offset + byteCount + 63) / 64 * 64 }

  /// Creates an order for a dataset whose chunks are made of whole rows.
  public init(
    path: String, element: DType, dimensions: [Int], rowsPerChunk: Int, offset: Int
  ) {
    self.path = path
    self.element = element
    self.dimensions = dimensions
    self.rowsPerChunk = rowsPerChunk
    self.offset = offset
    chunkCount = dimensions[0] / rowsPerChunk + 1
    chunkSize = dimensions.dropFirst().reduce(element.size * rowsPerChunk, *)
  }
}

/// Decodes datasets of a file, a chunk of rows at a time.
///
/// Runs libhdf5 on the file's data in this process; see the remarks of `Inventory`. The caller has
/// checked by the rules that sizes are plausible and that chunks are made of whole rows.
///
/// - Parameters:
///   - orders: The datasets to decode.
///   - path: The file.
///   - descriptor: The output, open for writing.
/// - Throws: `HDF5Error` if the library cannot read a chunk, as when its checksum is wrong, or if the
///   output cannot be written.
public func decodeDatasets(
  _ orders: [DecodingOrder], of path: String, into descriptor: Int32
) throws(HDF5Error) {
  let file = try openForReading(path)
  for order in orders {
    let object = order.path
    let dataset = try Handle(H5Dclose, "open dataset", file: path, object: object) {
      H5Dopen2(file.id, object, hid_t(H5P_DEFAULT))
    }
    let type = try order.element.datatype(file: path)
    try decode(order, dataset, type, file: path, into: descriptor)
  }
}

/// Decodes datasets of another program's file that is in memory, in chunks of any shape or in their
/// headers.
///
/// The caller has checked that sizes are plausible.
///
/// - Parameters:
///   - orders: The datasets to decode.
///   - image: The bytes of the file.
///   - name: The name of the file in errors.
///   - descriptor: The output, open for writing.
/// - Throws: `HDF5Error` as the function above.
public func decodeDatasets(
  _ orders: [DecodingOrder], ofForeign image: ByteStorage, name: String, into descriptor: Int32
) throws(HDF5Error) {
  try withOpenImage(image, name: name) { file throws(HDF5Error) in
    for order in orders {
      let dataset = try ForeignDataset(order.path, of: file, name: name)
      let id = dataset.handle.id
      guard
        [.element(order.element), .bigEndian(order.element)].contains(dataset.description.datatype)
      else { throw changed(order.path, name) }
      // Its own type, bytes as they are: no float, but opaque, if it is h5py's bfloat16.
      let type = try Handle(H5Tclose, "read datatype", file: name, object: order.path) {
        H5Dget_type(id)
      }
      try decode(order, dataset.handle, type, file: name, into: descriptor)
    }
  }
}

/// Returns the error of a dataset that is not what an inventory said.
func changed(_ object: String, _ file: String) -> HDF5Error {
  HDF5Error(operation: "decode", file: file, object: object, reason: "its shape changed meanwhile")
}

private func decode(
  _ order: DecodingOrder, _ dataset: borrowing Handle, _ type: borrowing Handle, file path: String,
  into descriptor: Int32
) throws(HDF5Error) {
  let object = order.path
  let (dataset, type) = (dataset.id, type.id)
  let space = try Handle(H5Sclose, "read dataspace", file: path, object: object) {
    H5Dget_space(dataset)
  }
  guard try dimensionsOf(space.id, path: object, file: path) == order.dimensions.map(UInt64.init)
  else { throw changed(object, path) }
  let (rows, width) = (order.dimensions[0], order.dimensions.dropFirst())
  let rowSize = width.reduce(order.element.size, *)
  var buffer = [UInt8](repeating: 0, count: min(rows, order.rowsPerChunk) * rowSize)
  for row in stride(from: 0, to: rows, by: order.rowsPerChunk) {
    let count = min(order.rowsPerChunk, rows - row)
    let start = [hsize_t(row)] + width.map { _ in 0 }
    let extent = [hsize_t(count)] + width.map { hsize_t($0) }
    _ = try h5("select rows", file: path, object: object) {
      H5Sselect_hyperslab(space.id, H5S_SELECT_SET, start, nil, extent, nil)
    }
    let memory = try Handle(H5Sclose, "select rows", file: path, object: object) {
      H5Screate_simple(CInt(extent.count), extent, nil)
    }
    _ = try h5("read rows from \(row)", file: path, object: object) {
      H5Dread(dataset, type, memory.id, space.id, hid_t(H5P_DEFAULT), &buffer)
    }
    guard write(buffer[..<(count * rowSize)], to: descriptor, at: order.offset + row * rowSize)
    else {
      throw HDF5Error(
        operation: "write decoded data", file: path, object: object,
        reason: String(cString: strerror(errno)).lowercased())
    }
  }
}

/// Writes all bytes at an offset of a file; `false` with `errno` if the system cannot.
private func write(_ bytes: ArraySlice<UInt8>, to descriptor: Int32, at offset: Int) -> Bool {
  bytes.withUnsafeBytes { bytes in
    var done = 0
    while done < bytes.count {
      let count = pwrite(
        descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, off_t(offset + done))
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { return false }
      done += count
    }
    return true
  }
}
