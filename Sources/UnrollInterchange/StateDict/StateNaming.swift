// Naming schemes for the tensors of a language model.

import UnrollFormat

/// The naming scheme of a state_dict.
enum StateNaming {
  /// pytorch/examples' word_language_model.
  case wordLanguageModel
  /// The scheme of salesforce/awd-lstm-lm: each layer in a WeightDrop, whose weight without dropout
  /// is `weight_hh_l0_raw`.
  case awdLSTM
  /// fastai's AWD_LSTM in a sequence with its decoder.
  case fastai
  /// REINVENT's: an `nn.GRU` or `nn.LSTM` between `_embedding` and `_linear`.
  case reinvent
  /// The caller's map.
  case mapped(MappedNames)

  /// The names of the map, if it is the scheme.
  var mapped: MappedNames? {
    if case .mapped(let names) = self { names } else { nil }
  }

  /// Returns `true` if a single `nn.LSTM`, `nn.GRU` or `nn.RNN` can represent all recurrent layers.
  static func isOneModule(_ architecture: Architecture) -> Bool {
    guard let first = architecture.layers.first else { return true }
    return architecture.layers.allSatisfy { layer in
      layer.cell == first.cell && layer.activation == first.activation && layer.bias == first.bias
        && layer.hiddenSize == first.hiddenSize && layer.projectionSize == first.projectionSize
    }
  }

  /// Returns `true` if the scheme has names for the model's layers, and they are QRNNs.
  func isOfQRNNs(_ architecture: Architecture) -> Bool {
    switch self {
    case .awdLSTM, .fastai:
      architecture.input == .embedding
        && architecture.layers.allSatisfy { $0.cell == .qrnn && $0.bias == .single }
    default: false
    }
  }

  /// Refuses parameters that the scheme has no names for.
  ///
  /// - Throws: `InterchangeError` naming it.
  func check(_ architecture: Architecture) throws {
    switch self {
    case .wordLanguageModel, .mapped: return
    case .reinvent: return try Self.checkReinvent(architecture)
    case .awdLSTM, .fastai: break
    }
    let isOfLayers = architecture.layers.allSatisfy {
      $0.cell == .lstm && $0.bias == .double && $0.projectionSize == nil
    }
    guard isOfQRNNs(architecture) || (architecture.input == .embedding && isOfLayers) else {
      throw InterchangeError(
        file: "the checkpoint", place: "/model",
        expected:
          "an embedding and LSTM layers with two biases, or QRNN layers with one, as AWD-LSTM has them",
        found: "other layers", fix: "`--to pytorch` writes them under word_language_model's names")
    }
  }

  private static func checkReinvent(_ architecture: Architecture) throws {
    let isGated = architecture.layers.allSatisfy { layer in
      layer.cell != .rnn && layer.bias == .double && layer.projectionSize == nil
    }
    guard architecture.input == .embedding, isGated, isOneModule(architecture),
      !architecture.isTied, architecture.hasOutputBias, !architecture.hasOutputProjection
    else {
      throw InterchangeError(
        file: "the checkpoint", place: "/model",
        expected:
          "an embedding, equal LSTM or GRU layers with two biases, and an output of its own "
          + "with a bias, as REINVENT has them",
        found: "other layers", fix: "`--to pytorch` writes them under word_language_model's names")
    }
  }

  /// Returns the paths of the modules, the model's own first, as `_metadata` lists them.
  func modules(of architecture: Architecture) -> [String] {
    let layers = architecture.layers.indices
    switch self {
    case .wordLanguageModel:
      let encoder = architecture.input == .embedding ? ["encoder"] : []
      let recurrent =
        Self.isOneModule(architecture) ? ["rnn"] : ["rnns"] + layers.map { "rnns.\($0)" }
      let tails = architecture.tails.indices.flatMap { index in
        ["", ".0", ".1"].map { "decoder.tail.\(index)\($0)" }
      }
      return [""] + encoder + recurrent + ["decoder"]
        + (tails.isEmpty ? [] : ["decoder.head", "decoder.tail"] + tails)
    case .awdLSTM where isOfQRNNs(architecture):
      return ["", "encoder", "rnns"]
        + layers.flatMap { ["rnns.\($0)", "rnns.\($0).linear", "rnns.\($0).linear.module"] }
        + ["decoder"]
    case .fastai where isOfQRNNs(architecture):
      let recurrent = layers.flatMap { index in
        ["", ".layers", ".layers.0", ".layers.0.linear", ".layers.0.linear.module"].map {
          "0.rnns.\(index)\($0)"
        }
      }
      return ["", "0", "0.encoder", "0.encoder_dp", "0.encoder_dp.emb", "0.rnns"] + recurrent
        + ["1", "1.decoder"]
    case .awdLSTM:
      return ["", "encoder", "rnns"] + layers.flatMap { ["rnns.\($0)", "rnns.\($0).module"] }
        + ["decoder"]
    case .fastai:
      return ["", "0", "0.encoder", "0.encoder_dp", "0.encoder_dp.emb", "0.rnns"]
        + layers.flatMap { ["0.rnns.\($0)", "0.rnns.\($0).module"] } + ["1", "1.decoder"]
    case .reinvent: return ["", "_embedding", "_rnn", "_linear"]
    case .mapped(let names): return names.modules
    }
  }

