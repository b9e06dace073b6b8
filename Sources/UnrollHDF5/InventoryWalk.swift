// Makes an inventory: one walk through a file's groups, by name, hard links only.

import CHDF5

extension Inventory {
  /// Describes every object of a file.
  ///
  /// Runs libhdf5 on the file's metadata in this process; see the type's remarks. No link but a
  /// hard one is followed and no data is read.
  ///
  /// - Parameter path: The file.
  /// - Throws: `HDF5Error` if the library cannot open the file.
  public init(contentsOf path: String) throws(HDF5Error) {
    let access = try Handle(H5Pclose, "prepare access", file: path) {
      H5Pcreate(unroll_H5P_FILE_ACCESS())
    }
    // Files are replaced, never changed in place: a lock protects nothing and fails on NFS.
    _ = try h5("prepare access", file: path) { H5Pset_file_locking(access.id, false, true) }
    let file = try Handle(H5Fclose, "open file", file: path) {
      H5Fopen(path, unroll_H5F_ACC_RDONLY(), access.id)
    }
    var walk = InventoryWalk(file: path)
    try walk.visit("/", in: file.id, depth: 0)
    self.init(objects: walk.objects, stoppedAt: walk.stoppedAt)
  }
}

/// The state of a walk.
private struct InventoryWalk {
  let file: String
  var objects: [InventoryObject] = []
  var stoppedAt: Inventory.Limit?
  /// The path under which each address was first met; ties and cycles are found here.
  private var pathsByAddress: [UInt64: String] = [:]

  init(file: String) { self.file = file }

  /// Describes an object and, if it is a group, all that is below it.
  ///
  /// An object that cannot be read becomes an entry that says so; the walk goes on.
  mutating func visit(_ path: String, in location: hid_t, depth: Int) throws(HDF5Error) {
    guard stoppedAt == nil else { return }
    guard objects.count < Inventory.maximumObjects else {
      stoppedAt = .objects
      return
    }
    do throws(HDF5Error) {
      let object = try Handle(H5Oclose, "open object", file: file, object: path) {
        H5Oopen(location, path, hid_t(H5P_DEFAULT))
      }
      try describe(object.id, path, in: location, depth: depth)
    } catch {
      objects.append(
        InventoryObject(path: path, kind: .unreadable(error.reason), linkCount: 0))
    }
  }

  private mutating func describe(
    _ object: hid_t, _ path: String, in location: hid_t, depth: Int
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
      try visitMembers(of: object, path, in: location, depth: depth)
    case H5O_TYPE_DATASET.rawValue:
      let description = try DatasetDescription(of: object, path: path, file: file)
      try append(path, .dataset(description), object, links)
    default:
      try append(path, .namedDatatype, object, links)
    }
  }

  private mutating func append(
    _ path: String, _ kind: InventoryObject.Kind, _ object: hid_t, _ links: UInt32
  ) throws(HDF5Error) {
    let attributes = try attributesOf(object, path: path, file: file)
    objects.append(
      InventoryObject(path: path, kind: kind, linkCount: Int(links), attributes: attributes))
  }

  private mutating func visitMembers(
    of group: hid_t, _ path: String, in location: hid_t, depth: Int
  ) throws(HDF5Error) {
    guard depth < Inventory.maximumDepth else {
      stoppedAt = .depth(path)
      return
    }
    for (name, linkType) in try members(of: group, path) {
      let member = path == "/" ? "/\(name)" : "\(path)/\(name)"
      switch linkType {
      case H5L_TYPE_HARD.rawValue: try visit(member, in: location, depth: depth + 1)
      case H5L_TYPE_SOFT.rawValue: appendLink(member, .softLink)
      case H5L_TYPE_EXTERNAL.rawValue: appendLink(member, .externalLink)
      default: appendLink(member, .userDefinedLink)
      }
    }
  }

  private mutating func appendLink(_ path: String, _ kind: InventoryObject.Kind) {
    objects.append(InventoryObject(path: path, kind: kind, linkCount: 0))
  }

  /// The names in a group and the types of their links, by name.
  ///
  /// Bytes that are not UTF-8 become U+FFFD; a rule refuses such names.
  private func members(
    of group: hid_t, _ path: String
  ) throws(HDF5Error) -> [(name: String, linkType: CInt)] {
    var members: [(name: String, linkType: CInt)] = []
    _ = try h5("list group", file: file, object: path) {
      withUnsafeMutablePointer(to: &members) { pointer in
        unroll_H5Literate(
          group,
          { name, linkType, context in
            guard let name, let context else { return }
            let list = context.assumingMemoryBound(to: [(name: String, linkType: CInt)].self)
            // One more than the limit is enough to see that there are too many.
            guard list.pointee.count <= Inventory.maximumObjects else { return }
            list.pointee.append((String(cString: name), linkType))
          }, pointer)
      }
    }
    return members
  }
}
