// Notes on parts of a checkpoint that a file of another program does not preserve.

import UnrollFormat

extension Architecture {
  /// The architecture with two biases for each layer that has a single one.
  var withoutSingleBiases: Architecture {
    var architecture = self
    for index in layers.indices where layers[index].bias == .single {
      architecture.layers[index].bias = .double
    }
    return architecture
  }
}

extension Checkpoint {
  /// Notes on properties that files of named tensors do not preserve, or only for programs that
  /// read the metadata.
  var exportNotesOfNamedTensors: [Note] {
    let single = architecture.layers.indices.filter { architecture.layers[$0].bias == .single }
    let notes = single.map { index in
      Note(
        place: ParameterPath.layer(index, .bias).description,
        message:
          "a layer's only bias, named bias_l: PyTorch's modules have two, bias_ih_l and bias_hh_l")
    }
    return notes + variantsInMetadata + exportNotesBesideWeights
  }

  /// Notes on properties of layers that only the metadata states.
  var variantsInMetadata: [Note] {
    architecture.withoutSingleBiases.rareVariants.map { variant in
      Note(
        place: Layout.model,
        message: "\(variant): in the metadata alone, PyTorch's modules do not compute it")
    }
  }

  /// Notes on properties that files of weights, tokens and tokenizer do not preserve.
  var exportNotesBesideWeights: [Note] {
    var notes: [Note] = []
    func lose(_ place: String, _ what: String) {
      notes.append(Note(place: place, message: "not preserved: \(what)"))
    }
    if !provenance.isEmpty {
      notes.append(
        Note(
          place: Layout.provenance,
          message: "not preserved: its history, \(provenance.count) "
            + (provenance.count == 1 ? "step" : "steps"), isHarmless: true))
    }
    if let optimizer {
      notes.append(
        Note(
          place: Layout.optimizer,
          message: "not preserved: \(optimizer.kind.rawValue) after \(optimizer.step) steps",
          lostPart: .optimizer))
    }
    if training != nil {
      lose("/training", "the training state: its position, hidden states and records")
    }
    return notes
  }
}
