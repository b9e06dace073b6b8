// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The numbers of a language model among the tensors of a state_dict.

import Foundation
import UnrollFormat
import UnrollTensors

extension StateLanguageModel {
  /// Returns the tensors by role, checked against the archive's CRC-32.
  ///
  /// - Throws: `InterchangeError` if they are damaged or of an unsupported type.
  func parameters() throws -> (ParameterTree<Tensor>, notes: [Note]) {
    let roles = roles
    var notes = try model.file.verifyStorages(
      of: roles.values.flatMap { [$0.tensor] + ($0.recipe?.tensors ?? []) })
    var tree = ParameterTree<Tensor>()
    var room = model.file.roomForCopies
    let blocks = reorderedBlocks
    for (path, _) in architecture.parameters {
      guard let role = roles[path] else { continue }  // checkShapes() has found all roles.
      let tensor = try model.contents(of: role, room: &room)
      tree[path] = blocks[path].map { tensor.reordered(blocks: $0) } ?? tensor
    }
    if let note = equalityNote(tree) { notes.append(note) }
    if let note = try normNote(tree) { notes.append(note) }
    return (tree, notes)
  }

  /// Refuses an embedding whose rows PyTorch would scale when it looks them up, `nn.Embedding(max_norm=...)`.
  ///
  /// - Returns: A note if no row is longer than the largest norm: then it changes nothing.
  private func normNote(_ tree: ParameterTree<Tensor>) throws -> Note? {
    guard let tensor = parts.embedding, let module = model.module(of: tensor),
      let (norm, order) = module.maximumNorm, let weight = tree[.embeddingWeight]
    else { return nil }
    let D = weight.shape.dimensions[1]
    // PyTorch adds up D terms, and rounds the norm, the factor and the row to the type of the weight.
    let sum = weight.dtype == .float64 ? 0x1p-53 : 0x1p-24
    let slack = 1 + Double(D) * sum + 4 * weight.dtype.roundoff
    let values = weight.doubles
    let row = (0..<weight.shape.dimensions[0]).first {
      values[$0 * D..<($0 + 1) * D].norm(order: order) > norm * slack
    }
    guard let row else {
      return Note(
        place: module.path, message: "not preserved: max_norm \(norm), which no row exceeds",
        isHarmless: true)
    }
    let found = values[row * D..<(row + 1) * D].norm(order: order)
    throw model.file.error(
      tensor.fileName,
      expected: "rows of a norm of at most \(norm), as max_norm of \(module.path) says",
      found: "\(found) in row \(row)",
      fix: "PyTorch scales such rows when it looks them up: do so for all of them, "
        + "`model.\(module.path)(torch.arange(\(weight.shape.dimensions[0])))`, and save the model again"
    )
  }

  /// The permutations of recurrent parameters whose gate blocks are in another order in the file,
  /// if the map states one, by path.
  private var reorderedBlocks: [ParameterPath: [Int]] {
    guard let gates = model.gates, gates != GateOrder.usual(gates.cell) else { return [:] }
    let parameters = LayerParameter.allCases.filter(\.hasGates)
    let paths = architecture.layers.indices.flatMap { index in
      parameters.map { ParameterPath.layer(index, $0) }
    }
    return Dictionary(uniqueKeysWithValues: paths.map { ($0, gates.blocks) })
  }

  /// `true` if the file stores the model's parameters unchanged, so that an optimizer's state fits
  /// them.
  var hasStoredParameters: Bool {
    roles.values.allSatisfy { $0.recipe == nil }
      && (model.gates.map { $0 == GateOrder.usual($0.cell) } ?? true)
  }

  /// Returns a note on equal weights of embedding and output, which may have been tied; the caller
  /// decides.
  private func equalityNote(_ tree: ParameterTree<Tensor>) -> Note? {
    guard let name = parts.embedding?.name, let embedding = tree[.embeddingWeight],
      let output = tree[.outputWeight],
      embedding.dtype == output.dtype, embedding.shape == output.shape
    else { return nil }
    let isEqual = embedding.withUnsafeBytes { first in
      output.withUnsafeBytes { second in first.elementsEqual(second) }
    }
    guard isEqual else { return nil }
    return Note(
      place: parts.output.name,
      message: "equal to \(name) but stored apart: not tied")
  }
}

extension DType {
  /// The largest relative error of one rounding.
  fileprivate var roundoff: Double {
    switch self {
    case .float16: 0x1p-11
    case .bfloat16: 0x1p-8
    case .float32: 0x1p-24
    default: 0x1p-53
    }
  }
}

extension ArraySlice<Double> {
  /// The norm of an order, as `torch.norm` has it.
  fileprivate func norm(order: Double) -> Double {
    if order == .infinity { return map(abs).max() ?? 0 }
    if order == 0 { return Double(count { $0 != 0 }) }
    return pow(reduce(0) { $0 + pow(abs($1), order) }, 1 / order)
  }
}
