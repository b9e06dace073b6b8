// The two things that libhdf5 does to a file of unknown origin: an inventory, and decoding of chunks.

import UnrollTensors

/// Why a container could not be read.
public enum ContainerFailure: Error, Sendable, Hashable {
  /// libhdf5 refused the file, and its reason.
  case refused(String)
  /// libhdf5 could not decode the data of an object, and its reason.
  case undecodable(object: String, reason: String)
  /// The process that read the file ended in another way than it should: crashed, hung, grew.
  case died(String)
  /// There is no process to read the file in: the machine's fault, not the file's; what failed, and the
  /// error number.
  case unavailable(String, code: Int32)

  /// Returns the error of the machine, if it is one.
  package func fileError(path: String) -> FileError? {
    guard case .unavailable(let operation, let code) = self else { return nil }
    return FileError(operation, path: path, code: code)
  }
}

/// Runs libhdf5 on a file: in this process, or in one of its own.
public struct ContainerReader: Sendable {
  /// Makes the inventory of the file at a path.
  public let inventory: @Sendable (_ path: String) throws(ContainerFailure) -> Inventory
  /// Decodes datasets of the file at a path into an open file; see `decodeDatasets`.
  public let decode:
    @Sendable (
      _ orders: [DecodingOrder], _ path: String, _ descriptor: Int32
    ) throws(ContainerFailure) -> Void
  /// Reads files of other programs.
  public let foreign: ForeignReader

  /// Creates a reader; by default, it refuses files of other programs.
  public init(
    inventory: @escaping @Sendable (String) throws(ContainerFailure) -> Inventory,
    decode: @escaping @Sendable ([DecodingOrder], String, Int32) throws(ContainerFailure) -> Void,
    foreign: ForeignReader = .refusing
  ) {
    self.inventory = inventory
    self.decode = decode
    self.foreign = foreign
  }

  /// Reads in this process.
  ///
  /// libhdf5 then parses the file here: hostile files crash it, and this process with it. Use it for
  /// files that you made.
  public static let inProcess = ContainerReader(
    inventory: { path throws(ContainerFailure) in
      do throws(HDF5Error) {
        return try Inventory(contentsOf: path)
      } catch {
        throw .refused(error.reason)
      }
    },
    decode: { orders, path, descriptor throws(ContainerFailure) in
      do throws(HDF5Error) {
        try decodeDatasets(orders, of: path, into: descriptor)
      } catch {
        throw ContainerFailure(undecodable: error)
      }
    }, foreign: .inProcess)
}

/// Runs libhdf5 on another program's file that is in memory; its name is for messages.
public struct ForeignReader: Sendable {
  /// Makes the inventory of a file.
  public let inventory:
    @Sendable (_ image: ByteStorage, _ name: String) throws(ContainerFailure) -> Inventory
  /// Decodes datasets into an open file; see `decodeDatasets`.
  public let decode:
    @Sendable (
      _ orders: [DecodingOrder], _ image: ByteStorage, _ name: String, _ descriptor: Int32
    ) throws(ContainerFailure) -> Void
  /// Reads the strings at a path, each with a NUL behind it; see `readTexts`.
  public let texts:
    @Sendable (
      _ path: String, _ image: ByteStorage, _ name: String
    ) throws(ContainerFailure) -> [UInt8]

  /// Creates a reader.
  public init(
    inventory: @escaping @Sendable (ByteStorage, String) throws(ContainerFailure) -> Inventory,
    decode:
      @escaping @Sendable (
        [DecodingOrder], ByteStorage, String, Int32
      ) throws(ContainerFailure) -> Void,
    texts: @escaping @Sendable (String, ByteStorage, String) throws(ContainerFailure) -> [UInt8]
  ) {
    self.inventory = inventory
    self.decode = decode
    self.texts = texts
  }

  /// Reads nothing.
  public static let refusing = ForeignReader { _, _ throws(ContainerFailure) in
    throw .refused("this reader reads no files of other programs")
  } decode: { _, _, _, _ in
  } texts: { _, _, _ in
    []
  }

  /// Reads in this process; see `ContainerReader.inProcess`.
  static let inProcess = ForeignReader { image, name throws(ContainerFailure) in
    do throws(HDF5Error) {
      return try Inventory(foreign: image, name: name)
    } catch {
      throw .refused(error.reason)
    }
  } decode: { orders, image, name, descriptor throws(ContainerFailure) in
    do throws(HDF5Error) {
      try decodeDatasets(orders, ofForeign: image, name: name, into: descriptor)
    } catch {
      throw ContainerFailure(undecodable: error)
    }
  } texts: { path, image, name throws(ContainerFailure) in
    do throws(HDF5Error) {
      return try readTexts(path, ofForeign: image, name: name)
    } catch {
      throw ContainerFailure(undecodable: error)
    }
  }
}

extension ContainerFailure {
  fileprivate init(undecodable error: HDF5Error) {
    self = .undecodable(object: error.object, reason: "\(error.operation): \(error.reason)")
  }
}
