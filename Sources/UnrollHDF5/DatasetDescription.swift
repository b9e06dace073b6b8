// Reads a dataset's header: type, shape, storage.

import CHDF5
import UnrollTensors

extension DatasetDescription {
  /// Describes an open dataset.
  ///
  /// - Throws: `HDF5Error` if the library cannot tell.
  init(
    of dataset: hid_t, _ dialect: InventoryDialect, path: String, file: String
  ) throws(HDF5Error) {
    let type = try Handle(H5Tclose, "read datatype", file: file, object: path) {
      H5Dget_type(dataset)
    }
    let creation = try Handle(H5Pclose, "read storage", file: file, object: path) {
      H5Dget_create_plist(dataset)
    }
    let layout = StorageLayout(
      try h5("read layout", file: file, object: path) { H5Pget_layout(creation.id).rawValue })
    self.init(
      datatype: try Datatype(of: type.id, dialect, path: path, file: file),
      dimensions: try Self.dimensions(of: dataset, layout, path: path, file: file),
      layout: layout,
      offset: nil,
      storageSize: 0,
      externalFileCount: Int(
        try h5("read storage", file: file, object: path) { H5Pget_external_count(creation.id) }),
      filters: try filtersOf(creation.id, path: path, file: file))
    // Sizes of external or virtual storage say nothing about this file.
    guard layout == .contiguous || layout == .chunked, externalFileCount == 0 else { return }
    try readPlace(of: dataset, path: path, file: file)
    guard layout == .chunked else { return }
    chunks = try Self.chunks(of: dataset, creation.id, path: path, file: file)
  }

  private static func chunks(
    of dataset: hid_t, _ creation: hid_t, path: String, file: String
  ) throws(HDF5Error) -> ChunkGrid {
    // 32 is the largest rank of HDF5.
    var dimensions = [hsize_t](repeating: 0, count: 32)
    let rank = try h5("read chunks", file: file, object: path) {
      H5Pget_chunk(creation, CInt(dimensions.count), &dimensions)
    }
    // Version 1.10 does not take H5S_ALL for the whole dataset here.
    let space = try Handle(H5Sclose, "read dataspace", file: file, object: path) {
      H5Dget_space(dataset)
    }
    var count: hsize_t = 0
    _ = try h5("count chunks", file: file, object: path) {
      H5Dget_num_chunks(dataset, space.id, &count)
    }
    return ChunkGrid(dimensions: dimensions.prefix(Int(rank)).map { UInt64($0) }, count: count)
  }

  private static func dimensions(
    of dataset: hid_t, _ layout: StorageLayout, path: String, file: String
  ) throws(HDF5Error) -> [UInt64]? {
    // The extent of a virtual dataset can be that of its sources: the library opens their files.
    guard layout != .virtual else { return nil }
    let space = try Handle(H5Sclose, "read dataspace", file: file, object: path) {
      H5Dget_space(dataset)
    }
    return try dimensionsOf(space.id, path: path, file: file)
  }

  private mutating func readPlace(
    of dataset: hid_t, path: String, file: String
  ) throws(HDF5Error) {
    // Both calls return unsigned numbers; only the address has a value for "none".
    var (place, size): (UInt64, UInt64) = (.max, 0)
    let isContiguous = layout == .contiguous
    _ = try h5("read place", file: file, object: path) { () -> herr_t in
      if isContiguous { place = UInt64(H5Dget_offset(dataset)) }
      size = UInt64(H5Dget_storage_size(dataset))
      return 0
    }
    offset = place == .max ? nil : place
    storageSize = size
  }
}

extension StorageLayout {
  fileprivate init(_ layout: CInt) {
    switch layout {
    case H5D_CONTIGUOUS.rawValue: self = .contiguous
    case H5D_CHUNKED.rawValue: self = .chunked
    case H5D_COMPACT.rawValue: self = .compact
    case H5D_VIRTUAL.rawValue: self = .virtual
    default: self = .unknown
    }
  }
}

