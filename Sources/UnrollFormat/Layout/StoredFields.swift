// The stored attributes of a model, its history and its training, one row each.

import UnrollHDF5
import UnrollTensors

extension Architecture {
  /// The attributes of `/model`.
  static let fields: [Field<Architecture>] = [
    .derived(AttributeName.kind, ["recurrent_language_model"]) { _ in "recurrent_language_model" },
    .word(AttributeName.input, \.input),
    .flag(AttributeName.tied, \.isTied),
    .size(AttributeName.vocabularySize, \.vocabularySize),
    .size(AttributeName.embeddingSize, \.embeddingSize),
  ]
}

extension Architecture {
  /// The attributes of `/model/output`.
  static let outputFields: [Field<Architecture>] = [
    .derived(AttributeName.kind, OutputKind.allCases.map(\.rawValue)) { $0.outputKind.rawValue }
  ]
}

extension OutputTail {
  /// The attributes of `/model/output/tails/#`.
  static let fields: [Field<OutputTail>] = [
    .size(AttributeName.size, \.size),
    .size(AttributeName.projectionSize, \.projectionSize),
  ]
}

extension LayerArchitecture {
  /// The attributes of `/model/layers/#`.
  static let fields: [Field<LayerArchitecture>] = [
    .word(AttributeName.cell, \.cell),
    .size("input_size", \.inputSize),
    .size("hidden_size", \.hiddenSize),
    .word("activation", \.activation),
    .word("bias", \.bias),
    Field(
      schema: AttributeSchema(
        name: AttributeName.gateActivation, value: .word(GateActivation.names), isRequired: false),
      stored: { $0.cell.facts.hasGateActivation ? .text($0.gateActivation.name) : nil },
      take: { layer, attribute in
        // The two numbers follow.
        if case .text(GateActivation.names[1])? = attribute {
          layer.gateActivation = .hardSigmoid(alpha: .nan, beta: .nan)
        }
        return true
      }),
    gateNumber(
      AttributeName.gateAlpha, of: { $0.alpha },
      changing: { .hardSigmoid(alpha: $0, beta: $1.beta) }),
    gateNumber(
      AttributeName.gateBeta, of: { $0.beta },
      changing: { .hardSigmoid(alpha: $1.alpha, beta: $0) }),
    .word(AttributeName.reset, \.reset, when: { $0.cell.facts.hasReset }),
    .number(AttributeName.forgetBias, \.forgetBias, unless: 0),
    .size(AttributeName.projectionSize, \.projectionSize),
    .integer(AttributeName.window, \.inputWindow, 1...2, when: { $0.cell.facts.hasInputWindow }),
  ]

  /// One of the numbers of a hard sigmoid, which other functions lack.
  private static func gateNumber(
    _ name: String, of number: @escaping @Sendable (GateActivation.Numbers) -> Double,
    changing changed: @escaping @Sendable (Double, GateActivation.Numbers) -> GateActivation
  ) -> Field<LayerArchitecture> {
    Field(
      schema: AttributeSchema(name: name, value: .number, isRequired: false),
      stored: { $0.gateActivation.numbers.map { .number(number($0)) } },
      take: { layer, attribute in
        guard let numbers = layer.gateActivation.numbers else { return true }
        guard case .number(let stored)? = attribute else { return false }
        layer.gateActivation = changed(stored, numbers)
        return true
      })
  }
}

extension GateActivation {
  fileprivate typealias Numbers = (alpha: Double, beta: Double)

  /// The numbers of a hard sigmoid; `nil` for other functions.
  fileprivate var numbers: Numbers? {
    if case .hardSigmoid(let alpha, let beta) = self { return (alpha, beta) }
    return nil
  }
}

extension ProvenanceEntry {
  /// The attributes of `/provenance/#`.
  static let fields: [Field<ProvenanceEntry>] = [
    .text(AttributeName.operation, \.operation),
    .text(AttributeName.tool, \.tool),
    .text(AttributeName.arguments, \.arguments, isRequired: false),
    .text(AttributeName.inputs, \.inputs, isRequired: false),
    .text("outcome", \.outcome, isRequired: false, isStoredEmpty: false),
    .text(AttributeName.weightsDigest, \.weightsDigest, isRequired: false, isStoredEmpty: false),
  ]
}

