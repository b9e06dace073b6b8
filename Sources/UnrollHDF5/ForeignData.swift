// Data of other programs' files: datasets opened where hard links lead, strings of variable length.

import CHDF5
import UnrollTensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A dataset of another program's file, open; its data is in the file.
struct ForeignDataset: ~Copyable {
  let handle: Handle
  let description: DatasetDescription

  /// Opens a dataset as an inventory's walk does, by the addresses of hard links.
  ///
  /// Looked up by its name it could lead through other links, and out of the file.
  ///
  /// - Throws: `HDF5Error` if there is none, or its data is elsewhere.
  init(_ path: String, of file: borrowing Handle, name: String) throws(HDF5Error) {
    let handle = try open(path, of: file, name: name)
    let description = try DatasetDescription(of: handle.id, .foreign, path: path, file: name)
    guard [.contiguous, .chunked, .compact].contains(description.layout),
      description.externalFileCount == 0, description.hasKnownFilters
    else { throw changed(path, name) }
    self.handle = handle
    self.description = description
  }
}

private func open(
  _ path: String, of file: borrowing Handle, name: String
) throws(HDF5Error) -> Handle {
  let root = file.id
  var object = try Handle(H5Oclose, "open object", file: name, object: path) {
    H5Oopen(root, "/", hid_t(H5P_DEFAULT))
  }
  for component in path.split(separator: "/") {
    let group = object.id
    let member = try members(of: group, path, file: name).first {
      $0.name == component && $0.linkType == H5L_TYPE_HARD.rawValue
    }
    guard let member else { throw changed(path, name) }
    object = try Handle(H5Oclose, "open object", file: name, object: path) {
      H5Oopen_by_addr(group, haddr_t(member.address))
    }
  }
  var (type, address, links): (CInt, UInt64, UInt32) = (0, 0, 0)
  let id = object.id
  _ = try h5("examine object", file: name, object: path) {
    unroll_H5Oget_info(id, &type, &address, &links)
  }
  guard type == H5O_TYPE_DATASET.rawValue else { throw changed(path, name) }
  return object
}

extension DatasetDescription {
  /// Whether the data went only through filters of the library: deflate, shuffle, fletcher32.
  public var hasKnownFilters: Bool { filters.allSatisfy { (1...3).contains($0) } }
}

extension Datatype {
  /// A string of variable length.
  public static let variableLengthString = Datatype.other("variable-length string")
}

/// Reads a one-dimensional dataset of strings of variable length of another program's file in memory.
///
/// - Parameters:
///   - path: The dataset.
///   - image: The bytes of the file.
///   - name: What errors call it.
/// - Returns: The bytes of each string and a NUL behind them: `Inventory.maximumTextSize` at most.
/// - Throws: `HDF5Error` if it is something else, or more.
public func readTexts(
  _ path: String, ofForeign image: ByteStorage, name: String
) throws(HDF5Error) -> [UInt8] {
  try withOpenImage(image, name: name) { file throws(HDF5Error) in
    let dataset = try ForeignDataset(path, of: file, name: name)
    let description = dataset.description
    guard description.datatype == .variableLengthString, let dimensions = description.dimensions,
      dimensions.count == 1, dimensions[0] <= Inventory.maximumTextSize
    else { throw changed(path, name) }
    return try readTexts(count: Int(dimensions[0]), of: dataset.handle, path, file: name)
  }
}

/// How many strings are read at once: libhdf5 allocates each.
private let textsAtOnce = 256

private func readTexts(
  count: Int, of dataset: borrowing Handle, _ path: String, file: String
) throws(HDF5Error) -> [UInt8] {
  let dataset = dataset.id
  let type = try Handle(H5Tclose, "read datatype", file: file, object: path) {
    H5Dget_type(dataset)
  }
  let space = try Handle(H5Sclose, "read dataspace", file: file, object: path) {
    H5Dget_space(dataset)
  }
  var bytes: [UInt8] = []
  for first in stride(from: 0, to: count, by: textsAtOnce) {
    let (start, extent) = ([hsize_t(first)], [hsize_t(min(textsAtOnce, count - first))])
    _ = try h5("select texts", file: file, object: path) {
      H5Sselect_hyperslab(space.id, H5S_SELECT_SET, start, nil, extent, nil)
    }
    let memory = try Handle(H5Sclose, "select texts", file: file, object: path) {
      H5Screate_simple(1, extent, nil)
    }
    var pointers = [UnsafeMutablePointer<CChar>?](repeating: nil, count: Int(extent[0]))
    _ = try h5("read texts from \(first)", file: file, object: path) {
      H5Dread(dataset, type.id, memory.id, space.id, hid_t(H5P_DEFAULT), &pointers)
    }
    for text in pointers {
      if let text { bytes += UnsafeRawBufferPointer(start: text, count: strlen(text)) }
      bytes.append(0)
    }
    _ = try h5("free texts", file: file, object: path) {
      H5Dvlen_reclaim(type.id, memory.id, hid_t(H5P_DEFAULT), &pointers)
    }
    guard bytes.count <= Inventory.maximumTextSize else {
      throw HDF5Error(
        operation: "read texts", file: file, object: path,
        reason: "they have more than \(Inventory.maximumTextSize) bytes")
    }
  }
  return bytes
}
