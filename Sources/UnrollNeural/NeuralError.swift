// The errors of building or running a model.

import UnrollFormat

/// A model that cannot be built, or a window that it cannot run.
public enum NeuralError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The architecture contradicts itself, or has a variant that the engine does not compute.
  case architecture(expected: String, found: String)
  /// A parameter is missing, or has another shape or type than the architecture says.
  case parameter(ParameterPath, expected: String, found: String)
  /// A token id outside of the vocabulary, at an index counted from 0 in the given window.
  case token(id: Int, index: Int, vocabularySize: Int)
  /// Inputs, targets and state do not fit together.
  case window(expected: String, found: String)
  /// Memory for weights or products could not be allocated.
  case outOfMemory
  /// The environment variable UNROLL_KERNELS names an instruction set that the processor lacks, or none at all.
  case instructions(name: String)
  /// Training in int8.
  case trainingPrecision
  /// A product of sizes or of a precision that the kernels do not support.
  case productFailed

  /// The expectation, the value found, and its location.
  public var description: String {
    switch self {
    case .architecture(let expected, let found): "expected \(expected), found \(found)"
    case .parameter(let path, let expected, let found):
      "\(path): expected \(expected), found \(found)"
    case .token(let id, let index, let vocabularySize):
      "expected token ids from 0 to \(vocabularySize - 1), found \(id) at place \(index)"
    case .window(let expected, let found): "expected \(expected), found \(found)"
    case .outOfMemory: "not enough memory for the model's weights and products"
    case .instructions(let name):
      "UNROLL_KERNELS: expected \(Instructions.available.joined(separator: " or ")) on this processor, "
        + "found \(name)"
    case .trainingPrecision: "expected f32 or bf16 to train in, found int8"
    case .productFailed: "a matrix product of these sizes cannot be computed"
    }
  }
}
