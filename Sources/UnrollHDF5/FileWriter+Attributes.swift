// Attributes of a new HDF5 file.

import CHDF5
import UnrollTensors

extension FileWriter {
  /// Writes attributes of an object in the order of their names.
  ///
  /// - Throws: `HDF5Error` if the library cannot.
  public func writeAttributes(
    _ attributes: [String: AttributeValue], of object: String
  ) throws(HDF5Error) {
    let owner = try Handle(H5Oclose, "open object", file: path, object: object) {
      H5Oopen(file.id, object, hid_t(H5P_DEFAULT))
    }
    let byName = attributes.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    for (name, value) in byName {
      try write(value, as: name, of: owner.id, object)
    }
    try owner.close(file: path, object: object)
  }

  private func write(
    _ value: AttributeValue, as name: String, of owner: hid_t, _ object: String
  ) throws(HDF5Error) {
    switch value {
    case .text(let text):
      try write([text], isScalar: true, as: name, of: owner, object)
    case .texts(let texts):
      try write(texts, isScalar: false, as: name, of: owner, object)
    case .integer(let integer):
      let type = try DType.int64.datatype(file: path)
      let bytes = withUnsafeBytes(of: integer.littleEndian) { Array($0) }
      try write(bytes, type: type.id, count: nil, as: name, of: owner, object)
    case .number(let number):
      let type = try DType.float64.datatype(file: path)
      let bytes = withUnsafeBytes(of: number.bitPattern.littleEndian) { Array($0) }
      try write(bytes, type: type.id, count: nil, as: name, of: owner, object)
    case .other(let description):
      preconditionFailure("\(name): \(description) is no value to write")
    }
  }

  /// Writes fixed-length, null-padded UTF-8 strings.
  private func write(
    _ texts: [String], isScalar: Bool, as name: String, of owner: hid_t, _ object: String
  ) throws(HDF5Error) {
    // HDF5 has no strings of size 0: one NUL stands for the empty string.
    let size = max(1, texts.map(\.utf8.count).max() ?? 1)
    let type = try Handle(H5Tclose, "prepare string", file: path, object: object) {
      H5Tcopy(unroll_H5T_C_S1())
    }
    _ = try h5("prepare string", file: path, object: object) { H5Tset_size(type.id, size) }
    _ = try h5("prepare string", file: path, object: object) {
      H5Tset_cset(type.id, H5T_CSET_UTF8)
    }
    _ = try h5("prepare string", file: path, object: object) {
      H5Tset_strpad(type.id, H5T_STR_NULLPAD)
    }
    var bytes: [UInt8] = []
    for text in texts {
      bytes += text.utf8
      bytes += [UInt8](repeating: 0, count: size - text.utf8.count)
    }
    let count = isScalar ? nil : texts.count
    try write(bytes, type: type.id, count: count, as: name, of: owner, object)
  }

  /// Writes an attribute: a scalar where `count` is `nil`, else an array.
  private func write(
    _ bytes: [UInt8], type: hid_t, count: Int?, as name: String, of owner: hid_t, _ object: String
  ) throws(HDF5Error) {
    let space = try Handle(H5Sclose, "create dataspace", file: path, object: object) {
      guard let count else { return H5Screate(H5S_SCALAR) }
      return H5Screate_simple(1, [hsize_t(count)], nil)
    }
    let attribute = try Handle(H5Aclose, "create attribute \(name)", file: path, object: object) {
      H5Acreate2(owner, name, type, space.id, hid_t(H5P_DEFAULT), hid_t(H5P_DEFAULT))
    }
    _ = try h5("write attribute \(name)", file: path, object: object) {
      H5Awrite(attribute.id, type, bytes)
    }
    try attribute.close(file: path, object: object)
  }
}
