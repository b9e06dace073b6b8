// The HDF5 datatypes of the number types of the format.

import CHDF5
import UnrollTensors

extension DType {
  /// Returns the little-endian HDF5 datatype, opened.
  ///
  /// - Throws: `HDF5Error` if the library cannot make it.
  func datatype(file: String) throws(HDF5Error) -> Handle {
    switch self {
    case .float16: return try narrowFloat(exponentBits: 5, bias: 15, file: file)
    case .bfloat16: return try narrowFloat(exponentBits: 8, bias: 127, file: file)
    default: break
    }
    let index = Self.standard.firstIndex(of: self) ?? -1
    return try Handle(H5Tclose, "copy datatype", file: file) {
      H5Tcopy(unroll_H5T_standard(CInt(index)))
    }
  }

  /// The types that HDF5 knows by name, in the order of `unroll_H5T_standard`.
  private static let standard: [DType] = [
    .float32, .float64, .int8, .int16, .int32, .int64, .uint8, .uint16, .uint32, .uint64,
  ]
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
