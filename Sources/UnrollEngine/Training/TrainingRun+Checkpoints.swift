// The models that a training gives.

import UnrollFormat
import UnrollTensors

extension TrainingRun {
  /// The current model for use: with history, without training state.
  public var weights: Checkpoint {
    var checkpoint = source
    checkpoint.optimizer = nil
    checkpoint.training = nil
    checkpoint.parameters = evaluatedParameters
    var entry = entry
    entry.outcome = outcome
    entry.weightsDigest = ""
    checkpoint.provenance.append(entry)
    return checkpoint
  }

  /// The parameters, or their averages if these are evaluated.
  private var evaluatedParameters: ParameterTree<Tensor> {
    let averages =
      state.evaluatesAverages ? optimizer.averages(for: source.architecture) : nil
    return averages ?? model.tensors
  }

  /// The current model with its training state, to resume from.
  public var resumable: Checkpoint {
    var checkpoint = weights
    checkpoint.parameters = model.tensors
    let architecture = source.architecture
    checkpoint.optimizer = optimizer.state(for: architecture)
    var training = state
    training.hidden = zip(architecture.layers, carried.layers).map { layer, state in
      var kept = CarriedState()
      for (name, width) in layer.states {
        kept[name] = Tensor(state[name], shape: [carried.columns, width])
      }
      return kept
    }
    checkpoint.training = training
    return checkpoint
  }

  /// The progress of the training, in words.
  private var outcome: String {
    let place = state.step == 0 ? "before the first step" : "step \(state.step)"
    guard let last = state.history.last, last.step == state.step else { return place }
    return "\(place), validation nll \(last.validNLL) nats a token"
  }
}