  /// Returns the names of a linear output layer, or of PyTorch's `nn.AdaptiveLogSoftmaxWithLoss`.
  private static func outputNames(
    of architecture: Architecture
  ) -> [(path: ParameterPath, name: String)] {
    guard !architecture.tails.isEmpty else {
      return [(.outputWeight, "decoder.weight"), (.outputBias, "decoder.bias")]
    }
    let tails = architecture.tails.indices.flatMap { index -> [(ParameterPath, String)] in
      [
        (.tail(index, .projection), "decoder.tail.\(index).0.weight"),
        (.tail(index, .weight), "decoder.tail.\(index).1.weight"),
      ]
    }
    return [(.outputWeight, "decoder.head.weight"), (.outputBias, "decoder.head.bias")] + tails
  }

  /// Returns the names of all parameters that such layers can have, in the program's order; a
  /// parameter may have two.
  func names(of architecture: Architecture) -> [(path: ParameterPath, name: String)] {
    let layers = architecture.layers.indices
    switch self {
    case .wordLanguageModel:
      let isOne = Self.isOneModule(architecture)
      let recurrent = layers.flatMap { index in
        LayerParameter.torchNames.map { parameter in
          (
            ParameterPath.layer(index, parameter),
            isOne
              ? "rnn.\(parameter.rawValue)_l\(index)" : "rnns.\(index).\(parameter.rawValue)_l0"
          )
        }
      }
      return [(.embeddingWeight, "encoder.weight")] + recurrent
        + [(.outputProjection, "projection.weight")] + Self.outputNames(of: architecture)
    case .awdLSTM where isOfQRNNs(architecture):
      let recurrent = layers.flatMap { index in
        [
          (ParameterPath.layer(index, .bias), "rnns.\(index).linear.module.bias"),
          (.layer(index, .weightIH), "rnns.\(index).linear.module.weight_raw"),
        ]
      }
      return [(.embeddingWeight, "encoder.weight")] + recurrent
        + [(.outputWeight, "decoder.weight"), (.outputBias, "decoder.bias")]
    case .fastai where isOfQRNNs(architecture):
      let recurrent = layers.flatMap { index in
        [
          (ParameterPath.layer(index, .weightIH), "0.rnns.\(index).layers.0.linear.weight_raw"),
          (.layer(index, .bias), "0.rnns.\(index).layers.0.linear.module.bias"),
        ]
      }
      return [
        (.embeddingWeight, "0.encoder.weight"), (.embeddingWeight, "0.encoder_dp.emb.weight"),
      ] + recurrent + [(.outputWeight, "1.decoder.weight"), (.outputBias, "1.decoder.bias")]
    case .awdLSTM:
      let recurrent = layers.flatMap { index in
        [LayerParameter.weightIH, .biasIH, .biasHH].map {
          (ParameterPath.layer(index, $0), "rnns.\(index).module.\($0.rawValue)_l0")
        } + [(ParameterPath.layer(index, .weightHH), "rnns.\(index).module.weight_hh_l0_raw")]
      }
      return [(.embeddingWeight, "encoder.weight")] + recurrent
        + [(.outputWeight, "decoder.weight"), (.outputBias, "decoder.bias")]
    case .fastai:
      let recurrent = layers.flatMap { index in
        [(ParameterPath.layer(index, .weightHH), "0.rnns.\(index).weight_hh_l0_raw")]
          + [LayerParameter.weightIH, .biasIH, .biasHH].map {
            (ParameterPath.layer(index, $0), "0.rnns.\(index).module.\($0.rawValue)_l0")
          }
      }
      return [
        (.embeddingWeight, "0.encoder.weight"), (.embeddingWeight, "0.encoder_dp.emb.weight"),
      ] + recurrent + [(.outputWeight, "1.decoder.weight"), (.outputBias, "1.decoder.bias")]
    case .reinvent:
      let recurrent = layers.flatMap { index in
        [LayerParameter.weightIH, .weightHH, .biasIH, .biasHH].map {
          (ParameterPath.layer(index, $0), "_rnn.\($0.rawValue)_l\(index)")
        }
      }
      return [(.embeddingWeight, "_embedding.weight")] + recurrent
        + [(.outputWeight, "_linear.weight"), (.outputBias, "_linear.bias")]
    case .mapped(let names): return names.names
    }
  }
}
