// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Orders the layers of a file of weights alone by classes, shapes and numbers.

import UnrollFormat
import UnrollTensors

/// The layers of a file without a configuration, as a chain from ids to the output.
struct KerasRoles {
  /// Classes of layers with variables, by their group names.
  static let classes: Set = [
    "embedding", "reversible_embedding", "lstm", "gru", "simple_rnn", "rnn", "dense",
    "time_distributed",
  ]

  /// A layer with its variables and the kind that their shapes allow.
  struct Candidate {
    let module: KerasModule
    let variables: [KerasVariable]
    let kind: Kind
  }

  enum Kind {
    /// A single matrix: an embedding, or a Dense layer without a bias.
    case matrix
    /// A matrix and a bias.
    case dense
    case recurrent(KerasCell)
    /// A ReversibleEmbedding: one matrix that is both embedding and output, or two.
    case reversible
  }

  /// A chain of layers: the optional embedding, the recurrent layers, the output.
  private struct Chain {
    let embedding: Int?
    let recurrent: [Int]
    let output: Int
  }

  private let candidates: [Candidate]
  private let recurrent: [Int]

  init(_ candidates: [Candidate]) {
    self.candidates = candidates
    recurrent = candidates.indices.filter {
      if case .recurrent = candidates[$0].kind { true } else { false }
    }
  }

  /// The result of ordering layers by shape.
  enum Order {
    case one([Candidate])
    case several
    case none
  }

  /// Returns the layers in the order of computation.
  ///
  /// - Parameter isListed: `true` if the candidates are in that order, as in a list of names; other
  ///   orders are tried if the shapes do not allow it.
  /// - Returns: The order, if it is unique, where numbers in names may decide.
  func order(isListed: Bool) -> Order {
    let found = isListed ? listed : []
    let chains = found.isEmpty ? chains : found
    guard let chain = chains.first else { return .none }
    guard chains.count == 1 else { return .several }
    let indices = (chain.embedding.map { [$0] } ?? []) + chain.recurrent + [chain.output]
    return .one(indices.map { candidates[$0] })
  }

  private func shape(_ index: Int, _ variable: Int = 0) -> [Int] {
    candidates[index].variables[variable].tensor.shape.dimensions
  }

  private func hasClass(_ index: Int, _ names: Set<String>) -> Bool {
    candidates[index].module.className.map(names.contains) ?? true
  }

  /// The layers in the listed order, if their shapes allow it.
  private var listed: [Chain] {
    guard let output = candidates.indices.last, isOutput(output) else { return [] }
    let H = shape(output)[0]
    let V = shape(output)[1]
    let embedding: Int? = recurrent.first == 0 ? nil : 0
    let end = candidates.count - 1
    guard recurrent == Array((embedding == nil ? 0 : 1)..<max(1, end)),
      embedding.map({ isEmbedding($0) && shape($0)[0] == V }) ?? true,
      fits(recurrent, embedding.map { shape($0)[1] } ?? V, H)
    else { return [] }
    return [Chain(embedding: embedding, recurrent: recurrent, output: output)]
  }

  /// Every chain that uses all layers once, at least two if there are several.
  private var chains: [Chain] {
    var chains: [Chain] = []
    let others = candidates.indices.filter { !recurrent.contains($0) }
    if others.count == 1, case .reversible = candidates[others[0]].kind {
      let D = shape(others[0])[1]
      return orders(from: D, to: D).map {
        Chain(embedding: others[0], recurrent: $0, output: others[0])
      }
    }
    for output in others where isOutput(output) {
      let H = shape(output)[0]
      let V = shape(output)[1]
      let rest = others.filter { $0 != output }
      guard rest.count <= 1 else { continue }
      if let embedding = rest.first {
        guard isEmbedding(embedding), shape(embedding)[0] == V else { continue }
        for order in orders(from: shape(embedding)[1], to: H) {
          chains.append(Chain(embedding: embedding, recurrent: order, output: output))
        }
      } else {
        for order in orders(from: V, to: H) {
          chains.append(Chain(embedding: nil, recurrent: order, output: output))
        }
      }
    }
    return chains
  }

