// Mutations of a model in training: one for each rule of the families O and R, and more ways.

import TestSupport
import UnrollHDF5
import UnrollTensors

@testable import UnrollFormat

private let groups = "/optimizer/groups"
private let momentum = "/optimizer/state/momentum"

extension Mutation {
  static let optimizer: [Mutation] = [
    Mutation(
      training: "O001",
      outline: {
        $0.addDataset(
          "\(momentum)/model/layers/00/weight_hr", Tensor([0, 1, 2, 3], shape: [2, 2]))
      }),
    Mutation(
      training: "O002", outline: { $0.objects["\(momentum)/model/layers/01/weight_hh"] = nil }),
    Mutation(
      training: "O003",
      outline: {
        $0.addDataset(
          "\(momentum)/model/output/bias", Tensor([Float](repeating: 0, count: 12), shape: [12]))
      }),
    Mutation(
      training: "O004", kind: .adagrad,
      outline: {
        $0.addDataset(
          "/optimizer/state/sum_of_squares/model/output/bias",
          Tensor([0, 1, -0.0, -0.5, 1, 1, 1, 1, 1, 1, -1] as [Float], shape: [11]))
      }),
    Mutation(training: "O006", setting: "learning_rate", of: "\(groups)/00", to: .number(-1)),
    Mutation(
      training: "O007",
      outline: parameters { $0.replacing("/model/layers/01/bias_ih\n", with: "") }),
    Mutation(
      training: "O008", kind: .adam,
      outline: { $0.objects["\(groups)/00"]?.attributes["beta2"] = nil }),
  ]

  static let resume: [Mutation] = [
    Mutation(training: "R002", setting: "cursor", of: "/training/data", to: .integer(1000)),
    Mutation(training: "R003", outline: { $0.objects["/training/hidden/01/c"] = nil }),
    Mutation(training: "R004", outline: { $0.remove("/optimizer/state") }),
    Mutation(training: "R005", setting: "step", of: "/optimizer", to: .integer(13)),
    Mutation(training: "R006", setting: "total_nll", of: "/training/data", to: .number(.nan)),
    Mutation(training: "R007", outline: { $0.remove("/optimizer") }),
    Mutation(
      training: "R008", setting: "kind", of: "/training/regularization/00", to: .text("locked")),
  ]

