// Finds the best path of a lattice with the scores of a recurrent model.

import UnrollNeural
import UnrollTokenization

/// Settings of the search for the best path of a lattice.
public struct LatticeSettings: Sendable {
  /// The factor of the language models' log-probability; `nil` for what the lattice states, or 1.
  public var languageModel: Double?
  /// The score of each word in nats; `nil` for what the lattice states, or 0.
  public var word: Double?
  /// The share of the lattice's own language model, 0 to 1, in a weighted sum of logarithms.
  public var latticeShare = 0.0
  /// The number of last words that two partial paths at a node need in common for the worse one to
  /// be given up; `nil` for all words, which gives up none that could be best.
  public var recombined: Int?
  /// The nats by which a partial path may be worse than the best of its node; `nil` for any.
  public var beam: Double?
  /// The maximum number of partial paths that leave a node; `nil` for any.
  public var pathsPerNode: Int?
  /// The scores of unknown words.
  public var unknown = UnknownWords.undefined
  /// The number of partial paths at a node above which a search is refused.
  var pathLimit = 100_000
  /// Changes of the words before they are cut into tokens.
  public var preparation = TextPreparation()

  /// Creates settings of an exact search.
  public init() {}

  /// `true` if every path counts.
  public var isExact: Bool { recombined == nil && beam == nil && pathsPerNode == nil }
}

/// The best path of a lattice.
///
/// Scores are natural logarithms.
public struct LatticeChoice: Sendable {
  /// The words.
  public let text: String
  /// The recognizer's score of the sounds; `nil` if the lattice has none.
  public let acoustic: Double?
  /// The log-probability of the lattice's language model; `nil` if the lattice has none.
  public let language: Double?
  /// The model's log-probability; `nil` where words are unknown or not predicted.
  public let logProbability: Double?
  /// The combination of all; `nil` without a log-probability.
  public let total: Double?
  /// The number of different sentences at the end of the lattice that were compared.
  public let sentenceCount: Int
  /// The factor of the language models.
  public let languageWeight: Double
  /// The score of each word.
  public let wordWeight: Double
}

extension LanguageModel {
  /// Finds the best path of a lattice: `acoustic + weight * language + words * score`, where
  /// `language` is the model's log-probability, or a weighted sum with the lattice's own.
  ///
  /// Partial paths pass through the nodes in order; of those with the same words at a node, only
  /// the best goes on. The result does not depend on the number of threads.
  ///
  /// - Throws: `TextError` if the model cannot encode a word, if the lattice has no scores for its
  ///   share, or if more than 100,000 partial paths leave a node; `NotFinite`; `NeuralError` if
  ///   memory is short; `CancellationError` if the task was cancelled.
  public func bestPath(of lattice: Lattice, _ settings: LatticeSettings) throws -> LatticeChoice {
    guard lattice.hasLanguage || settings.latticeShare == 0 else {
      throw TextError(
        path: lattice.path, line: nil, expected: "scores of a language model, l=", found: "none",
        fix: "leave --lattice-weight out")
    }
    return try LatticeDecoder(self, lattice, settings).choice()
  }
}

/// One search in a lattice.
private struct LatticeDecoder {
  /// A path from the first node to another.
  struct Partial {
    var text: ReadText
    var acoustic = 0.0
    var language = 0.0
    /// The combined score; `nil` if the text has none.
    var total: Double?

    /// Returns `true` if this path is better: a score before none, then the higher one.
    func isBetter(than other: Partial) -> Bool {
      guard let total, let least = other.total else {
        return total == nil && other.total == nil ? acoustic > other.acoustic : total != nil
      }
      return total > least
    }
  }

  /// The last words of a text: all, or some.
  private enum History: Hashable {
    case all(ObjectIdentifier)
    case last([String])
  }

  private let lattice: Lattice
  private let settings: LatticeSettings
  private let reader: TextReader
  private let languageWeight: Double
  private let wordWeight: Double

