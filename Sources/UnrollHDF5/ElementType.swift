// The number types of the format, and their HDF5 datatypes.

import CHDF5

/// A type of number that a dataset or attribute may hold; the raw value is its name in the format.
public enum ElementType: String, Sendable, Hashable, Codable, CaseIterable {
  case float32 = "f32"
  case float64 = "f64"
  case int8 = "i8"
  case int16 = "i16"
  case int32 = "i32"
  case int64 = "i64"
  case uint8 = "u8"
  case uint16 = "u16"
  case uint32 = "u32"
  case uint64 = "u64"
  case float16 = "f16"
  case bfloat16 = "bf16"

  /// The size of one element in bytes.
  public var size: Int {
    switch self {
    case .int8, .uint8: 1
    case .int16, .uint16, .float16, .bfloat16: 2
    case .int32, .uint32, .float32: 4
    case .int64, .uint64, .float64: 8
    }
  }

  /// The little-endian HDF5 datatype, opened.
  ///
  /// - Throws: `HDF5Error` if the library cannot make it.
  func datatype(file: String) throws(HDF5Error) -> Handle {
    switch self {
    case .float16: return try narrowFloat(exponentBits: 5, bias: 15, file: file)
    case .bfloat16: return try narrowFloat(exponentBits: 8, bias: 127, file: file)
    default:
      let index = Self.allCases.firstIndex(of: self) ?? -1
      return try Handle(H5Tclose, "copy datatype", file: file) {
        H5Tcopy(unroll_H5T_standard(CInt(index)))
      }
    }
  }
}

/// Declares a 16-bit float with a sign bit, an exponent and a mantissa of the remaining bits.
private func narrowFloat(exponentBits: Int, bias: Int, file: String) throws(HDF5Error) -> Handle {
  let type = try Handle(H5Tclose, "copy datatype", file: file) { H5Tcopy(unroll_H5T_standard(0)) }
  let mantissaBits = 15 - exponentBits
  // The fields move inside the 16 bits before the type shrinks to them.
  _ = try h5("declare float", file: file) {
    H5Tset_fields(type.id, 15, mantissaBits, exponentBits, 0, mantissaBits)
  }
  _ = try h5("declare float", file: file) { H5Tset_precision(type.id, 16) }
  _ = try h5("declare float", file: file) { H5Tset_size(type.id, 2) }
  _ = try h5("declare float", file: file) { H5Tset_ebias(type.id, bias) }
  return type
}
