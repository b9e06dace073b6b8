// Optimizers, schedules and regularization terms as the command line writes them.

import ArgumentParser
import UnrollEngine
import UnrollFormat

extension TrainingOptions {
  var regularization: [RegularizationTerm] {
    get throws {
      if let dropout {
        return dropout == 0
          ? []
          : [.embedding, .between, .output].map {
            RegularizationTerm(site: $0, kind: .element, rate: dropout)
          }
      }
      var result: [RegularizationTerm] = []
      for text in (terms ?? "").split(separator: ",") {
        let parts = text.split(whereSeparator: { ":=".contains($0) }).map(String.init)
        guard parts.count == 3, let site = RegularizationTerm.Site(rawValue: parts[0]),
          let kind = RegularizationTerm.Kind(rawValue: parts[1]), let rate = Double(parts[2])
        else { throw ValidationError("--regularize: \(text): expected site:kind=rate.") }
        let term = RegularizationTerm(site: site, kind: kind, rate: rate)
        guard term.isLawful else {
          throw ValidationError(
            "--regularize: \(text): the rate is out of range, or the site lacks this kind.")
        }
        guard !result.contains(where: term.excludes) else {
          throw ValidationError("--regularize: \(text) overlaps with another term.")
        }
        result.append(term)
      }
      return result
    }
  }

  func setOptimizer(of settings: inout TrainingSettings) throws {
    let name = optimizer?.name ?? "sgd"
    guard let kind = OptimizerKind(rawValue: name == "adamw" ? "adam" : name) else {
      throw ValidationError(
        "--optimizer: unknown optimizer \(name); choose from \(Self.optimizers)."
      )
    }
    settings.optimizer = kind
    var numbers: [Hyperparameter: Double] = [:]
    func set(_ option: String, _ hyperparameter: Hyperparameter, _ value: Double) throws {
      guard kind.defaults[hyperparameter] != nil else {
        throw ValidationError("\(option) is not a hyperparameter of \(name).")
      }
      guard hyperparameter.allows(value) else {
        throw ValidationError("\(option) is \(hyperparameter.domain).")
      }
      numbers[hyperparameter] = value
    }
    if kind == .sgd { numbers[.learningRate] = 1 }
    if name == "adamw" {
      numbers[.weightDecay] = 0.01
      settings.weightDecayKind = .decoupled
    }
    for (name, value) in optimizer?.numbers ?? [] {
      guard let hyperparameter = Hyperparameter(rawValue: name) else {
        let names = kind.defaults.keys.sorted().map(\.rawValue).joined(separator: ", ")
        throw ValidationError("--optimizer: unknown hyperparameter \(name); choose from \(names).")
      }
      try set("--optimizer: \(name)", hyperparameter, value)
    }
    if let learningRate { try set("--learning-rate", .learningRate, learningRate) }
    if numbers[.nesterov] == 1 && (momentum ?? numbers[.momentum] ?? 0) == 0 {
      throw ValidationError(
        "--optimizer: nesterov=1 needs a momentum above 0.")
    }
    if let momentum { try set("--momentum", .momentum, momentum) }
    if let weightDecay { try set("--weight-decay", .weightDecay, weightDecay) }
    settings.hyperparameters = numbers
  }

  func schedule(_ given: NamedNumbers) throws -> LearningRateSchedule {
    guard let kind = ScheduleKind(rawValue: given.name) else {
      let names = ScheduleKind.allCases.map(\.rawValue).joined(separator: ", ")
      throw ValidationError("--schedule: unknown schedule \(given.name); choose from \(names).")
    }
    var schedule = LearningRateSchedule(kind)
    for (name, value) in given.numbers {
      guard let number = ScheduleNumber(rawValue: name), kind.defaults[number] != nil else {
        let names = kind.defaults.keys.map(\.rawValue).sorted().joined(separator: ", ")
        throw ValidationError(
          "--schedule: \(kind.rawValue) has no number \(name); it has "
            + (names.isEmpty ? "none." : "\(names)."))
      }
      guard number.allows(value) else {
        throw ValidationError("--schedule: \(name) is \(number.domain).")
      }
      schedule[number] = value
    }
    guard schedule[.total] == 0 || schedule[.warmUp] <= schedule[.total] else {
      throw ValidationError("--schedule: warm_up is at most total.")
    }
    return schedule
  }
}

/// A name with named numbers: `adam,beta1=0.8`.
struct NamedNumbers: ExpressibleByArgument {
  let name: String
  let numbers: [(name: String, value: Double)]

  init?(argument: String) {
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    name = parts[0]
    var numbers: [(name: String, value: Double)] = []
    for part in parts.dropFirst() {
      let sides = part.split(separator: "=", maxSplits: 1).map(String.init)
      guard sides.count == 2, let value = Double(sides[1]),
        !numbers.contains(where: { $0.name == sides[0] })
      else { return nil }
      numbers.append((sides[0], value))
    }
    self.numbers = numbers
  }
}
