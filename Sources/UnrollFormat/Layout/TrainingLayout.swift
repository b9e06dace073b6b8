// The groups of a training that can be resumed: /optimizer and /training.

import UnrollTensors

extension Layout {
  /// The group of the optimizer.
  public static let optimizer = "/optimizer"
  static let optimizerGroups = "/optimizer/groups"
  static let optimizerState = "/optimizer/state"
  static let training = "/training"
  static let trainingData = "/training/data"
  static let trainingSchedule = "/training/schedule"
  static let trainingHidden = "/training/hidden"
  static let regularization = "/training/regularization"
  static let trainingHistory = "/training/history"
  static let trainingBest = "/training/best"

  /// Returns the path of the group of parameters that share their hyperparameters.
  static func optimizerGroup(_ index: Int) -> String {
    "\(optimizerGroups)/\(number(index, digits: 2))"
  }

  /// Returns the path of the group of a slot; below it the tree of the parameters is repeated.
  static func slot(_ slot: OptimizerSlot) -> String { "\(optimizerState)/\(slot.rawValue)" }

  /// Returns the path of one parameter's value in a slot.
  static func slot(_ slot: OptimizerSlot, _ path: ParameterPath) -> String {
    self.slot(slot) + path.description
  }

  /// The placeholder for the name of a slot in the path of a schema.
  static let anySlot = "@"

  /// Returns the path of the group of the state that one layer carries from window to window.
  static func hiddenState(_ index: Int) -> String {
    "\(trainingHidden)/\(number(index, digits: 2))"
  }

  /// The largest count that an attribute may give: sums and products with a factor of 2 are safe.
  static let maximumCount = Int64(1) << 62

  /// Returns the schemas of the objects of an optimizer; `model` are the objects whose tree its slots repeat.
  static func optimizerObjects(mirroring model: [ObjectSchema]) -> [ObjectSchema] {
    [
      ObjectSchema(
        path: optimizer, kind: .group,
        attributes: [
          AttributeSchema(name: AttributeName.kind, value: words(OptimizerKind.self)),
          AttributeSchema(name: AttributeName.step, value: count),
        ], isRequired: false),
      ObjectSchema(path: optimizerGroups, kind: .group),
      ObjectSchema(
        path: "\(optimizerGroups)/#", kind: .group,
        attributes: Hyperparameter.allCases.map(schema) + [
          AttributeSchema(name: AttributeName.weightDecayKind, value: words(WeightDecayKind.self)),
          AttributeSchema(
            name: AttributeName.epsilonPosition, value: words(EpsilonPosition.self),
            isRequired: false),
          AttributeSchema(name: AttributeName.clipKind, value: words(ClipKind.self)),
          AttributeSchema(name: AttributeName.clipValue, value: .number, isRequired: false),
          AttributeSchema(
            name: AttributeName.clipScope, value: words(ClipScope.self), isRequired: false),
          AttributeSchema(name: AttributeName.frozen, value: .integer(0...1)),
          AttributeSchema(name: AttributeName.step, value: count),
          AttributeSchema(name: AttributeName.eta, value: .number, isRequired: false),
          AttributeSchema(name: AttributeName.mu, value: .number, isRequired: false),
        ]),
      numbers("\(optimizerGroups)/#/\(MemberName.parameters)", .uint8),
      ObjectSchema(path: optimizerState, kind: .group, isRequired: false),
    ] + mirror(of: model)
  }

  /// Returns the schema of the attribute of a hyperparameter; which ones there must be follows from the kind.
  private static func schema(_ hyperparameter: Hyperparameter) -> AttributeSchema {
    AttributeSchema(
      name: hyperparameter.rawValue, value: hyperparameter.isFlag ? .integer(0...1) : .number,
      isRequired: hyperparameter == .learningRate || hyperparameter == .weightDecay)
  }

  /// Returns the schemas of the objects of a slot: its group, and the groups and parameters of the model below it.
  private static func mirror(of model: [ObjectSchema]) -> [ObjectSchema] {
    let slot = "\(optimizerState)/\(anySlot)"
    let group = ObjectSchema(
      path: slot, kind: .group,
      attributes: [AttributeSchema(name: AttributeName.shape, value: .word(["parameter"]))],
      isRequired: false)
    return [group]
      + model.filter { $0.path == self.model || $0.path.hasPrefix(self.model + "/") }.map {
        schema in
        var attributes: [AttributeSchema] = []
        if case .dataset = schema.kind { attributes = [digestAttribute] }
        return ObjectSchema(
          path: slot + schema.path, kind: schema.kind, attributes: attributes, isRequired: false)
      }
  }

