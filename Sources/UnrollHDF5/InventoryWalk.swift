// Makes an inventory: one walk through a file's groups, by name, hard links only.

import CHDF5
import UnrollTensors

extension Inventory {
  /// Describes every object of a file.
  ///
  /// Runs libhdf5 on the file's metadata in this process; see the type's remarks. No link but a
  /// hard one is followed and no data is read. Objects are opened where their links say that they
  /// are: looked up by name, a name that occurs twice or has a slash in it leads through other links.
  ///
  /// - Parameter path: The file.
  /// - Throws: `HDF5Error` if the library cannot open the file.
  public init(contentsOf path: String) throws(HDF5Error) {
    try self.init(try openForReading(path), path: path, dialect: .checkpoint)
  }

  /// Describes every object of another program's file that is in memory, without copying it.
  ///
  /// - Parameters:
  ///   - image: The bytes of the file.
  ///   - name: The name of the file in errors.
  /// - Throws: `HDF5Error` if the library cannot open the file.
  public init(foreign image: ByteStorage, name: String) throws(HDF5Error) {
    self = try withOpenImage(image, name: name) { file throws(HDF5Error) in
      try Inventory(file, path: name, dialect: .foreign)
    }
  }

  private init(
    _ file: borrowing Handle, path: String, dialect: InventoryDialect
  ) throws(HDF5Error) {
    var walk = InventoryWalk(file: path, dialect: dialect)
    let id = file.id
    try walk.visit("/", depth: 0) { H5Oopen(id, "/", hid_t(H5P_DEFAULT)) }
    if dialect == .foreign { walk.resolveSoftLinks() }
    self.init(objects: walk.objects, stoppedAt: walk.stoppedAt)
  }
}

/// Opens a file to be read.
///
/// - Throws: `HDF5Error` if the library cannot.
func openForReading(_ path: String) throws(HDF5Error) -> Handle {
  let access = try Handle(H5Pclose, "prepare access", file: path) {
    H5Pcreate(unroll_H5P_FILE_ACCESS())
  }
  // Files are replaced, never changed in place: a lock protects nothing and fails on NFS.
  _ = try h5("prepare access", file: path) { H5Pset_file_locking(access.id, false, true) }
  return try Handle(H5Fclose, "open file", file: path) {
    H5Fopen(path, unroll_H5F_ACC_RDONLY(), access.id)
  }
}

/// Opens the image of a file to be read.
///
/// - Throws: `HDF5Error` if the library cannot.
private func openForReading(
  _ image: UnsafeMutablePointer<unroll_image>, name: String
) throws(HDF5Error) -> Handle {
  let access = try Handle(H5Pclose, "prepare access", file: name) {
    H5Pcreate(unroll_H5P_FILE_ACCESS())
  }
  _ = try h5("prepare access", file: name) { unroll_read_image(access.id, image) }
  // libhdf5 tells images apart by name alone.
  let path = "image at \(UInt(bitPattern: image.pointee.bytes))"
  return try Handle(H5Fclose, "open file", file: name) {
    H5Fopen(path, unroll_H5F_ACC_RDONLY(), access.id)
  }
}

/// Opens the image of a file for as long as a closure runs.
///
/// - Throws: `HDF5Error` if the library cannot, or the errors of the closure.
func withOpenImage<Value>(
  _ image: ByteStorage, name: String,
  _ body: (borrowing Handle) throws(HDF5Error) -> Value
) throws(HDF5Error) -> Value {
  let result = image.withUnsafeBytes { bytes in
    var image = unroll_image(bytes: bytes.baseAddress, size: bytes.count)
    return withUnsafeMutablePointer(to: &image) { image in
      Result { () throws(HDF5Error) in try body(try openForReading(image, name: name)) }
    }
  }
  return try result.get()
}

/// The unused part of `Inventory.maximumTextSize`.
struct TextBudget {
  private var left = Inventory.maximumTextSize

  /// `true` if more was taken than there is.
  var isExceeded: Bool { left < 0 }

  /// Takes the cost of a text of a size; `false` if not enough is left.
  mutating func take(_ size: Int) -> Bool {
    left -= size + Inventory.textOverhead
    return !isExceeded
  }
}

/// Returns a name as it stands in an inventory: long names, which a rule refuses, are cut.
func keptName(_ name: String) -> String {
  guard name.utf8.count > Inventory.maximumNameSize else { return name }
  return String(decoding: name.utf8.prefix(Inventory.maximumNameSize), as: UTF8.self) + "\u{FFFD}"
}

/// A link of a group; only hard links have an address.
typealias Member = (name: String, linkType: CInt, address: UInt64)

/// The state of a walk.
private struct InventoryWalk {
  let file: String
  let dialect: InventoryDialect
  private var budget = TextBudget()
  var objects: [InventoryObject] = []
  var stoppedAt: Inventory.Limit?
  /// The path under which each address was first met; ties and cycles are found here.
  private var pathsByAddress: [UInt64: String] = [:]
  /// The targets of soft links, by the links' paths; only for files of other programs.
  private var softTargets: [String: String] = [:]

  init(file: String, dialect: InventoryDialect) { (self.file, self.dialect) = (file, dialect) }

  /// Describes an object and, if it is a group, all that is below it.
  ///
  /// An object that cannot be read becomes an entry that says so; the walk goes on.
  mutating func visit(_ path: String, depth: Int, open: () -> hid_t) throws(HDF5Error) {
    guard mayAppend(path) else { return }
    do throws(HDF5Error) {
      let object = try Handle(H5Oclose, "open object", file: file, object: path, open: open)
      try describe(object.id, path, depth: depth)
    } catch {
      objects.append(
        InventoryObject(path: path, kind: .unreadable(error.reason), linkCount: 0))
    }
  }

