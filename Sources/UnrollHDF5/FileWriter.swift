// Writes a new HDF5 file whose bytes depend on its content alone.

import CHDF5
import UnrollTensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The storage of a file's data.
public enum StorageProfile: String, Sendable, Hashable, CaseIterable {
  /// Each dataset in one run of bytes that can be mapped into memory: quick to load.
  case live
  /// Each dataset in compressed chunks with checksums: small, and decoded when it is loaded.
  case archive
}

/// A new HDF5 file: superblock 2, no times, data on multiples of 64 bytes.
///
/// Equal calls give equal bytes. Nothing here makes the file safe on disk: libhdf5 never calls
/// `fsync`.
public struct FileWriter: ~Copyable {
  /// The path of the file.
  public let path: String
  let file: Handle
  private let behind: WriteBehind

  /// Creates a file, or empties the one that is there.
  ///
  /// - Throws: `HDF5Error` if the library cannot create it.
  public init(creating path: String) throws(HDF5Error) {
    let file = try FileWriter.create(path)
    self.path = path
    self.file = file
    behind = WriteBehind(path: path)
  }

  private static func create(_ path: String) throws(HDF5Error) -> Handle {
    let creation = try Handle(H5Pclose, "prepare file", file: path) {
      H5Pcreate(unroll_H5P_FILE_CREATE())
    }
    try FileWriter.makeReproducible(creation.id, file: path)
    let access = try Handle(H5Pclose, "prepare file", file: path) {
      H5Pcreate(unroll_H5P_FILE_ACCESS())
    }
    // 1.8's format: superblock 2, checksummed metadata, large attributes, read by every HDF5 since.
    _ = try h5("set version", file: path) {
      H5Pset_libver_bounds(access.id, H5F_LIBVER_V18, H5F_LIBVER_V18)
    }
    // From the first byte on: with a threshold, small biases stay unaligned.
    _ = try h5("set alignment", file: path) { H5Pset_alignment(access.id, 1, 64) }
    // The program that creates the file locks it against others; on network file systems a second lock,
    // libhdf5's, would be one too many.
    _ = try h5("switch locks off", file: path) { unroll_switch_locks_off(access.id) }
    return try Handle(H5Fclose, "create file", file: path) {
      H5Fcreate(path, unroll_H5F_ACC_TRUNC(), creation.id, access.id)
    }
  }

  /// Sets the properties of an object to be created: no times, attributes and links in its header.
  private static func makeReproducible(_ creation: hid_t, file: String) throws(HDF5Error) {
    _ = try h5("switch times off", file: file) { H5Pset_obj_track_times(creation, false) }
    _ = try h5("set attribute storage", file: file) { H5Pset_attr_phase_change(creation, 64, 32) }
  }

  /// Reserves disk space, so that a full disk is met before anything is written.
  ///
  /// The size of the file stays as it is. File systems that cannot reserve are left alone.
  ///
  /// - Throws: `HDF5Error` if the disk has no room.
  public func reserve(_ byteCount: Int) throws(HDF5Error) {
    let code = unroll_reserve(path, Int64(byteCount))
    guard code != 0 else { return }
    throw HDF5Error(
      operation: "reserve \(byteCount) bytes", file: path, object: "/",
      reason: String(cString: strerror(code)).lowercased())
  }

  /// Creates a group; its parent exists.
  ///
  /// - Throws: `HDF5Error` if the library cannot.
  public func createGroup(_ object: String) throws(HDF5Error) {
    let creation = try Handle(H5Pclose, "prepare group", file: path, object: object) {
      H5Pcreate(unroll_H5P_GROUP_CREATE())
    }
    try FileWriter.makeReproducible(creation.id, file: path)
    _ = try h5("set link storage", file: path, object: object) {
      H5Pset_link_phase_change(creation.id, 64, 32)
    }
    let group = try Handle(H5Gclose, "create group", file: path, object: object) {
      H5Gcreate2(file.id, object, hid_t(H5P_DEFAULT), creation.id, hid_t(H5P_DEFAULT))
    }
    try group.close(file: path, object: object)
  }

  /// Creates a dataset and writes its elements.
  ///
  /// - Parameters:
  ///   - object: The path; its parent exists.
  ///   - element: The type of the elements, on disk and in `bytes`.
  ///   - dimensions: The shape.
  ///   - bytes: The elements, little-endian, as many as type and shape say.
  ///   - profile: The storage of the elements.
  /// - Throws: `HDF5Error` if the library cannot.
  public func createDataset(
    _ object: String, element: DType, dimensions: [Int], bytes: UnsafeRawBufferPointer,
    profile: StorageProfile = .live
  ) throws(HDF5Error) {
    precondition(dimensions.reduce(element.size, *) == bytes.count, "bytes fit type and shape")
    let type = try element.datatype(file: path)
    let extent = dimensions.map { hsize_t($0) }
    let space = try Handle(H5Sclose, "create dataspace", file: path, object: object) {
      H5Screate_simple(CInt(extent.count), extent, nil)
    }
    let creation = try Handle(H5Pclose, "prepare dataset", file: path, object: object) {
      H5Pcreate(unroll_H5P_DATASET_CREATE())
    }
    try FileWriter.makeReproducible(creation.id, file: path)
    // There are no chunks of nothing: empty datasets and single numbers stay contiguous. So do rows that are
    // larger than the largest chunk.
    if profile == .archive, let rowCount = dimensions.first, !bytes.isEmpty,
      bytes.count / rowCount <= Self.maximumChunkSize
    {
      try setChunks(creation.id, of: dimensions, element, object)
    } else {
      _ = try h5("set allocation", file: path, object: object) {
        H5Pset_alloc_time(creation.id, H5D_ALLOC_TIME_EARLY)
      }
    }
    // Every byte is written below, so none is filled first.
    _ = try h5("set fill", file: path, object: object) {
      H5Pset_fill_time(creation.id, H5D_FILL_TIME_NEVER)
    }
    let dataset = try Handle(H5Dclose, "create dataset", file: path, object: object) {
      H5Dcreate2(
        file.id, object, type.id, space.id, hid_t(H5P_DEFAULT), creation.id, hid_t(H5P_DEFAULT))
    }
    try write(bytes, of: dimensions, to: dataset, type, space, object)
    // Small data waits in a buffer: only closing tells whether it was written.
    try dataset.close(file: path, object: object)
  }

