// A pickle of named NumPy arrays: calls that would rebuild them are read as descriptions.

import UnrollTensors
import UnrollTokenization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// An opened file of `pickle.dump({"name": array, ...}, file)`, protocols 2 to 5.
struct NumPyPickle: TensorContainer {
  private static let saveAgain = "save the arrays with numpy.savez"

  private let file: MappedFile
  /// The pickled value.
  let graph: PickleGraph
  private var entries: [String: PickledArray] = [:]
  /// The numeric arrays, in the file's order.
  private(set) var tensors: [NamedTensor] = []
  /// The token lists beside the arrays.
  private(set) var lists: [TokenList] = []
  /// Notes on content that is neither a numeric array nor a token list.
  private(set) var notes: [Note] = []
  private var search = TokenSearch()
  private var arrays: PickledArrays

  /// The file's path.
  var path: String { file.path }
  var place: String { "pickle" }
  var roomForCopies: Int { max(64 << 20, file.count) }

  /// Returns `true` if a file looks like a pickle that names NumPy.
  static func recognizes(_ file: MappedFile) -> Bool { isPickle(file) && holds("numpy", file) }

  /// Returns `true` if a file begins and ends like a pickle of protocol 2 to 5.
  static func isPickle(_ file: MappedFile) -> Bool {
    file.count > 2 && file.copy(0..<1) == [0x80]
      && (2...5).contains(file.copy(1..<2).first ?? 0)
      && file.copy(file.count - 1..<file.count) == [PickleOpcode.stop.rawValue]
  }

  /// Returns `true` if a file contains a word.
  static func holds(_ word: StaticString, _ file: MappedFile) -> Bool {
    // The file must stay mapped during the search.
    withExtendedLifetime(file) { names(word, in: file.bytes) }
  }

  private static func names(_ text: StaticString, in bytes: UnsafeRawBufferPointer) -> Bool {
    let count = text.utf8CodeUnitCount
    var rest = bytes
    while rest.count >= count, let start = rest.baseAddress,
      let found = memchr(start, CInt(text.utf8Start.pointee), rest.count - count + 1)
    {
      if memcmp(found, text.utf8Start, count) == 0 { return true }
      rest = UnsafeRawBufferPointer(rebasing: rest[(UnsafeRawPointer(found) - start + 1)...])
    }
    return false
  }

  /// Opens a file and interprets its pickle.
  ///
  /// - Throws: `InterchangeError` if it is damaged or has no named arrays.
  init(_ file: MappedFile) throws {
    self.file = file
    guard file.count <= PickleMachine.largestPickle else {
      throw InterchangeError(
        file: file.path, place: "pickle", expected: "at most \(PickleMachine.largestPickle) bytes",
        found: "\(file.count)", fix: Self.saveAgain)
    }
    do {
      graph = try PickleMachine.graph(of: file.copy(0..<file.count))
    } catch let error as PickleError {
      throw error.interchangeError(
        file, "pickle", fix: "the pickle is damaged; copy it again or \(Self.saveAgain)")
    }
    arrays = PickledArrays(room: file.count)
    guard let members = graph.entries(graph.root) else {
      throw error(
        place, expected: "a dictionary of arrays by name", found: graph.describe(graph.root),
        fix: Self.saveAgain)
    }
    for (key, value) in members { try add(value, key: key) }
  }

  private mutating func add(_ value: PickleReference, key: PickleReference) throws {
    guard let name = graph.string(key) else {
      throw error(
        place, expected: "names of arrays", found: "\(graph.describe(key)) as a key",
        fix: Self.saveAgain)
    }
    let entry: PickledArray?
    do {
      entry = try arrays.array(value, in: graph)
    } catch {
      throw self.error(
        name, expected: "the arguments of \(error.function)", found: "others",
        fix: "the pickle is damaged; \(Self.saveAgain)")
    }
    guard let entry else {
      if let list = search.list(
        in: PickledValue(graph: graph, reference: value), named: name)
      {
        lists.append(list)
      } else {
        notes.append(Note(place: name, message: "not preserved: \(graph.describe(value))"))
      }
      return
    }
    guard let element = entry.array.type.element else {
      notes.append(try entry.array.noteOnContents(named: name, file: file.path))
      return
    }
    guard let view = entry.array.view(named: name, element, byteCount: entry.bytes.count) else {
      throw error(
        name,
        expected: "as many bytes as \(entry.array.type.name) of shape \(entry.array.shape) has",
        found: "\(entry.bytes.count)", fix: Self.saveAgain)
    }
    guard entries.updateValue(entry, forKey: name) == nil else {
      throw error(name, expected: "one array of this name", found: "two", fix: Self.saveAgain)
    }
    tensors.append(NamedTensor(name: name, tensor: view))
  }

  // MARK: TensorContainer

  func error(_ place: String, expected: String, found: String, fix: String) -> InterchangeError {
    InterchangeError(file: file.path, place: place, expected: expected, found: found, fix: fix)
  }

  /// Returns no notes: pickles have no checksums.
  func verifyStorages(of tensors: [StoredTensor]) throws -> [Note] { [] }

  func contents(of tensor: StoredTensor, named name: String, room: inout Int) throws -> Tensor {
    guard let entry = entries[tensor.record] else {
      throw error(name, expected: "an array of the file", found: "none", fix: Self.saveAgain)
    }
    return try entry.array.numbers(
      of: tensor, named: name, in: entry.bytes, room: &room, error: error)
  }
}
