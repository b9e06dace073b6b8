// The optimizers of `torch.optim` as PyTorch saves them: a row for each.

import UnrollFormat

/// The form in which PyTorch saves an optimizer.
struct TorchOptimizerForm {
  /// A setting of a group and its value.
  enum Setting {
    case number(Hyperparameter)
    case pair(Hyperparameter, Hyperparameter)
    /// 0 or 1, which PyTorch has as a truth value.
    case flag(Hyperparameter)
    /// `true` if weight decay is decoupled.
    case decoupling
    /// A setting of PyTorch's implementation; `nil` is None.
    case fixed(Bool?)
  }

  /// The settings of a group in PyTorch's order.
  let settings: [(name: String, setting: Setting)]
  /// The settings that distinguish the optimizer from others: a file does not name the class.
  let signs: Set<String>
  /// The tensors of a parameter in PyTorch's order, and the slots that they are.
  let slots: [(name: String, slot: OptimizerSlot)]

  private init(
    _ own: [(name: String, setting: Setting)], signs: Set<String>,
    slots: [(name: String, slot: OptimizerSlot)]
  ) {
    settings =
      [
        ("lr", .number(.learningRate)), ("weight_decay", .number(.weightDecay)),
        ("maximize", .fixed(false)), ("foreach", .fixed(nil)), ("differentiable", .fixed(false)),
      ] + own
    self.signs = signs
    self.slots = slots
  }

  /// The forms by kind; a kind without one is not exchanged with PyTorch.
  static let all: [OptimizerKind: TorchOptimizerForm] = [
    .sgd: TorchOptimizerForm(
      [
        ("momentum", .number(.momentum)), ("dampening", .number(.dampening)),
        ("nesterov", .flag(.nesterov)), ("fused", .fixed(nil)),
      ], signs: ["momentum", "dampening", "nesterov"], slots: [("momentum_buffer", .momentum)]),
    .adam: TorchOptimizerForm(
      [
        ("betas", .pair(.beta1, .beta2)), ("eps", .number(.epsilon)), ("amsgrad", .flag(.amsgrad)),
        ("capturable", .fixed(false)), ("fused", .fixed(nil)),
        ("decoupled_weight_decay", .decoupling),
      ], signs: ["betas", "eps", "amsgrad"],
      slots: [
        ("exp_avg", .firstMoment), ("exp_avg_sq", .secondMoment),
        ("max_exp_avg_sq", .largestSecondMoment),
      ]),
    .rmsprop: TorchOptimizerForm(
      [
        ("momentum", .number(.momentum)), ("alpha", .number(.alpha)), ("eps", .number(.epsilon)),
        ("centered", .flag(.centered)), ("capturable", .fixed(false)),
      ], signs: ["alpha", "eps", "centered"],
      slots: [
        ("square_avg", .secondMoment), ("momentum_buffer", .momentum), ("grad_avg", .firstMoment),
      ]),
    .adagrad: TorchOptimizerForm(
      [
        ("lr_decay", .number(.learningRateDecay)), ("eps", .number(.epsilon)),
        ("initial_accumulator_value", .number(.initialAccumulator)), ("fused", .fixed(nil)),
      ], signs: ["lr_decay", "eps"], slots: [("sum", .sumOfSquares)]),
    .adadelta: TorchOptimizerForm(
      [("rho", .number(.rho)), ("eps", .number(.epsilon)), ("capturable", .fixed(false))],
      signs: ["rho", "eps"],
      slots: [("square_avg", .secondMoment), ("acc_delta", .secondMomentOfUpdates)]),
    .asgd: TorchOptimizerForm(
      [
        ("lambd", .number(.lambda)), ("alpha", .number(.power)), ("t0", .number(.start)),
        ("capturable", .fixed(false)),
      ], signs: ["lambd", "t0", "alpha"], slots: [("ax", .average)]),
  ]
}
