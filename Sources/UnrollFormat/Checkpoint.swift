// A checkpoint as a value: everything that a recurrent language model is.

import UnrollTensors
import UnrollTokenization

/// One step in the history of a model: which tool made these weights, how, and from what.
public struct ProvenanceEntry: Sendable, Hashable {
  /// What was done, such as `convert`.
  public var operation: String
  /// The tool and its version, such as `unroll 0.1.0`.
  public var tool: String
  /// The arguments that shaped the content, one a line; no output path.
  public var arguments: String
  /// The inputs as `sha256 name`, one a line.
  public var inputs: String
  /// The digest of the weights after this step; the writer fills in that of the last one.
  public var weightsDigest: String

  /// Creates an entry.
  public init(
    operation: String, tool: String, arguments: String, inputs: String, weightsDigest: String = ""
  ) {
    self.operation = operation
    self.tool = tool
    self.arguments = arguments
    self.inputs = inputs
    self.weightsDigest = weightsDigest
  }
}

/// A recurrent language model with its vocabulary and its history.
public struct Checkpoint: Sendable {
  /// Sizes, cells and declared variants.
  public var architecture: Architecture
  /// The weights: one tensor for each of `architecture.parameters`.
  public var parameters: ParameterTree<Tensor>
  /// The tokens, one for each row of the embedding.
  public var vocabulary: Vocabulary
  /// How text becomes tokens.
  public var tokenizer: Tokenizer
  /// How this model came to be, oldest first.
  public var provenance: [ProvenanceEntry]

  /// Creates a checkpoint.
  public init(
    architecture: Architecture, parameters: ParameterTree<Tensor>, vocabulary: Vocabulary,
    tokenizer: Tokenizer, provenance: [ProvenanceEntry]
  ) {
    self.architecture = architecture
    self.parameters = parameters
    self.vocabulary = vocabulary
    self.tokenizer = tokenizer
    self.provenance = provenance
  }
}
