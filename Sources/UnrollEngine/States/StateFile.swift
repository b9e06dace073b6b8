// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Writes the states of a model after each token, word or line that it scores: HDF5 or NumPy's .npz.

import UnrollFormat
import UnrollHDF5
import UnrollInterchange
import UnrollNeural
import UnrollTensors

/// The rows of a file of states.
public enum StateLevel: String, Sendable, CaseIterable {
  /// A row for each token: the state after it was read.
  case token
  /// A row for each word: the state after its last token; NaN for a word without tokens.
  case word
  /// A row for each line: the state after its last token; NaN for a line without tokens.
  case sentence
}

/// A file of the states after the units of a scored text, in the order of the table's rows.
///
/// Arrays have the names `layers/00/h` `[rows, H]` and, of LSTMs, `layers/00/c` `[rows, H]`, in float32;
/// `sentid` `[rows]` is the line, and `tokenpos` or `sentpos` `[rows]` the token or word in it, from 1,
/// in int64. States are computed as scores arrive; no more than some megabytes of them are in memory, and
/// the rows wait in files without a name beside the result.
///
/// A class because the scratch files have identity and one end.
public final class StateFile {
  /// The format of the file.
  public enum Form: String, Sendable {
    /// HDF5.
    case hdf5
    /// An uncompressed archive of NumPy arrays.
    case npz

    /// Returns the form for the extension of a path; `nil` for others.
    public init?(path: String) {
      switch path {
      case _ where path.hasSuffix(".h5") || path.hasSuffix(".hdf5"): self = .hdf5
      case _ where path.hasSuffix(".npz"): self = .npz
      default: return nil
      }
    }
  }

  /// The path.
  public let path: String
  private let form: Form
  private let level: StateLevel
  private let replaces: Bool
  private var run: StateRun
  private let arrays: [ScratchArray]
  private let line: ScratchArray
  private let place: ScratchArray?
  private var pending: [(ids: [Int32], rows: [Int?])] = []
  private var pendingTokens = 0

  /// The number of rows so far, those of pending lines included.
  public private(set) var rowCount = 0

  /// Begins a file.
  ///
  /// - Parameters:
  ///   - path: The file; its name ends in `.h5`, `.hdf5` or `.npz`.
  ///   - model: The model.
  ///   - layers: The layers, from 0; `nil` for all.
  ///   - level: The rows.
  ///   - carriesState: `true` if each line starts from the state after the line before.
  ///   - replacing: `true` to replace an existing file.
  /// - Throws: `EngineError` for another name or a layer that the model lacks; `FileError` if there can
  ///   be no file.
  public init(
    path: String, of model: LanguageModel, layers: [Int]? = nil, level: StateLevel,
    carriesState: Bool = false, replacing: Bool = false
  ) throws {
    guard let form = Form(path: path) else {
      throw EngineError(
        path: path, expected: "a name that ends in .h5, .hdf5 or .npz", found: "another name",
        fix: "give such a name, which chooses the format")
    }
    let all = model.network.architecture.layers
    let layers = layers ?? Array(all.indices)
    if let other = layers.first(where: { !all.indices.contains($0) }) {
      throw EngineError(
        path: model.path, expected: "layers from 0 to \(all.count - 1)", found: "layer \(other)",
        fix: "give other --layers, or leave them out for all")
    }
    _ = try AtomicFile.check(path, replacing: replacing)
    self.path = path
    self.form = form
    self.level = level
    replaces = replacing
    run = StateRun(model, layers: Set(layers).sorted(), carriesState: carriesState)
    arrays = try run.kinds.map { try ScratchArray($0.name, width: $0.width, beside: path) }
    line = try ScratchArray("sentid", width: nil, beside: path)
    place =
      switch level {
      case .token: try ScratchArray("tokenpos", width: nil, beside: path)
      case .word: try ScratchArray("sentpos", width: nil, beside: path)
      case .sentence: nil
      }
  }

  /// Adds the rows of the next line.
  ///
  /// - Parameter sentence: The score of the line.
  /// - Throws: `FileError` if the disk is full; `NeuralError` if memory is short.
  public func add(_ sentence: SentenceScore) throws {
    let rows = rows(of: sentence)
    try line.append(Array(repeating: Int64(sentence.line), count: rows.count))
    try place?.append(rows.indices.map { Int64($0 + 1) })
    rowCount += rows.count
    pending.append((sentence.ids, rows))
    pendingTokens += sentence.ids.count
    if pending.count >= StateRun.columns || pendingTokens >= run.tokenLimit { try flush() }
  }

  /// Returns the token of each row; `nil` for a row without one.
  private func rows(of sentence: SentenceScore) -> [Int?] {
    switch level {
    case .token: return sentence.ids.indices.map { $0 }
    case .sentence: return [sentence.ids.indices.last]
    case .word:
      var last = [Int?](repeating: nil, count: sentence.words.count)
      for (index, token) in sentence.tokens.enumerated() {
        if let word = token.word { last[word] = index }
      }
      return last
    }
  }

  private func flush() throws {
    try run.states(ofSentences: pending.map(\.ids)) { sentence, tokens, states in
      // Rows come in order, and each belongs to the piece that has its token.
      for row in pending[sentence].rows[nextRow(sentence, tokens)...] {
        guard row.map({ $0 < tokens.upperBound }) ?? true else { break }
        for (array, values) in zip(arrays, states) {
          try array.append(row: row.map { $0 - tokens.lowerBound }, of: values)
        }
        written += 1
      }
    }
    pending = []
    pendingTokens = 0
  }

  private var written = 0
  private var current = (sentence: -1, start: 0)

  /// Returns the next row of a sentence to write, at the beginning of a piece of its tokens.
  private func nextRow(_ sentence: Int, _ tokens: Range<Int>) -> Int {
    if tokens.lowerBound == 0 { current = (sentence, written) }
    return written - current.start
  }

  /// Writes the file.
  ///
  /// - Throws: `FileError` or `HDF5Error` if it cannot be written.
  public func finish() throws {
    try flush()
    let all = arrays + [line] + [place].compactMap { $0 }
    let tensors = try all.map { (name: $0.name, tensor: try $0.tensor(rows: rowCount)) }
    let file = try AtomicFile(path, replacing: replaces)
    do {
      switch form {
      case .npz: try writeArrays(tensors, to: file.temporaryPath)
      case .hdf5:
        try ForeignContainer.write(
          tensors.map { ("/" + $0.name, $0.tensor) }.sorted { $0.0 < $1.0 },
          to: file.temporaryPath
        ) { _ in }
      }
      try file.commit()
    } catch {
      file.discard()
      throw error
    }
  }
}