  init(_ model: LanguageModel, _ lattice: Lattice, _ settings: LatticeSettings) {
    self.lattice = lattice
    self.settings = settings
    reader = TextReader(model, settings.preparation, settings.unknown, path: lattice.path)
    languageWeight = settings.languageModel ?? lattice.languageScale ?? 1
    wordWeight = settings.word ?? lattice.wordScore ?? 0
  }

  func choice() throws -> LatticeChoice {
    var first = Partial(text: try reader.empty())
    first.total = total(of: first, first.text.nats)
    var waiting: [Int: [Partial]] = [lattice.start: [first]]
    for node in lattice.order where node != lattice.end {
      let live = try pruned(waiting.removeValue(forKey: node) ?? [])
      try pass(live, from: node, to: &waiting)
    }
    return try best(of: try pruned(waiting[lattice.end] ?? []))
  }

  /// Moves partial paths along the arcs from a node.
  private func pass(
    _ live: [Partial], from node: Int, to waiting: inout [Int: [Partial]]
  ) throws {
    let steps = live.flatMap { path in lattice.outgoing[node].map { (path, $0) } }
    let continued = try reader.continued(
      steps.compactMap { path, arc in arc.word.map { (path.text, $0) } })
    var texts = continued.makeIterator()
    for (path, arc) in steps {
      var next = path
      if arc.word != nil, let text = texts.next() { next.text = text }
      next.acoustic += arc.acoustic
      next.language += arc.language
      next.total = total(of: next, next.text.nats)
      waiting[arc.to, default: []].append(next)
    }
  }

  private func total(of path: Partial, _ nats: Double?) -> Double? {
    guard let nats else { return nil }
    let share = settings.latticeShare
    let language = share == 0 ? nats : (1 - share) * nats + share * path.language
    return path.acoustic + languageWeight * language + wordWeight * Double(path.text.words.count)
  }

  /// Returns the partial paths that leave a node, the best first and of equal ones the earlier.
  private func pruned(_ paths: [Partial]) throws -> [Partial] {
    var places: [History: Int] = [:]
    var kept: [Partial] = []
    for path in paths {
      let history = history(of: path.text)
      if let place = places[history] {
        if path.isBetter(than: kept[place]) { kept[place] = path }
      } else {
        places[history] = kept.count
        kept.append(path)
      }
    }
    var order = kept.indices.sorted { a, b in
      kept[a].isBetter(than: kept[b]) || a < b && !kept[b].isBetter(than: kept[a])
    }
    if let beam = settings.beam, let most = order.first.flatMap({ kept[$0].total }) {
      order.removeAll { kept[$0].total.map { $0 < most - beam } ?? false }
    }
    if let count = settings.pathsPerNode { order = Array(order.prefix(count)) }
    guard order.count <= settings.pathLimit else {
      throw TextError(
        path: lattice.path, line: nil,
        expected: "at most \(settings.pathLimit) sentences that begin differently at a node",
        found: "\(order.count)",
        fix: "give a limit, such as --recombine 4, --beam 100 or --max-tokens-per-node 64")
    }
    return order.map { kept[$0] }
  }

  private func history(of text: ReadText) -> History {
    settings.recombined.map { .last(text.words.suffix($0)) } ?? .all(ObjectIdentifier(text))
  }

  private func best(of paths: [Partial]) throws -> LatticeChoice {
    let nats = try reader.sentences(paths.map(\.text))
    let ends = zip(paths, nats).map { path, nats in
      var path = path
      path.total = total(of: path, nats)
      return path
    }
    // A lattice has a path to its end, and no limit gives up the best one at a node.
    var index = 0
    for other in ends.indices where ends[other].isBetter(than: ends[index]) { index = other }
    let best = ends[index]
    return LatticeChoice(
      text: best.text.words.joined(separator: " "),
      acoustic: lattice.hasAcoustic ? best.acoustic : nil,
      language: lattice.hasLanguage ? best.language : nil, logProbability: nats[index],
      total: best.total, sentenceCount: paths.count, languageWeight: languageWeight,
      wordWeight: wordWeight)
  }
}
