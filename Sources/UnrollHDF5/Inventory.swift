// The contents of an HDF5 file as a plain value: everything except the numbers of its datasets.

import UnrollTensors

/// The value of an attribute.
public enum AttributeValue: Sendable, Hashable {
  /// A string.
  case text(String)
  /// A one-dimensional array of strings.
  case texts([String])
  /// An integer.
  case integer(Int64)
  /// A floating-point number.
  case number(Double)
  /// A value of a type, shape or size that the format does not have, described.
  case other(String)
}

/// The datatype of a dataset.
public enum Datatype: Sendable, Hashable, CustomStringConvertible {
  /// Little-endian numbers of a type that the format has.
  case element(DType)
  /// The same with the most significant byte first, in files of other programs.
  case bigEndian(DType)
  /// Anything else, described: `variable-length string`, `compound`.
  case other(String)

  /// The name of the type.
  public var description: String {
    switch self {
    case .element(let type): type.rawValue
    case .bigEndian(let type): "big-endian \(type.rawValue)"
    case .other(let name): name
    }
  }
}

/// The storage of a dataset's bytes.
public enum StorageLayout: String, Sendable, Hashable {
  /// In one run of bytes.
  case contiguous
  /// In chunks, each found through an index.
  case chunked
  /// In the object header.
  case compact
  /// In other datasets, perhaps of other files.
  case virtual
  /// In a way that this library version does not name.
  case unknown
}

/// The chunks of a dataset.
public struct ChunkGrid: Sendable, Hashable {
  /// The dimensions of one chunk.
  public var dimensions: [UInt64]
  /// The number of stored chunks.
  public var count: UInt64

  /// Creates a grid.
  public init(dimensions: [UInt64], count: UInt64) {
    self.dimensions = dimensions
    self.count = count
  }
}

/// A dataset: type, shape and the location of its bytes.
public struct DatasetDescription: Sendable, Hashable {
  /// The type of the elements.
  public var datatype: Datatype
  /// The dimensions; empty for a scalar, `nil` for a null dataspace and for virtual datasets.
  public var dimensions: [UInt64]?
  /// The storage of the bytes.
  public var layout: StorageLayout
  /// The offset of contiguous bytes in the file, or `nil` if none are allocated.
  public var offset: UInt64?
  /// The number of allocated bytes.
  public var storageSize: UInt64
  /// The number of other files that hold parts of the data.
  public var externalFileCount: Int
  /// The ids of the filters that the data went through, in the order of writing.
  public var filters: [Int]
  /// The dimensions of a chunk and the number of stored chunks; `nil` if the dataset is not chunked.
  public var chunks: ChunkGrid?

  /// Creates a description.
  public init(
    datatype: Datatype, dimensions: [UInt64]?, layout: StorageLayout, offset: UInt64?,
    storageSize: UInt64, externalFileCount: Int, filters: [Int]
  ) {
    self.datatype = datatype
    self.dimensions = dimensions
    self.layout = layout
    self.offset = offset
    self.storageSize = storageSize
    self.externalFileCount = externalFileCount
    self.filters = filters
  }
}

extension DatasetDescription {
  /// The dimensions as a shape, or `nil` if there are none or one is too large.
  package var shape: Shape? {
    guard let dimensions else { return nil }
    var sizes: [Int] = []
    for dimension in dimensions {
      guard let size = Int(exactly: dimension) else { return nil }
      sizes.append(size)
    }
    return Shape(sizes)
  }

  /// The number of bytes that type and shape declare, or `nil` if it does not fit in an `Int`.
  package var declaredByteCount: Int? {
    guard case .element(let dtype) = datatype else { return nil }
    return shape?.byteCount(of: dtype)
  }
}

/// Something that a name in a file leads to.
public struct InventoryObject: Sendable, Hashable {
  /// The kinds of targets of a name.
  public enum Kind: Sendable, Hashable {
    case group
    case dataset(DatasetDescription)
    /// An object that was already found under another path.
    case hardLink(to: String)
    case softLink
    case externalLink
    case userDefinedLink
    case namedDatatype
    /// An object that libhdf5 could not describe, and its reason.
    case unreadable(String)
  }

  /// The absolute path.
  public var path: String
  /// The kind of the object or link at the path.
  public var kind: Kind
  /// The number of hard links to the object, as its header says; 0 if it is not known.
  public var linkCount: Int
  /// The attributes by name.
  public var attributes: [String: AttributeValue]

  /// Creates an object.
  public init(
    path: String, kind: Kind, linkCount: Int, attributes: [String: AttributeValue] = [:]
  ) {
    self.path = path
    self.kind = kind
    self.linkCount = linkCount
    self.attributes = attributes
  }
}

/// The types that an inventory has values for; values of other types are only described.
public enum InventoryDialect: Sendable, Hashable {
  /// The types of the format.
  case checkpoint
  /// In addition the types that h5py writes: strings of variable length, opaque numbers of two bytes, which are
  /// its bfloat16, and attributes as large as a file of its can have; big-endian numbers; and soft links to
  /// objects of the same file, as if they were hard ones.
  case foreign

  /// The largest attribute that is read, in bytes.
  var maximumAttributeSize: Int {
    self == .checkpoint ? Inventory.maximumAttributeSize : 1 << 20
  }
}

/// Every object of an HDF5 file, in the order of a walk by name.
///
/// Making one runs libhdf5 on the file's metadata, and libhdf5 crashes on some hostile files: for
/// files of unknown origin make it in a process of its own. The value itself is inert.
public struct Inventory: Sendable, Hashable {
  /// A bound at which the walk through a file stopped.
  public enum Limit: Sendable, Hashable {
    /// More objects than `maximumObjects`.
    case objects
    /// More groups inside each other than `maximumDepth`; the path of the group too deep.
    case depth(String)
    /// More attributes of an object than `maximumAttributes`; the path of the object.
    case attributes(String)
    /// Paths and attributes of more than `maximumTextSize`.
    case text
  }

  /// The path of the group that has all others.
  package static let root = "/"

  /// The most objects that a walk describes.
  public static let maximumObjects = 20_000
  /// The most groups inside each other that a walk enters.
  public static let maximumDepth = 16
  /// The most attributes of an object that are read.
  public static let maximumAttributes = 1000
  /// The largest attribute that is read, in bytes.
  public static let maximumAttributeSize = 32 * 1024
  /// The longest name that is kept, in bytes; a longer one is cut and ends in U+FFFD.
  public static let maximumNameSize = 255
  /// The most bytes that paths, attribute names and attribute values have together, each counted with
  /// `textOverhead` more.
  public static let maximumTextSize = 16 << 20
  /// The bytes that a path, a name or a value counts in addition to its own: for its memory, and for the
  /// microseconds that libhdf5 takes to read it.
  static let textOverhead = 128

  /// The objects, the root group first.
  public var objects: [InventoryObject]
  /// The limit at which the walk stopped, or `nil` if it saw everything.
  public var stoppedAt: Limit?

  /// Creates an inventory from its parts.
  public init(objects: [InventoryObject], stoppedAt: Limit? = nil) {
    self.objects = objects
    self.stoppedAt = stoppedAt
  }
}