extension Datatype {
  /// Describes an open datatype.
  ///
  /// - Throws: `HDF5Error` if the library cannot tell.
  init(
    of type: hid_t, _ dialect: InventoryDialect, path: String, file: String
  ) throws(HDF5Error) {
    let kind = try h5("read datatype", file: file, object: path) { H5Tget_class(type).rawValue }
    switch kind {
    case H5T_INTEGER.rawValue, H5T_FLOAT.rawValue:
      let size = try sizeOf(type, path: path, file: file)
      for element in DType.allCases where element.size == size {
        let candidate = try element.datatype(file: file)
        let isEqual = try h5("compare datatypes", file: file, object: path) {
          H5Tequal(type, candidate.id)
        }
        if isEqual > 0 {
          self = .element(element)
          return
        }
        guard dialect == .foreign, size > 1 else { continue }
        _ = try h5("declare byte order", file: file) { H5Tset_order(candidate.id, H5T_ORDER_BE) }
        let isSwapped = try h5("compare datatypes", file: file, object: path) {
          H5Tequal(type, candidate.id)
        }
        if isSwapped > 0 {
          self = .bigEndian(element)
          return
        }
      }
      self = .other(try numberName(of: type, isFloat: kind == H5T_FLOAT.rawValue, path, file))
    case H5T_STRING.rawValue:
      let isVariable = try h5("read datatype", file: file, object: path) {
        H5Tis_variable_str(type)
      }
      self = isVariable > 0 ? .variableLengthString : .fixedLengthString
    case H5T_TIME.rawValue: self = .other("time")
    case H5T_BITFIELD.rawValue: self = .other("bit field")
    case H5T_OPAQUE.rawValue:
      let isNumber = dialect == .foreign
      let size = isNumber ? try sizeOf(type, path: path, file: file) : 0
      self = size == 2 ? .element(.bfloat16) : .other("opaque")
    case H5T_COMPOUND.rawValue: self = .other("compound")
    case H5T_REFERENCE.rawValue: self = .other("reference")
    case H5T_ENUM.rawValue: self = .other("enumeration")
    case H5T_VLEN.rawValue: self = .other("variable-length sequence")
    case H5T_ARRAY.rawValue: self = .other("array")
    default: self = .other("datatype class \(kind)")
    }
  }
}

private func numberName(
  of type: hid_t, isFloat: Bool, _ path: String, _ file: String
) throws(HDF5Error) -> String {
  let order = try h5("read datatype", file: file, object: path) { H5Tget_order(type).rawValue }
  let size = try sizeOf(type, path: path, file: file)
  let name = "\(isFloat ? "float" : "integer") of \(size) bytes"
  return order == H5T_ORDER_BE.rawValue ? "big-endian \(name)" : "nonstandard \(name)"
}

/// Returns the size of an element of a datatype; 0 where the library cannot tell.
func sizeOf(_ type: hid_t, path: String, file: String) throws(HDF5Error) -> Int {
  var size = 0
  _ = try h5("read datatype", file: file, object: path) { () -> herr_t in
    size = H5Tget_size(type)
    return 0
  }
  return size
}

/// Returns the dimensions of a dataspace; empty for a scalar, `nil` for a null dataspace.
func dimensionsOf(
  _ space: hid_t, path: String, file: String
) throws(HDF5Error) -> [UInt64]? {
  let kind = try h5("read dataspace", file: file, object: path) {
    H5Sget_simple_extent_type(space).rawValue
  }
  guard kind != H5S_NULL.rawValue else { return nil }
  let rank = try h5("read dataspace", file: file, object: path) {
    H5Sget_simple_extent_ndims(space)
  }
  var dimensions = [hsize_t](repeating: 0, count: Int(rank))
  _ = try h5("read dataspace", file: file, object: path) {
    H5Sget_simple_extent_dims(space, &dimensions, nil)
  }
  return dimensions.map { UInt64($0) }
}

private func filtersOf(
  _ creation: hid_t, path: String, file: String
) throws(HDF5Error) -> [Int] {
  let count = try h5("read filters", file: file, object: path) { H5Pget_nfilters(creation) }
  var filters: [Int] = []
  for index in 0..<UInt32(count) {
    var (flags, valueCount, configuration): (UInt32, Int, UInt32) = (0, 0, 0)
    let filter = try h5("read filters", file: file, object: path) {
      H5Pget_filter2(creation, index, &flags, &valueCount, nil, 0, nil, &configuration)
    }
    filters.append(Int(filter))
  }
  return filters
}
