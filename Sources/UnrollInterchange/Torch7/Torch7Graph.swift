// The graph of an nngraph module as terms, so that equal computations are equal numbers.

import UnrollTensors

/// The computation of one value of a graph; other terms are named by their indices.
enum Torch7Term: Hashable {
  /// The list of all inputs.
  case inputs
  /// One input; the first is 1.
  case input(Int)
  case oneHot(size: Int, of: Int)
  /// `nn.Linear`, by its index among the linear modules of the graph.
  case linear(Int, of: Int)
  /// A sum; the terms in order of their indices.
  case sum([Int])
  case product([Int])
  case sigmoid(Int)
  case tanh(Int)
  case logSoftmax(Int)
  case scaled(by: Double, Int)
  case shifted(by: Double, Int)
  /// Some columns.
  case columns(Range<Int>, of: Int)
  /// Columns in blocks of equal width, each a row.
  case blocks(count: Int, width: Int, of: Int)
  /// The rows of blocks as a list.
  case list(Int)
}

/// The graph of an `nn.gModule`.
///
/// Layers have no names that are sure to be there, and from the second one on the matrices for input and
/// state have equal shapes: what reads what is in `mapindex` of each node alone. So the outputs are
/// expressed as terms, and a model is recognized if they are equal to the terms of its equations.
struct Torch7Graph {
  /// The modules with parameters, in order of their first appearance.
  private(set) var linears: [Torch7Value] = []
  /// The outputs.
  private(set) var outputs: [Int] = []
  /// The one-hot matrices of the modules `OneHot`.
  private(set) var identities: [Torch7Value] = []
  /// The rates of dropout.
  private(set) var dropouts: Set<Double> = []

  private let file: Torch7File
  private let place: String
  private let innerInput: Torch7Value?
  private var terms: [Torch7Term] = []
  private var indices: [Torch7Term: Int] = [:]
  private var done: [Torch7Value: Int] = [:]
  private var begun: Set<Torch7Value> = []

  /// The largest number of nodes on a path: 8 for each of 100 layers.
  private static let mostNested = 1_000
  /// The largest number of linear modules: 6 for each of 100 layers, and the output.
  private static let mostLinears = 601
  /// The advice for graphs that are not char-rnn's.
  static let fix =
    "the graphs of char-rnn's LSTM.lua, GRU.lua and RNN.lua are converted; nothing else"

  /// Expresses the outputs of a module.
  ///
  /// - Throws: `InterchangeError` naming a module that no language model of char-rnn has.
  init(_ module: Torch7Value, in file: Torch7File, place: String) throws {
    self.file = file
    self.place = place
    innerInput = file.field("data", of: file.field("innode", of: module))
    let output = file.field("data", of: file.field("outnode", of: module))
    let sources = sources(of: output)
    guard innerInput != nil, sources.count > 1 else {
      throw file.error(
        place, expected: "a graph with an input and outputs", found: "another one", fix: Self.fix)
    }
    outputs = try sources.map { try term(of: $0, depth: 0) }
  }

  // MARK: - Look-ups

  /// Returns the index of a term that is in the graph.
  func find(_ term: Torch7Term?) -> Int? { term.flatMap { indices[$0] } }

  /// Returns the index of a sum or product of other terms, all of which are in the graph.
  func find(_ make: ([Int]) -> Torch7Term, _ parts: Int?...) -> Int? {
    let known = parts.compactMap { $0 }
    return known.count == parts.count ? indices[make(known.sorted())] : nil
  }

  /// Returns the linear modules that read a term.
  func linears(reading source: Int) -> [Int] {
    linears.indices.filter { indices[.linear($0, of: source)] != nil }
  }

  /// Returns the linear module and the term that it reads, if a term is of that form.
  func linear(_ term: Int) -> (module: Int, source: Int)? {
    guard case .linear(let module, let source) = terms[term] else { return nil }
    return (module, source)
  }

  /// Returns the operand of a term, if it is a logarithm of a softmax.
  func operandOfSoftmax(_ term: Int) -> Int? {
    if case .logSoftmax(let operand) = terms[term] { operand } else { nil }
  }

  /// Returns the widths of the columns that are taken from the first one of a term on.
  func widths(ofColumnsOf term: Int) -> [Int] {
    terms.compactMap { other in
      guard case .columns(let range, term) = other, range.lowerBound == 0 else { return nil }
      return range.count
    }
  }

  /// Returns the term of an input, as one-hot vectors, and their size.
  func oneHot(ofInput input: Int) -> (term: Int, size: Int)? {
    guard let source = indices[.input(input)] else { return nil }
    for (index, term) in terms.enumerated() {
      if case .oneHot(let size, source) = term { return (index, size) }
    }
    return nil
  }

  // MARK: - Terms

  private mutating func add(_ term: Torch7Term) -> Int {
    if let index = indices[term] { return index }
    terms.append(term)
    indices[term] = terms.count - 1
    return terms.count - 1
  }

  /// The values that a node reads, in order.
  private func sources(of data: Torch7Value?) -> [Torch7Value] {
    file.list(file.field("mapindex", of: data))
  }

  private mutating func term(of data: Torch7Value, depth: Int) throws -> Int {
    if data == innerInput { return add(.inputs) }
    if let index = done[data] { return index }
    guard begun.insert(data).inserted, depth < Self.mostNested else {
      throw refusal(found: "a node that reads itself, or \(Self.mostNested) after each other")
    }
    let operands = try sources(of: data).map { try term(of: $0, depth: depth + 1) }
    let index = try add(value(of: data, operands))
    done[data] = index
    return index
  }

