// Reads and writes attributes: fixed-length strings, integers, floating-point numbers.

import CHDF5
import UnrollTensors

/// Returns the names of the attributes of an open object, at most one more than the limit.
///
/// - Throws: `HDF5Error` if the library cannot list them.
func attributeNamesOf(
  _ object: hid_t, path: String, file: String
) throws(HDF5Error) -> [String] {
  var names: [String] = []
  _ = try h5("list attributes", file: file, object: path) {
    withUnsafeMutablePointer(to: &names) { pointer in
      H5Aiterate2(
        // In the order in which they are stored: for any other, libhdf5 reads all of them first.
        object, H5_INDEX_NAME, H5_ITER_NATIVE, nil,
        { _, name, _, context in
          guard let name, let context else { return 0 }
          let list = context.assumingMemoryBound(to: [String].self)
          list.pointee.append(String(cString: name))
          return list.pointee.count > Inventory.maximumAttributes ? 1 : 0
        }, pointer)
    }
  }
  return names
}

/// Returns the attributes of an open object by name, as many as the budget allows.
///
/// An attribute that libhdf5 cannot read becomes a value that says so.
func attributes(
  _ names: [String], of object: hid_t, _ dialect: InventoryDialect,
  within budget: inout TextBudget, path: String, file: String
) -> [String: AttributeValue] {
  var attributes: [String: AttributeValue] = [:]
  for name in names {
    let value: AttributeValue
    do throws(HDF5Error) {
      value = try readAttribute(name, of: object, dialect, path: path, file: file)
    } catch {
      value = .other("unreadable (\(error.reason))")
    }
    let kept = keptName(name)
    guard budget.take(kept.utf8.count), value.costs.allSatisfy({ budget.take($0) }) else { break }
    attributes[kept] = value
  }
  return attributes
}

extension AttributeValue {
  /// The sizes of its texts; a number counts as an empty one.
  fileprivate var costs: [Int] {
    switch self {
    case .text(let text), .other(let text): [text.utf8.count]
    case .texts(let texts): texts.map(\.utf8.count)
    case .integer, .number: [0]
    }
  }
}

private func readAttribute(
  _ name: String, of object: hid_t, _ dialect: InventoryDialect, path: String, file: String
) throws(HDF5Error) -> AttributeValue {
  let attribute = try Handle(H5Aclose, "open attribute \(name)", file: file, object: path) {
    H5Aopen(object, name, hid_t(H5P_DEFAULT))
  }
  let type = try Handle(H5Tclose, "read attribute \(name)", file: file, object: path) {
    H5Aget_type(attribute.id)
  }
  let space = try Handle(H5Sclose, "read attribute \(name)", file: file, object: path) {
    H5Aget_space(attribute.id)
  }
  guard let dimensions = try dimensionsOf(space.id, path: path, file: file) else {
    return .other("empty")
  }
  let elementSize = try sizeOf(type.id, path: path, file: file)
  let kind = try h5("read attribute \(name)", file: file, object: path) {
    H5Tget_class(type.id).rawValue
  }
  guard let byteCount = byteCount(dimensions, elementSize),
    byteCount <= dialect.maximumAttributeSize
  else { return .other("larger than \(dialect.maximumAttributeSize) bytes") }
  func bytes() throws(HDF5Error) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: byteCount)
    _ = try h5("read attribute \(name)", file: file, object: path) {
      H5Aread(attribute.id, type.id, &bytes)
    }
    return bytes
  }
  if kind == H5T_STRING.rawValue {
    let isVariable = try h5("read attribute \(name)", file: file, object: path) {
      H5Tis_variable_str(type.id)
    }
    if isVariable > 0 {
      guard dialect == .foreign else { return .other("variable-length string") }
      return try variableTextValue(
        of: attribute.id, type.id, space.id, dimensions, path: path, file: file)
    }
    // Strings of a checkpoint are padded with NULs.
    let isForeign = dialect == .foreign
    return textValue(
      try bytes(), isForeign ? try TextPadding(of: type.id, path: path, file: file) : .terminator,
      elementSize: elementSize, dimensions: dimensions)
  }
  let datatype = try Datatype(of: type.id, dialect, path: path, file: file)
  guard case .element(let element) = datatype else { return .other(datatype.description) }
  guard dimensions.isEmpty else { return .other("array of \(element.rawValue)") }
  return numberValue(try bytes(), element)
}

private func byteCount(_ dimensions: [UInt64], _ elementSize: Int) -> Int? {
  var count = elementSize
  for dimension in dimensions {
    guard let dimension = Int(exactly: dimension) else { return nil }
    let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
    guard !overflow else { return nil }
    count = product
  }
  return count
}

/// Decodes fixed-length strings without their padding, up to their first NUL; they must be UTF-8.
private func textValue(
  _ bytes: [UInt8], _ padding: TextPadding, elementSize: Int, dimensions: [UInt64]
) -> AttributeValue {
  guard dimensions.count <= 1, elementSize > 0 else {
    return .other("array of strings in \(dimensions.count) dimensions")
  }
  var texts: [String] = []
  for start in stride(from: 0, to: bytes.count, by: elementSize) {
    let text = padding.text(in: bytes[start..<start + elementSize]).prefix { $0 != 0 }
    guard let text = String(validating: text, as: UTF8.self) else {
      return .other("string that is not UTF-8")
    }
    texts.append(text)
  }
  if dimensions.isEmpty, let text = texts.first { return .text(text) }
  return .texts(texts)
}

/// Strings of variable length, which libhdf5 allocates; they must be UTF-8.
private func variableTextValue(
  of attribute: hid_t, _ type: hid_t, _ space: hid_t, _ dimensions: [UInt64], path: String,
  file: String
) throws(HDF5Error) -> AttributeValue {
  guard dimensions.count <= 1 else {
    return .other("array of strings in \(dimensions.count) dimensions")
  }
  // The caller has bounded the size of the attribute, and with it this number.
  let count = Int(dimensions.first ?? 1)
  var pointers = [UnsafeMutablePointer<CChar>?](repeating: nil, count: count)
  _ = try h5("read attribute", file: file, object: path) { H5Aread(attribute, type, &pointers) }
  let texts = pointers.map { $0.flatMap { String(validatingCString: $0) } }
  _ = try h5("free attribute", file: file, object: path) {
    H5Dvlen_reclaim(type, space, hid_t(H5P_DEFAULT), &pointers)
  }
  let valid = texts.compactMap { $0 }
  guard valid.count == texts.count else { return .other("string that is not UTF-8") }
  if dimensions.isEmpty, let text = valid.first { return .text(text) }
  return .texts(valid)
}

private func numberValue(_ bytes: [UInt8], _ element: DType) -> AttributeValue {
  bytes.withUnsafeBytes { raw in
    switch element {
    case .int64: .integer(Int64(littleEndian: raw.loadUnaligned(as: Int64.self)))
    case .float64:
      .number(Double(bitPattern: UInt64(littleEndian: raw.loadUnaligned(as: UInt64.self))))
    default: .other(element.rawValue)
    }
  }
}