  /// More ways to break the same rules.
  static let moreOfTraining: [Mutation] = [
    Mutation(
      training: "O001", tied: true,
      outline: { outline in
        outline.addGroup("\(momentum)/model/output")
        outline.addDataset(
          "\(momentum)/model/output/weight",
          Tensor([Float](repeating: 0, count: 55), shape: [11, 5]))
      }),
    Mutation(
      training: "O003",
      outline: {
        $0.addDataset(
          "\(momentum)/model/output/bias", Tensor([UInt64](repeating: 0, count: 11)))
      }),
    Mutation(training: "O006", setting: "learning_rate", of: "\(groups)/01", to: .number(.nan)),
    Mutation(
      training: "O006", setting: "learning_rate", of: "\(groups)/01", to: .number(.infinity)),
    Mutation(training: "O006", setting: "momentum", of: "\(groups)/00", to: .number(1)),
    Mutation(training: "O006", setting: "momentum", of: "\(groups)/00", to: .number(-0.1)),
    Mutation(training: "O006", setting: "weight_decay", of: "\(groups)/00", to: .number(-1e-9)),
    Mutation(training: "O006", setting: "clip_value", of: "\(groups)/00", to: .number(0)),
    Mutation(training: "O006", setting: "clip_value", of: "\(groups)/00", to: nil),
    Mutation(training: "O006", setting: "clip_scope", of: "\(groups)/00", to: nil),
    Mutation(training: "O006", setting: "clip_value", of: "\(groups)/01", to: .number(1)),
    Mutation(training: "O006", setting: "clip_scope", of: "\(groups)/01", to: .text("global")),
    Mutation(training: "O006", setting: "factor", of: "/training/schedule", to: .number(0.5)),
    Mutation(training: "O007", outline: parameters { $0 + "/model/output/weight\n/model/x\n" }),
    Mutation(training: "O007", outline: parameters { $0 + "/model/embedding/weight\n" }),
    Mutation(training: "O007", outline: parameters { String($0.dropLast()) }),
    Mutation(training: "O007", outline: parameters { $0.replacing("\n", with: "\r\n") }),
    Mutation(
      training: "O007",
      outline: { $0.addDataset("\(groups)/01/parameters", Tensor([0xFF, 0x0A] as [UInt8])) }),
    Mutation(training: "R002", setting: "tokens", of: "/training/data", to: .integer(5)),
    Mutation(training: "R002", setting: "shards", of: "/training", to: .integer(4)),
    Mutation(training: "R002", setting: "tokens", of: "/training/data", to: .integer(0)),
    Mutation(training: "R002", setting: "cursor", of: "/training/data", to: .integer(1 << 62)),
    Mutation(training: "R003", outline: { $0.remove("/training/hidden/01") }),
    Mutation(
      training: "R003",
      outline: {
        $0.addDataset(
          "/training/hidden/00/h", Tensor([Float](repeating: 0, count: 21), shape: [7, 3]))
      }),
    Mutation(
      training: "R003", cell: .gru,
      outline: { $0.objects["/training/hidden/00/c"] = $0.objects["/training/hidden/00/h"] }),
    Mutation(training: "R004", setting: "resume_reason", of: "/training", to: .text("none")),
    Mutation(training: "R004", setting: "resume", of: "/training", to: .text("inexact")),
    Mutation(
      training: "R004",
      outline: {
        $0.objects["/training"]?.attributes["resume"] = .text("inexact")
        $0.objects["/training"]?.attributes["resume_reason"] = .text("")
      }),
    Mutation(
      training: "R008", setting: "rate", of: "/training/regularization/00", to: .number(1)),
    Mutation(
      training: "R008", setting: "rate", of: "/training/regularization/01", to: .number(.infinity)),
    Mutation(training: "R008", setting: "seed", of: "/training", to: nil),
    Mutation(
      training: "R008",
      outline: {
        $0.objects["/training/regularization/01"] = $0.objects["/training/regularization/00"]
      }),
    Mutation(training: "R005", setting: "step", of: "/training/best", to: .integer(13)),
    Mutation(training: "R006", setting: "valid_nll", of: "/training/best", to: .number(.infinity)),
    Mutation(
      training: "R005",
      outline: { $0.addDataset("/training/history/step", Tensor([0, 12, 10] as [UInt64])) }),
    Mutation(
      training: "R005",
      outline: { $0.addDataset("/training/history/step", Tensor([0, 10, .max] as [UInt64])) }),
    Mutation(
      training: "R005",
      outline: { $0.addDataset("/training/history/train_nll", Tensor([1, 2] as [Double])) }),
    Mutation(training: "S001", outline: { $0.objects["/training/history/step"] = nil }),
    Mutation(training: "S001", outline: { $0.objects["/training/hidden/00/h"] = nil }),
    Mutation(training: "S001", outline: { $0.objects["\(groups)/01/parameters"] = nil }),
    Mutation(training: "S001", outline: { $0.remove("/training/data") }),
    Mutation(training: "S003", setting: "momentum", of: "\(groups)/00", to: .integer(0)),
    Mutation(
      training: "S003",
      outline: { $0.addDataset("/training/history/step", Tensor([0, 10, 12] as [Double])) }),
    Mutation(
      training: "S005",
      outline: { outline in
        for (path, object) in outline.objects where path.hasPrefix("\(groups)/01") {
          outline.objects[path] = nil
          outline.objects[path.replacing("/01", with: "/1")] = object
        }
      }),
    Mutation(training: "A001", setting: "step", of: "/training", to: .integer(-1)),
    Mutation(training: "A001", setting: "tokens_seen", of: "/training", to: .integer(.max)),
    Mutation(training: "A001", setting: "window", of: "/training/data", to: .integer(0)),
    Mutation(training: "A001", setting: "columns", of: "/training/data", to: .integer(1 << 31)),
    Mutation(
      training: "A001", setting: "learning_rate_in_buffer", of: "\(groups)/00", to: .integer(2)),
    Mutation(training: "A001", setting: "nesterov", of: "\(groups)/00", to: .integer(-1)),
    Mutation(training: "O008", setting: "nesterov", of: "\(groups)/01", to: nil),
    Mutation(training: "O008", setting: "beta1", of: "\(groups)/00", to: .number(0.9)),
    Mutation(training: "O008", setting: "eta", of: "\(groups)/00", to: .number(0.9)),
    Mutation(
      training: "O008", setting: "epsilon_position", of: "\(groups)/00", to: .text("outside")),
    Mutation(
      training: "O008", kind: .adam,
      outline: {
        $0.objects["\(groups)/00"]?.attributes["epsilon_position"] = .text("inside")
      }),
    Mutation(
      training: "O008", kind: .asgd,
      outline: { $0.objects["\(groups)/00"]?.attributes["mu"] = nil }),
    Mutation(
      training: "O006", kind: .asgd,
      outline: { $0.objects["\(groups)/00"]?.attributes["mu"] = .number(1.5) }),
    Mutation(
      training: "O006", kind: .adam,
      outline: { $0.objects["\(groups)/00"]?.attributes["beta1"] = .number(1) }),
    Mutation(
      training: "O001", kind: .adagrad,
      outline: { outline in
        for (path, object) in outline.objects where path.contains("sum_of_squares") {
          let other = path.replacing("sum_of_squares", with: "second_moment")
          outline.objects[other] = object
        }
      }),
    Mutation(
      training: "R004", kind: .rmsprop,
      outline: { $0.remove("/optimizer/state/first_moment") }),
  ]

  /// A change of the objects of a model in training.
  private init(
    training rule: String, tied: Bool = false, cell: Cell = .lstm, kind: OptimizerKind = .sgd,
    outline: @escaping @Sendable (inout Outline) -> Void
  ) {
    self.init(rule: rule, outline: outline, tied: tied, cell: cell, training: kind)
  }

  /// A mutation for the rule of quality about an optimizer.
  static let secondMoments = Mutation(
    training: "Q007", kind: .adam,
    outline: {
      $0.addDataset(
        "/optimizer/state/second_moment/model/output/bias",
        Tensor([Float](repeating: 0, count: 11), shape: [11]))
    })

  /// A change of one attribute of a model in training.
  private init(
    training rule: String, setting name: String, of path: String, to value: AttributeValue?
  ) {
    self.init(training: rule) { $0.objects[path]?.attributes[name] = value }
  }

  /// A change of the paths that the second group lists.
  private static func parameters(
    _ edit: @escaping @Sendable (String) -> String
  ) -> @Sendable (inout Outline) -> Void {
    { outline in
      let path = "\(groups)/01/parameters"
      guard case .dataset(let tensor)? = outline.objects[path]?.kind else { return }
      let text = tensor.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
      outline.addDataset(path, Tensor(Array(edit(text).utf8)))
    }
  }
}

extension Outline {
  /// Removes an object and all that is below it.
  fileprivate mutating func remove(_ path: String) {
    for other in objects.keys where other == path || other.hasPrefix(path + "/") {
      objects[other] = nil
    }
  }
}