  /// Returns the term of a node.
  private mutating func value(of data: Torch7Value, _ operands: [Int]) throws -> Torch7Term {
    guard let first = operands.first else { throw refusal(found: "a node that reads nothing") }
    guard let module = file.field("module", of: data) else {
      guard operands.count == 1 else { throw refusal(found: "a node without a module") }
      guard let number = file.integer("selectindex", of: data) else { return terms[first] }
      return try item(number, of: first)
    }
    let name = file.className(module) ?? "a module without a class"
    switch name {
    case "nn.CAddTable": return .sum(operands.sorted())
    case "nn.CMulTable": return .product(operands.sorted())
    default: break
    }
    guard operands.count == 1 else { throw refusal(found: "\(name) of \(operands.count) values") }
    switch name {
    case "nn.Identity": return terms[first]
    case "nn.Dropout":
      if let rate = try file.dropout(of: module, place) { dropouts.insert(rate) }
      return terms[first]
    case "OneHot":
      guard let size = file.integer("outputSize", of: module), size > 0 else {
        throw refusal(found: "a module OneHot without its outputSize")
      }
      if let identity = file.field("_eye", of: module) { identities.append(identity) }
      return .oneHot(size: size, of: first)
    case "nn.Linear":
      let index = linears.firstIndex(of: module) ?? linears.count
      if index == linears.count { linears.append(module) }
      guard linears.count <= Self.mostLinears else {
        throw refusal(found: "more than \(Self.mostLinears) linear layers")
      }
      return .linear(index, of: first)
    case "nn.Sigmoid": return .sigmoid(first)
    case "nn.Tanh": return .tanh(first)
    case "nn.LogSoftMax": return .logSoftmax(first)
    case "nn.MulConstant": return .scaled(by: try constant(of: module, name), first)
    case "nn.AddConstant": return .shifted(by: try constant(of: module, name), first)
    case "nn.Narrow":
      guard file.integer("dimension", of: module) == 2,
        let start = file.integer("index", of: module), (1...1 << 30).contains(start),
        let count = file.integer("length", of: module), (1...1 << 30).contains(count)
      else { throw refusal(found: "nn.Narrow of another dimension than the columns") }
      return columns(start - 1..<start - 1 + count, of: first)
    case "nn.Reshape":
      guard let sizes = file.longs(file.field("size", of: module)), sizes.count == 2,
        sizes.allSatisfy((1...1 << 30).contains)
      else { throw refusal(found: "nn.Reshape to other than two dimensions") }
      return .blocks(count: sizes[0], width: sizes[1], of: first)
    case "nn.SplitTable":
      guard file.integer("dimension", of: module) == 2 else {
        throw refusal(found: "nn.SplitTable of another dimension than the blocks")
      }
      return .list(first)
    default: throw refusal(found: name)
    }
  }

  /// Returns an item of a list, counted from 1.
  private mutating func item(_ number: Int, of list: Int) throws -> Torch7Term {
    switch terms[list] {
    case .inputs: return .input(number)
    case .list(let blocks):
      guard case .blocks(let count, let width, let source) = terms[blocks],
        (1...count).contains(number)
      else { break }
      let (end, isHuge) = number.multipliedReportingOverflow(by: width)
      if !isHuge { return columns(end - width..<end, of: source) }
    default: break
    }
    throw refusal(found: "item \(number) of a value that has no such one")
  }

  /// Returns columns of a term; those of a function of each number are the function of columns.
  private mutating func columns(_ range: Range<Int>, of term: Int) -> Torch7Term {
    switch terms[term] {
    case .sigmoid(let operand): return .sigmoid(add(columns(range, of: operand)))
    case .tanh(let operand): return .tanh(add(columns(range, of: operand)))
    case .columns(let outer, let operand):
      return .columns(
        range.lowerBound + outer.lowerBound..<range.upperBound + outer.lowerBound, of: operand)
    default: return .columns(range, of: term)
    }
  }

  private func constant(of module: Torch7Value, _ name: String) throws -> Double {
    guard case .number(let number)? = file.field("constant_scalar", of: module) else {
      throw refusal(found: "\(name) without its constant")
    }
    return number
  }

  private func refusal(found: String) -> InterchangeError {
    file.error(
      place, expected: "modules of a recurrent language model", found: found, fix: Self.fix)
  }
}

extension Torch7File {
  /// Returns the rate of a dropout module; `nil` if it is 0.
  ///
  /// - Throws: `InterchangeError` for a module that changes numbers at evaluation, too.
  func dropout(of module: Torch7Value, _ place: String) throws -> Double? {
    guard case .number(let rate)? = field("p", of: module), rate != 0 else { return nil }
    guard field("v2", of: module) == .boolean(true) else {
      throw error(
        place, expected: "an nn.Dropout that changes nothing at evaluation",
        found: "one of the first kind, which multiplies by \(1 - rate) then",
        fix: "such a model cannot be converted")
    }
    guard field("stochasticInference", of: module) != .boolean(true) else {
      throw error(
        place, expected: "an nn.Dropout that changes nothing at evaluation",
        found: "one with stochasticInference", fix: "such a model cannot be converted")
    }
    return rate
  }
}