// MARK: - Training

extension TrainingState {
  /// The attributes of `/training`.
  static let fields: [Field<TrainingState>] = [
    .integer(AttributeName.step, \.step, 0...Layout.maximumCount),
    .integer("epoch", \.epoch, 0...Layout.maximumSize),
    .integer("tokens_seen", \.tokensSeen, 0...Layout.maximumCount),
    Field(
      schema: AttributeSchema(
        name: "evaluate_with", value: Layout.words(EvaluatedParameters.self)),
      stored: {
        .text(($0.evaluatesAverages ? EvaluatedParameters.average : .iterate).rawValue)
      },
      take: { state, attribute in
        state.evaluatesAverages = attribute == .text(EvaluatedParameters.average.rawValue)
        return true
      }),
    .integer("average_after", \.averageAfter, 0...Layout.maximumSize),
    .derived(AttributeName.resume, ResumeKind.allCases.map(\.rawValue)) {
      ($0.inexactReason == nil ? ResumeKind.exact : .inexact).rawValue
    },
    .text(AttributeName.resumeReason, \.inexactReason),
    .integer("maximum_epochs", \.maximumEpochs, 0...Layout.maximumSize),
    .integer("maximum_steps", \.maximumSteps, 0...Layout.maximumCount),
    .integer(AttributeName.accumulation, \.accumulation, 1...Layout.maximumSize),
    .integer("unfreeze_every", \.unfreezeEvery, 1...Layout.maximumSize),
    Field(
      schema: AttributeSchema(
        name: AttributeName.shards, value: .integer(1...Int64(Layout.maximumSize)),
        isRequired: false),
      stored: { $0.shards == 1 ? nil : .integer(Int64($0.shards)) },
      take: { state, attribute in
        if case .integer(let shards)? = attribute { state.shards = Int(shards) }
        return true
      }),
    .integer(AttributeName.sampledSoftmax, \.sampledSoftmax, 1...Layout.maximumSize),
    Field(
      schema: AttributeSchema(
        name: AttributeName.seed, value: .integer(0...Int64(UInt32.max)), isRequired: false),
      stored: { $0.seed.map { .integer(Int64($0)) } },
      take: { state, attribute in
        if case .integer(let seed)? = attribute { state.seed = UInt32(exactly: seed) }
        return true
      }),
    Field(
      schema: AttributeSchema(
        name: "precision", value: .word(Precision.ofTraining.map(\.rawValue)), isRequired: false),
      stored: { $0.precision == .float32 ? nil : .text($0.precision.rawValue) },
      take: { state, attribute in
        guard case .text(let text)? = attribute else { return true }
        state.precision = Precision(rawValue: text) ?? .float32
        return true
      }),
  ]
}

extension TrainingData {
  /// The attributes of `/training/data`.
  static let fields: [Field<TrainingData>] = [
    .text("train_digest", \.trainDigest),
    .text("valid_digest", \.validDigest),
    .integer(AttributeName.tokens, \.tokens, 0...Layout.maximumCount),
    .integer(AttributeName.columns, \.columns, 1...Layout.maximumSize),
    .integer(AttributeName.window, \.window, 1...Layout.maximumSize),
    .word(AttributeName.windowKind, \.windowKind),
    .integer(AttributeName.cursor, \.cursor, 0...Layout.maximumCount),
    .number(AttributeName.totalNLL, \.totalNLL),
  ]
}

extension RegularizationTerm {
  /// The attributes of `/training/regularization/#`.
  static let fields: [Field<RegularizationTerm>] = [
    .word(AttributeName.site, \.site),
    .word(AttributeName.kind, \.kind),
    .number(AttributeName.rate, \.rate),
  ]
}

extension BestState {
  /// The attributes of `/training/best`.
  static let fields: [Field<BestState>] = [
    .integer(AttributeName.step, \.step, 0...Layout.maximumCount),
    .number(AttributeName.validNLL, \.validNLL),
    .text(AttributeName.weightsDigest, \.weightsDigest),
  ]
}
