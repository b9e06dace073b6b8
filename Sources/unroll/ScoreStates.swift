// `unroll score --states`: the states of the model beside the rows of the table.

import ArgumentParser
import UnrollEngine
import UnrollTensors

/// Options of `score` for files beside the table.
struct StateOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Write the state of every layer for each row of the table: FILE.h5 or FILE.npz.",
      valueName: "file"))
  var states: String?

  @Option(
    help: ArgumentHelp("Layers of --states, from 0, such as 0,1 (default: all).", valueName: "list")
  )
  var layers: LayerList?

  @Flag(help: "Replace the file of --states or --save-model if it exists.")
  var force = false

  func validate() throws {
    guard layers == nil || states != nil else {
      throw ValidationError("--layers needs --states.")
    }
  }

  /// Begins the file of states; `nil` if it is not requested.
  ///
  /// - Parameters:
  ///   - model: The model.
  ///   - level: The rows of the table.
  ///   - carry: `true` if the state is carried from line to line.
  ///   - inputs: The files that are read.
  /// - Returns: The file, without rows.
  /// - Throws: `Refusal` or `EngineError` if the file cannot be written.
  func file(
    of model: LanguageModel, level: Score.ScoreLevel, carry: Bool, inputs: [String]
  ) throws -> StateFile? {
    guard let states else { return nil }
    try OutputOptions.check(states, inputs: inputs, replacing: force)
    return try StateFile(
      path: states, of: model, layers: layers?.numbers, level: level.states, carriesState: carry,
      replacing: force)
  }
}

/// A list of layers, as given on the command line.
struct LayerList: ExpressibleByArgument {
  /// The layers, from 0.
  let numbers: [Int]

  init?(argument: String) {
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
    numbers = parts.compactMap { Int($0) }.filter { $0 >= 0 }
    guard numbers.count == parts.count else { return nil }
  }
}

extension Score.ScoreLevel {
  fileprivate var states: StateLevel {
    switch self {
    case .token: .token
    case .word: .word
    case .sentence: .sentence
    }
  }
}
