// Options for texts that are evaluated in parts, by several programs.

import ArgumentParser
import Foundation
import UnrollEngine
import UnrollFormat
import UnrollTensors
import UnrollTokenization

/// The part of a text that a verb takes.
struct PartOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Take only part K of N of the text, for N programs that share the work, as 3/64.",
      valueName: "k/n"))
  var part: TextPart?
}

/// Parts of an evaluation.
struct EvaluationPartOptions: ParsableArguments {
  @OptionGroup var parts: PartOptions

  @Flag(
    help: ArgumentHelp(
      "Add up the files that --part and --json wrote, given in the place of model and text."))
  var merge = false

  /// The part; `nil` for the whole text.
  var part: TextPart? { parts.part }

  /// Refuses options that do not go with parts.
  ///
  /// - Parameters:
  ///   - protocol: The protocol.
  ///   - texts: The texts.
  ///   - json: `true` if the result is printed as JSON.
  ///   - excludes: `true` if there is an option that needs the whole text.
  /// - Throws: `ValidationError`.
  func check(
    _ protocol: PerplexityProtocol, texts: [String], json: Bool, excludes: Bool
  ) throws {
    guard part != nil || merge else { return }
    guard part == nil || !merge else {
      throw ValidationError(
        "--part and --merge cannot be combined: one writes what the other reads.")
    }
    guard !excludes else {
      throw ValidationError(
        "--\(merge ? "merge" : "part") cannot be combined with --details, --baseline, --with, --cache, --dynamic, "
          + "--carry, --estimate, --report or --plot.")
    }
    guard let part else { return }
    guard `protocol`.isByLine else {
      let names = PerplexityProtocol.allCases.filter(\.isByLine).map(\.rawValue)
      throw ValidationError(
        "--part needs a protocol that predicts each line alone, not \(`protocol`.rawValue): --protocol "
          + names.joined(separator: ", ") + ".")
    }
    guard json, texts.count == 1, texts != ["-"] else {
      throw ValidationError("--part \(part) needs --json, and one text that is a file.")
    }
  }

  /// Reads the files of parts and adds them up.
  ///
  /// - Parameter paths: The files.
  /// - Returns: The figures of the text, and the compute precision.
  /// - Throws: `Refusal` or `EngineError` naming a file that is no part, or does not belong to the others.
  static func merged(_ paths: [String]) throws -> (Perplexity, Precision) {
    let parts = try paths.map { path in
      let file = try MappedFile(path: path)
      guard let written = try? JSONDecoder().decode(Written.self, from: Data(file.bytes)),
        let part = written.part
      else {
        throw Refusal(
          "\(printable(path)): expected the part of an evaluation; found a file that is another or not whole\n"
            + "  fix: give what `unroll evaluate --part k/n --json` printed, or evaluate the part again"
        )
      }
      return (path: path, part: part)
    }
    let precision = parts.first?.part.settings["precision"].flatMap(Precision.init)
    return (try PerplexityPart.merged(parts), precision ?? .float32)
  }

  /// The part in the output of `evaluate --json`.
  private struct Written: Decodable {
    let part: PerplexityPart?
  }
}

extension TextPart: ExpressibleByArgument {
  /// Reads `k/n`.
  public init?(argument: String) { self.init(argument) }
}