  /// Writes all elements of a dataset, a block of rows at a time.
  private func write(
    _ bytes: UnsafeRawBufferPointer, of dimensions: [Int], to dataset: borrowing Handle,
    _ type: borrowing Handle, _ space: borrowing Handle, _ object: String
  ) throws(HDF5Error) {
    // Memory type = file type: libhdf5 never converts (its narrowing of floats is wrong).
    guard bytes.count > WriteBehind.blockSize, let rowCount = dimensions.first, rowCount > 1 else {
      _ = try h5("write dataset", file: path, object: object) {
        H5Dwrite(
          dataset.id, type.id, hid_t(H5S_ALL), hid_t(H5S_ALL), hid_t(H5P_DEFAULT),
          bytes.baseAddress)
      }
      return
    }
    // Undefined for chunks, which lie here and there.
    let offset = H5Dget_offset(dataset.id)
    let rowSize = bytes.count / rowCount
    var start = [hsize_t](repeating: 0, count: dimensions.count)
    var block = dimensions.map { hsize_t($0) }
    let rows = max(1, WriteBehind.blockSize / rowSize)
    for row in stride(from: 0, to: rowCount, by: rows) {
      let count = min(rows, rowCount - row)
      (start[0], block[0]) = (hsize_t(row), hsize_t(count))
      _ = try h5("select rows", file: path, object: object) {
        H5Sselect_hyperslab(space.id, H5S_SELECT_SET, start, nil, block, nil)
      }
      let memory = try Handle(H5Sclose, "create dataspace", file: path, object: object) {
        H5Screate_simple(CInt(block.count), block, nil)
      }
      _ = try h5("write dataset", file: path, object: object) {
        H5Dwrite(
          dataset.id, type.id, memory.id, space.id, hid_t(H5P_DEFAULT),
          bytes.baseAddress.map { $0 + row * rowSize })
      }
      if let offset = Int(exactly: offset) { behind.advance(to: offset + (row + count) * rowSize) }
    }
  }

  /// The most bytes of a chunk that has more than one row, as it is written.
  private static let chunkSize = 1 << 20
  /// The most bytes that a chunk may have.
  public static let maximumChunkSize = 16 << 20

  /// Cuts a dataset into chunks of whole rows, shuffled, compressed and checksummed.
  private func setChunks(
    _ creation: hid_t, of dimensions: [Int], _ element: DType, _ object: String
  ) throws(HDF5Error) {
    let rowSize = dimensions.dropFirst().reduce(element.size, *)
    let rows = min(dimensions[0], max(1, Self.chunkSize / rowSize))
    let chunk = [hsize_t(rows)] + dimensions.dropFirst().map { hsize_t($0) }
    _ = try h5("set chunks", file: path, object: object) {
      H5Pset_chunk(creation, CInt(chunk.count), chunk)
    }
    _ = try h5("set filter", file: path, object: object) { H5Pset_shuffle(creation) }
    // Of an LSTM's weights level 4 leaves 85.7 percent; levels 6 and 9 leave 85.2 and 85.0, and take
    // 2.6 and 7 times as long.
    _ = try h5("set filter", file: path, object: object) { H5Pset_deflate(creation, 4) }
    _ = try h5("set filter", file: path, object: object) { H5Pset_fletcher32(creation) }
  }

  /// Gives an object a second name.
  ///
  /// - Throws: `HDF5Error` if the library cannot.
  public func createHardLink(_ object: String, to target: String) throws(HDF5Error) {
    _ = try h5("create hard link", file: path, object: object) {
      H5Lcreate_hard(
        file.id, target, file.id, object, hid_t(H5P_DEFAULT), hid_t(H5P_DEFAULT))
    }
  }

  /// Hands all written data to the operating system.
  ///
  /// - Throws: `HDF5Error` if the library cannot.
  public func flush() throws(HDF5Error) {
    _ = try h5("flush", file: path) { H5Fflush(file.id, H5F_SCOPE_GLOBAL) }
  }

  /// Ends the file; a full disk may be reported only here.
  ///
  /// - Throws: `HDF5Error` if the library cannot.
  public consuming func close() throws(HDF5Error) {
    let path = path
    try file.close(file: path)
  }
}
