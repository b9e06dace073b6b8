// Data of other programs' files: datasets opened where hard links lead, and their strings.

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
  /// The type of the numbers, whichever byte comes first; `nil` for anything else.
  public var element: DType? {
    switch datatype {
    case .element(let type), .bigEndian(let type): type
    case .other: nil
    }
  }

  /// `true` if the data went only through filters of the library: deflate, shuffle, fletcher32.
  public var hasKnownFilters: Bool { filters.allSatisfy { (1...3).contains($0) } }
}

extension Datatype {
  /// A string of variable length.
  public static let variableLengthString = Datatype.other("variable-length string")
  /// A string of fixed length, padded with NULs or spaces.
  public static let fixedLengthString = Datatype.other("fixed-length string")
  /// `true` if it is a string of either kind.
  public var isString: Bool { self == .variableLengthString || self == .fixedLengthString }
}

/// Reads a one-dimensional dataset of strings of another program's file in memory.
///
/// Strings of fixed length come without their padding.
///
/// - Parameters:
///   - path: The dataset.
///   - image: The bytes of the file.
///   - name: The name of the file in errors.
/// - Returns: The bytes of each string and a NUL behind them: `Inventory.maximumTextSize` at most.
/// - Throws: `HDF5Error` if it is something else, or more.
public func readTexts(
  _ path: String, ofForeign image: ByteStorage, name: String
) throws(HDF5Error) -> [UInt8] {
  try withOpenImage(image, name: name) { file throws(HDF5Error) in
    let dataset = try ForeignDataset(path, of: file, name: name)
    let description = dataset.description
    guard description.datatype.isString, let dimensions = description.dimensions,
      dimensions.count == 1, dimensions[0] <= Inventory.maximumTextSize
    else { throw changed(path, name) }
    let id = dataset.handle.id
    let type = try Handle(H5Tclose, "read datatype", file: name, object: path) { H5Dget_type(id) }
    let size = try sizeOf(type.id, path: path, file: name)
    // libhdf5 holds a whole chunk in memory.
    let count = max(dimensions[0], description.chunks?.dimensions.first ?? 0)
    let (byteCount, isHuge) = count.multipliedReportingOverflow(by: UInt64(size))
    guard size > 0, !isHuge, byteCount <= maximumPaddedSize else {
      throw HDF5Error(
        operation: "read texts", file: name, object: path,
        reason: "\(count) of \(size) bytes each are more than \(maximumPaddedSize) bytes")
    }
    var reader = TextReader(dataset: id, type: type.id, size: size, path: path, file: name)
    let isVariable = description.datatype == .variableLengthString
    try reader.read(count: Int(dimensions[0]), isVariable: isVariable)
    return reader.bytes
  }
}

/// The number of strings that are read at once: libhdf5 allocates each string of variable length.
private let textsAtOnce = 256
/// The most bytes of fixed-length strings with their padding, or of references to variable-length strings.
private let maximumPaddedSize = 16 * Inventory.maximumTextSize

/// Reads the strings of a dataset, some at a time.
private struct TextReader {
  let dataset: hid_t
  let type: hid_t
  /// The size of an element of the dataset in bytes.
  let size: Int
  let path: String
  let file: String
  /// Each string that was read, and a NUL behind it.
  var bytes: [UInt8] = []

  mutating func read(count: Int, isVariable: Bool) throws(HDF5Error) {
    let (dataset, atOnce) = (
      dataset, isVariable ? textsAtOnce : max(1, min(textsAtOnce, (1 << 20) / size))
    )
    let space = try Handle(H5Sclose, "read dataspace", file: file, object: path) {
      H5Dget_space(dataset)
    }
    for first in stride(from: 0, to: count, by: atOnce) {
      let (start, extent) = ([hsize_t(first)], [hsize_t(min(atOnce, count - first))])
      _ = try h5("select texts", file: file, object: path) {
        H5Sselect_hyperslab(space.id, H5S_SELECT_SET, start, nil, extent, nil)
      }
      let memory = try Handle(H5Sclose, "select texts", file: file, object: path) {
        H5Screate_simple(1, extent, nil)
      }
      if isVariable {
        try readVariable(Int(extent[0]), memory.id, space.id)
      } else {
        try readFixed(Int(extent[0]), memory.id, space.id)
      }
      guard bytes.count <= Inventory.maximumTextSize else {
        throw error("they have more than \(Inventory.maximumTextSize) bytes")
      }
    }
  }

  private func error(_ reason: String) -> HDF5Error {
    HDF5Error(operation: "read texts", file: file, object: path, reason: reason)
  }

  private mutating func readVariable(
    _ count: Int, _ memory: hid_t, _ space: hid_t
  ) throws(HDF5Error) {
    let (dataset, type) = (dataset, type)
    var pointers = [UnsafeMutablePointer<CChar>?](repeating: nil, count: count)
    _ = try h5("read texts", file: file, object: path) {
      H5Dread(dataset, type, memory, space, hid_t(H5P_DEFAULT), &pointers)
    }
    for text in pointers {
      if let text { bytes += UnsafeRawBufferPointer(start: text, count: strlen(text)) }
      bytes.append(0)
    }
    _ = try h5("free texts", file: file, object: path) {
      H5Dvlen_reclaim(type, memory, hid_t(H5P_DEFAULT), &pointers)
    }
  }

  private mutating func readFixed(
    _ count: Int, _ memory: hid_t, _ space: hid_t
  ) throws(HDF5Error) {
    let (dataset, type) = (dataset, type)
    let padding = try TextPadding(of: type, path: path, file: file)
    var padded = [UInt8](repeating: 0, count: count * size)
    _ = try h5("read texts", file: file, object: path) {
      H5Dread(dataset, type, memory, space, hid_t(H5P_DEFAULT), &padded)
    }
    for start in stride(from: 0, to: padded.count, by: size) {
      let text = padding.text(in: padded[start..<start + size])
      guard !text.contains(0) else { throw error("one has a NUL inside") }
      bytes += text
      bytes.append(0)
    }
  }
}

/// The padding of fixed-length strings.
enum TextPadding {
  /// A NUL ends the string, if it is not as long as it can be.
  case terminator
  case nulls
  case spaces

  /// The padding of a datatype of strings.
  ///
  /// - Throws: `HDF5Error` if the library cannot tell.
  init(of type: hid_t, path: String, file: String) throws(HDF5Error) {
    let padding = try h5("read datatype", file: file, object: path) { H5Tget_strpad(type).rawValue }
    self =
      switch padding {
      case H5T_STR_SPACEPAD.rawValue: .spaces
      case H5T_STR_NULLPAD.rawValue: .nulls
      default: .terminator
      }
  }

  /// Returns the string without its padding.
  func text(in bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    let end =
      switch self {
      case .terminator: bytes.firstIndex(of: 0) ?? bytes.endIndex
      case .nulls: bytes.lastIndex { $0 != 0 }.map { $0 + 1 } ?? bytes.startIndex
      case .spaces: bytes.lastIndex { $0 != 0x20 }.map { $0 + 1 } ?? bytes.startIndex
      }
    return bytes[..<end]
  }
}
