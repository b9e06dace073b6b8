// A checkpoint as a value: everything that a recurrent language model is.

import UnrollTensors
import UnrollTokenization

/// One step in the history of a model: which tool made these weights, how, and from what.
public struct ProvenanceEntry: Sendable, Hashable {
  /// The operation, such as `convert`.
  public var operation: String
  /// The tool and its version, such as `unroll 0.1.0`.
  public var tool: String
  /// The arguments that shaped the content, one a line; no output path.
  public var arguments: String
  /// The inputs as `sha256 name`, one a line.
  public var inputs: String
  /// The result in words; empty if there is nothing to say.
  public var outcome: String
  /// The digest of the weights after this step; the writer fills in that of the last one.
  public var weightsDigest: String

  /// Creates an entry.
  public init(
    operation: String, tool: String, arguments: String, inputs: String, outcome: String = "",
    weightsDigest: String = ""
  ) {
    self.operation = operation
    self.tool = tool
    self.arguments = arguments
    self.inputs = inputs
    self.outcome = outcome
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
  /// The tokenizer, which turns text into tokens.
  public var tokenizer: Tokenizer
  /// The provenance of this model, oldest entry first.
  public var provenance: [ProvenanceEntry]
  /// The optimizer that trains this model, for a model that is in training.
  public var optimizer: OptimizerState?
  /// The state of its training.
  public var training: TrainingState?
  /// Information for people, such as licence and citation.
  public var card: Card?
  /// Log-probabilities that it gave; written only while they belong to its weights.
  public var selfTest: SelfTest?
  /// The data of other programs in its file; extensions that belong to other weights are not written.
  public var extensions = Extensions()

  /// Creates a checkpoint.
  public init(
    architecture: Architecture, parameters: ParameterTree<Tensor>, vocabulary: Vocabulary,
    tokenizer: Tokenizer, provenance: [ProvenanceEntry], optimizer: OptimizerState? = nil,
    training: TrainingState? = nil
  ) {
    self.architecture = architecture
    self.parameters = parameters
    self.vocabulary = vocabulary
    self.tokenizer = tokenizer
    self.provenance = provenance
    self.optimizer = optimizer
    self.training = training
  }
}