  /// The objects of a training.
  static let trainingObjects: [ObjectSchema] = [
    ObjectSchema(
      path: training, kind: .group, attributes: TrainingState.fields.schemas(),
      isRequired: false),
    ObjectSchema(
      path: trainingData, kind: .group, attributes: TrainingData.fields.schemas()),
    ObjectSchema(
      path: trainingSchedule, kind: .group,
      attributes: [
        AttributeSchema(name: AttributeName.kind, value: words(ScheduleKind.self)),
        AttributeSchema(
          name: AttributeName.withoutImprovement, value: .integer(0...maximumSize)),
      ]
        + ScheduleNumber.allCases.map {
          AttributeSchema(name: $0.rawValue, value: .number, isRequired: false)
        }),
    ObjectSchema(path: regularization, kind: .group, isRequired: false),
    ObjectSchema(
      path: "\(regularization)/#", kind: .group,
      attributes: RegularizationTerm.fields.schemas()),
    ObjectSchema(path: trainingHidden, kind: .group),
    ObjectSchema(path: "\(trainingHidden)/#", kind: .group),
    parameter("\(trainingHidden)/#/\(LayerStateName.h.rawValue)", rank: 2, isRequired: true),
    parameter("\(trainingHidden)/#/\(LayerStateName.c.rawValue)", rank: 2),
    parameter("\(trainingHidden)/#/\(LayerStateName.x.rawValue)", rank: 2),
    ObjectSchema(path: trainingHistory, kind: .group, isRequired: false),
    numbers("\(trainingHistory)/\(MemberName.step)", .uint64),
    numbers("\(trainingHistory)/\(MemberName.epoch)", .float64),
    numbers("\(trainingHistory)/\(MemberName.learningRate)", .float64),
    numbers("\(trainingHistory)/\(MemberName.trainNLL)", .float64),
    numbers("\(trainingHistory)/\(MemberName.validNLL)", .float64),
    ObjectSchema(
      path: trainingBest, kind: .group, attributes: BestState.fields.schemas(),
      isRequired: false),
  ]

  private static let count = AttributeSchema.Value.integer(0...maximumCount)
}

/// The form of gradient clipping.
enum ClipKind: String, CaseIterable {
  case norm
  case value
  case none
}

/// The scope of a norm that gradients are clipped by.
enum ClipScope: String, CaseIterable {
  case global
  case parameter
}

/// The parameters that are evaluated.
enum EvaluatedParameters: String, CaseIterable {
  case iterate
  case average
}

/// Tells whether resuming from a file equals never having stopped.
enum ResumeKind: String, CaseIterable {
  case exact
  case inexact
}

/// The names of datasets that are no parameters.
enum MemberName {
  static let parameters = "parameters"
  static let step = "step"
  static let epoch = "epoch"
  static let learningRate = "learning_rate"
  static let trainNLL = "train_nll"
  static let validNLL = "valid_nll"
}

extension AttributeName {
  static let step = "step"
  static let weightDecayKind = "weight_decay_kind"
  static let epsilonPosition = "epsilon_position"
  static let clipKind = "clip_kind"
  static let clipValue = "clip_value"
  static let clipScope = "clip_scope"
  static let frozen = "frozen"
  static let eta = "eta"
  static let mu = "mu"
  static let shape = "shape"
  static let resume = "resume"
  static let resumeReason = "resume_reason"
  static let tokens = "tokens"
  static let columns = "columns"
  static let cursor = "cursor"
  static let totalNLL = "total_nll"
  static let withoutImprovement = "evaluations_without_improvement"
  static let windowKind = "window_kind"
  static let seed = "seed"
  static let accumulation = "accumulation"
  static let shards = "shards"
  static let sampledSoftmax = "sampled_softmax"
  static let site = "site"
  static let rate = "rate"
  static let validNLL = "valid_nll"
}