  /// `true` if there is room for another object; if not, the walk stops.
  private mutating func mayAppend(_ path: String) -> Bool {
    guard stoppedAt == nil else { return false }
    if objects.count >= Inventory.maximumObjects {
      stoppedAt = .objects
    } else if !budget.take(path.utf8.count) {
      stoppedAt = .text
    }
    return stoppedAt == nil
  }

  private mutating func describe(
    _ object: hid_t, _ path: String, depth: Int
  ) throws(HDF5Error) {
    var (type, address, links): (CInt, UInt64, UInt32) = (0, 0, 0)
    _ = try h5("examine object", file: file, object: path) {
      unroll_H5Oget_info(object, &type, &address, &links)
    }
    if let first = pathsByAddress[address] {
      objects.append(
        InventoryObject(path: path, kind: .hardLink(to: first), linkCount: Int(links)))
      return
    }
    pathsByAddress[address] = path
    switch type {
    case H5O_TYPE_GROUP.rawValue:
      try append(path, .group, object, links)
      try visitMembers(of: object, path, depth: depth)
    case H5O_TYPE_DATASET.rawValue:
      let description = try DatasetDescription(
        of: object, dialect, path: path, file: file)
      try append(path, .dataset(description), object, links)
    default:
      try append(path, .namedDatatype, object, links)
    }
  }

  private mutating func append(
    _ path: String, _ kind: InventoryObject.Kind, _ object: hid_t, _ links: UInt32
  ) throws(HDF5Error) {
    var entry = InventoryObject(path: path, kind: kind, linkCount: Int(links))
    let names = try attributeNamesOf(object, path: path, file: file)
    if names.count > Inventory.maximumAttributes {
      stoppedAt = .attributes(path)
    } else {
      entry.attributes = attributes(
        names, of: object, dialect, within: &budget, path: path, file: file)
      if budget.isExceeded { stoppedAt = .text }
    }
    objects.append(entry)
  }

  private mutating func visitMembers(
    of group: hid_t, _ path: String, depth: Int
  ) throws(HDF5Error) {
    guard depth < Inventory.maximumDepth else {
      stoppedAt = .depth(path)
      return
    }
    for (name, linkType, address) in try members(of: group, path, file: file) {
      let member = path == "/" ? "/\(name)" : "\(path)/\(name)"
      switch linkType {
      case H5L_TYPE_HARD.rawValue:
        try visit(member, depth: depth + 1) { H5Oopen_by_addr(group, haddr_t(address)) }
      case H5L_TYPE_SOFT.rawValue:
        if dialect == .foreign, let target = softTarget(of: name, in: group, path, file: file) {
          softTargets[member] = target
        }
        appendLink(member, .softLink)
      case H5L_TYPE_EXTERNAL.rawValue: appendLink(member, .externalLink)
      default: appendLink(member, .userDefinedLink)
      }
    }
  }

  /// Turns soft links that lead to an object of this file, through no other soft link, into hard links.
  mutating func resolveSoftLinks() {
    guard !softTargets.isEmpty else { return }
    let kinds = Dictionary(objects.map { ($0.path, $0.kind) }) { first, _ in first }
    for index in objects.indices where objects[index].kind == .softLink {
      guard let target = softTargets[objects[index].path] else { continue }
      switch kinds[target] {
      case .group, .dataset: objects[index].kind = .hardLink(to: target)
      case .hardLink(let first): objects[index].kind = .hardLink(to: first)
      default: break
      }
    }
  }

  private mutating func appendLink(_ path: String, _ kind: InventoryObject.Kind) {
    guard mayAppend(path) else { return }
    objects.append(InventoryObject(path: path, kind: kind, linkCount: 0))
  }
}

/// Returns the absolute path that a soft link has as its value; `nil` if it cannot be read or is too long.
private func softTarget(
  of name: String, in group: hid_t, _ path: String, file: String
) -> String? {
  var value = [CChar](repeating: 0, count: 4096)
  let isRead = try? h5("read link", file: file, object: path) {
    H5Lget_val(group, name, &value, value.count - 1, hid_t(H5P_DEFAULT))
  }
  guard isRead != nil,
    let text = String(
      validating: value.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self),
    !text.isEmpty
  else { return nil }
  let absolute = text.hasPrefix("/") ? text : "\(path)/\(text)"
  return "/" + absolute.split(separator: "/").filter { $0 != "." }.joined(separator: "/")
}

/// Returns the names in a group and their links, by name.
///
/// Bytes that are not UTF-8, slashes and empty names become U+FFFD; a rule refuses such names.
///
/// - Throws: `HDF5Error` if the library cannot list them.
func members(
  of group: hid_t, _ path: String, file: String
) throws(HDF5Error) -> [Member] {
  var members: [Member] = []
  _ = try h5("list group", file: file, object: path) {
    withUnsafeMutablePointer(to: &members) { pointer in
      unroll_H5Literate(
        group,
        { name, linkType, address, context in
          guard let name, let context else { return 0 }
          let list = context.assumingMemoryBound(to: [Member].self)
          let text = keptName(String(cString: name)).replacing("/", with: "\u{FFFD}")
          list.pointee.append((text.isEmpty ? "\u{FFFD}" : text, linkType, address))
          // One more than the limit is enough to see that there are too many.
          return list.pointee.count > Inventory.maximumObjects ? 1 : 0
        }, pointer)
    }
  }
  return members.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
}
