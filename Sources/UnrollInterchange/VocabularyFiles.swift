// Vocabularies in files, pickles among them.

import UnrollTensors
import UnrollTokenization

extension Vocabulary {
  /// A vocabulary from a file that lists tokens.
  ///
  /// - Parameters:
  ///   - path: The file; all but pickles may be gzip.
  ///   - format: Its form.
  /// - Throws: `FileError` if the file cannot be opened, `TextError` if it is not of this form or has a
  ///   token twice.
  public init(contentsOf path: String, format: VocabularyFormat) throws {
    if format == .pickle {
      try self.init(pickle: path)
    } else {
      try self.init(text: path, format: format)
    }
  }

  /// A vocabulary from a pickled list of texts, as fastai's `itos.pkl`, or from another value that lists tokens.
  private init(pickle path: String) throws {
    func error(_ found: String) -> TextError {
      TextError(
        path: path, line: nil,
        expected: "a pickled list of tokens, or a dictionary of tokens with the ids 0, 1, 2, ...",
        found: found, fix: "list each token once, as in `pickle.dump(itos, file)`")
    }
    let file = try MappedFile(path: path)
    guard file.count <= PickleMachine.largestPickle else { throw error("\(file.count) bytes") }
    let graph: PickleGraph
    do {
      graph = try PickleMachine.graph(of: file.copy(0..<file.count))
    } catch let problem as PickleError {
      throw error("no pickle: byte \(problem.offset), \(problem.opcode)")
    }
    var budget = PickledTokens.Budget()
    guard let list = PickledTokens(graph.root, named: "", in: graph, budget: &budget) else {
      throw error(graph.describe(graph.root))
    }
    self = list.vocabulary(unit: .word)
  }
}
