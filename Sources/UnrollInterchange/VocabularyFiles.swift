// Vocabularies in files of any form, detected by content.

import UnrollFormat
import UnrollSerialization
import UnrollTensors
import UnrollTokenization

extension Vocabulary {
  /// Reads a vocabulary from a file that lists tokens.
  ///
  /// - Parameters:
  ///   - path: The file; texts may be gzip.
  ///   - format: Its form; `nil` to detect it by content and name.
  /// - Throws: `FileError` if the file cannot be opened, `TextError` if it is not of this form or
  ///   has duplicate tokens.
  public init(contentsOf path: String, format: VocabularyFormat? = nil) throws {
    var notes: [Note] = []
    try self.init(contentsOf: path, format: format, notes: &notes)
  }

  /// Reads a vocabulary from a file that lists tokens.
  ///
  /// - Parameters:
  ///   - path: The file; texts may be gzip.
  ///   - format: Its form; `nil` to detect it by content and name.
  ///   - notes: Out: with notes on assumptions.
  /// - Throws: `FileError` if the file cannot be opened, `TextError` if it is not of this form or
  ///   has duplicate tokens.
  public init(
    contentsOf path: String, format: VocabularyFormat?, notes: inout [Note]
  ) throws {
    switch try format ?? Self.format(of: path) {
    case .pickle: try self.init(pickle: path, notes: &notes)
    case .json: self.init(try Self.list(json: path), path: path, notes: &notes)
    case .list:
      var form: String?
      try self.init(listedIn: path, form: &form)
      if let form { notes.append(Note(place: path, message: "read as a table: \(form)")) }
      notes += oddTokenNotes(path)
      if paddingID == 0, form?.hasSuffix("from 1") == true { notes.append(Self.paddingNote(path)) }
    case let other: try self.init(text: path, format: other)
    }
  }

  /// Returns notes on tokens of a list that no text has.
  private func oddTokenNotes(_ path: String) -> [Note] {
    let texts = indices.map { text(of: $0) }
    let spaced = texts.filter { $0.count > 1 && ($0.first == " " || $0.last == " ") }
    let quoted = texts.filter { $0.count > 2 && $0.first == "\"" && $0.last == "\"" }
    var notes: [Note] = []
    if let first = spaced.first {
      notes.append(
        Note(
          place: path,
          message: "WARNING: tokens with a space at an end (\(spaced.count)), such as "
            + "\"\(first)\": no word of a text has one"))
    }
    if quoted.count > texts.count / 2, let first = quoted.first {
      notes.append(
        Note(
          place: path,
          message:
            "WARNING: most tokens are in quotation marks, such as \(first): they are read as part of "
            + "the tokens"))
    }
    return notes
  }

  /// Returns the form of a file by its first bytes, or else by its name.
  private static func format(of path: String) throws -> VocabularyFormat {
    let named = VocabularyFormat(path: path)
    guard path != "-", let file = try? MappedFile(path: path) else { return named }
    if try CompressedPickle.contents(of: file) != nil { return .pickle }
    if TorchKind.recognizes(file) || NumPyPickle.isPickle(file)
      || NPYHeader.begins(file.copy(0..<6))
    {
      return .pickle
    }
    let start = file.copy(0..<64).first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
    let isJSON = start == UInt8(ascii: "{") || start == UInt8(ascii: "[")
    if isJSON, named == .list, file.count <= largestJSON,
      (try? JSONValue(file.copy(0..<file.count))) != nil
    {
      return .json
    }
    return named
  }

  private static let largestJSON = 256 << 20

  private static func paddingNote(_ path: String) -> Note {
    Note(place: path, message: "ids count from 1: row 0 is taken for padding")
  }

  private init(_ list: TokenList, path: String, notes: inout [Note]) {
    self = list.vocabulary(unit: .word)
    if !list.name.isEmpty {
      notes.append(Note(place: path, message: "tokens taken from \(list.name)", isHarmless: true))
    }
    if list.firstID == 1 { notes.append(Self.paddingNote(path)) }
  }

  // MARK: - Pickles

  /// Reads a vocabulary from a pickle, a file of `torch.save` or a NumPy array.
  private init(pickle path: String, notes: inout [Note]) throws {
    let file = try MappedFile(path: path)
    let lists: [TokenList]
    var found = "no such value"
    if NPYHeader.begins(file.copy(0..<6)) {
      lists =
        try Self.texts(ofArray: file).flatMap { TokenSearch.list($0, name: "") }.map { [$0] } ?? []
    } else {
      let graph = try Self.graph(of: file)
      let value = PickledValue(graph: graph, reference: graph.root)
      var search = TokenSearch()
      lists = search.lists(in: value, named: "")
      found = graph.describe(graph.root)
    }
    self.init(try Self.onlyList(lists, path: path, found: found), path: path, notes: &notes)
  }

  private static func graph(of file: MappedFile) throws -> PickleGraph {
    if TorchKind.recognizes(file) {
      do {
        return try TorchFile(file).graph
      } catch let error as InterchangeError {
        throw TextError(
          path: file.path, line: nil, expected: error.expected, found: error.found, fix: error.fix)
      }
    }
    func error(_ found: String) -> TextError {
      TextError(
        path: file.path, line: nil, expected: "a pickle with a list of tokens", found: found,
        fix: "list each token once, one a line, or as in `pickle.dump(itos, file)`")
    }
    guard file.count <= PickleMachine.largestPickle else { throw error("\(file.count) bytes") }
    do {
      let unpacked = try CompressedPickle.contents(of: file)
      return try PickleMachine.graph(of: unpacked ?? file.copy(0..<file.count))
    } catch let problem as PickleError {
      throw error("no pickle: byte \(problem.offset), \(problem.opcode)")
    }
  }

  /// Returns the strings of an `.npy` file; `nil` if it holds something else.
  private static func texts(ofArray file: MappedFile) throws -> [[UInt8]]? {
    guard let (type, start) = NPYHeader.ofArray(file) else { return nil }
    if type.name.hasPrefix("O") {
      var reader = PickledArrays(room: file.count)
      guard let graph = try? PickleMachine.graph(of: file.copy(start..<file.count)) else {
        return nil
      }
      return reader.texts(graph.root, in: graph)
    }
    return type.texts(file.copy(start..<file.count))
  }
}