  private func isOutput(_ index: Int) -> Bool {
    switch candidates[index].kind {
    case .dense, .matrix: hasClass(index, ["dense", "time_distributed"])
    default: false
    }
  }

  private func isEmbedding(_ index: Int) -> Bool {
    switch candidates[index].kind {
    case .matrix: hasClass(index, ["embedding"])
    case .reversible: true
    default: false
    }
  }

  // MARK: - Recurrent layers

  /// Returns the orders of all recurrent layers that lead from one width to another; if there are
  /// several and names are numbered in one list, only the numbered one.
  private func orders(from width: Int, to end: Int) -> [[Int]] {
    var found: [[Int]] = []
    var steps = 0
    search(recurrent, width, end, [], &found, &steps)
    guard found.count != 1 || steps > Self.mostSteps else { return found }
    guard let numbered, fits(numbered, width, end) else { return found }
    return [numbered]
  }

  private static let mostSteps = 10_000

  private func search(
    _ rest: [Int], _ width: Int, _ end: Int, _ order: [Int], _ found: inout [[Int]],
    _ steps: inout Int
  ) {
    steps += 1
    guard found.count < 2, steps <= Self.mostSteps else { return }
    if rest.isEmpty, width == end { found.append(order) }
    for index in rest where shape(index)[0] == width {
      search(
        rest.filter { $0 != index }, shape(index, 1)[0], end, order + [index], &found, &steps)
    }
  }

  private func fits(_ order: [Int], _ width: Int, _ end: Int) -> Bool {
    var width = width
    for index in order {
      guard shape(index)[0] == width else { return false }
      width = shape(index, 1)[0]
    }
    return width == end
  }

  /// The recurrent layers by number, if they are of one class in one list.
  private var numbered: [Int]? {
    let modules = recurrent.map { candidates[$0].module }
    guard Set(modules.map { "\($0.parent) \($0.className ?? "")" }).count == 1,
      modules.first?.className != nil
    else { return nil }
    // Cells of one layer have its number, and are in order.
    let places = Set(modules.map(\.place))
    guard places.count == modules.count || places.count == 1 else { return nil }
    return recurrent.enumerated().sorted {
      let a = candidates[$0.element].module.number
      let b = candidates[$1.element].module.number
      return (a, $0.offset) < (b, $1.offset)
    }.map(\.element)
  }

  // MARK: - Ambiguous files

  /// The layers in the most plausible order: the embedding, recurrent layers by number, the output.
  var likely: [Candidate] {
    func rank(_ candidate: Candidate) -> Int {
      switch candidate.kind {
      case .recurrent: 1
      case .reversible: 0
      case .dense: 2
      case .matrix:
        candidate.module.className.map { ["dense", "time_distributed"].contains($0) ? 2 : 0 } ?? 0
      }
    }
    return candidates.enumerated().sorted {
      let a = $0.element
      let b = $1.element
      return (rank(a), a.module.number, $0.offset) < (rank(b), b.module.number, $1.offset)
    }.map(\.element)
  }

  // MARK: - Parts

  /// Returns the layers in the order of computation, with their variables.
  static func parts(of layers: [Candidate]) -> [KerasPart] {
    layers.enumerated().map { index, layer in
      func part(_ computes: KerasLayer, _ variables: [KerasVariable]) -> KerasPart {
        KerasPart(computes: computes, name: layer.module.shortName, variables: variables)
      }
      switch layer.kind {
      case .recurrent(let cell): return part(.recurrent(cell), layer.variables)
      case .dense: return part(.dense, layer.variables)
      case .matrix:
        let isFirst = index == 0 && layers.count > 1
        return part(isFirst ? .embedding : .dense, layer.variables)
      case .reversible where index == 0: return part(.embedding, Array(layer.variables.prefix(1)))
      case .reversible:
        let isTied = layer.variables.count == 1
        return part(.reversed(isTied: isTied), Array(layer.variables.dropFirst()))
      }
    }
  }
}
