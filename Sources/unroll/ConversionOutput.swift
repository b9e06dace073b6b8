// The output file of `unroll convert`.

import ArgumentParser
import Foundation
import UnrollEngine
import UnrollFormat
import UnrollInterchange
import UnrollTensors
import UnrollTokenization

/// The output file of a conversion.
struct ConversionOutput {
  /// The path of the file.
  let path: String
  /// `true` to replace an existing file.
  let replacing: Bool

  /// Writes a model, and reports the comparison after reading it back.
  ///
  /// - Returns: The comparison, in words.
  /// - Throws: The errors of writing and reading back.
  func write(_ conversion: Conversion, as target: ConversionTarget) throws -> String {
    let found = try writeAndRead(conversion, as: target)
    let difference = found.largestDifference
    let outcome =
      "read back, \(counted(found.tensors, "tensor")) equal bit for bit, log-probabilities of \(found.tokens) tokens "
      + (difference == 0 ? "equal" : "within \(String(printf: "%.1e", difference)) nats")
    Output.note("wrote \(printable(path)): \(outcome)")
    return outcome
  }

  private func writeAndRead(
    _ conversion: Conversion, as target: ConversionTarget
  ) throws -> ReadBack {
    switch target {
    case .checkpoint:
      try Progress.during("writing and reading back \(path)") {
        try writeConverted(conversion.checkpoint, to: path, replacing: replacing)
      }
    case .foreign(let format): try export(conversion, to: format)
    }
  }

  private func export(
    _ conversion: Conversion, to format: any ForeignFormat.Type
  ) throws -> ReadBack {
    let parameters = conversion.checkpoint.parameters
    // Each tensor is written once and compared once.
    let total = 2 * parameters.paths.reduce(0) { $0 + (parameters[$1]?.storage.count ?? 0) }
    var progress = Progress()
    var byteCount = 0
    let found = try UnrollEngine.export(
      conversion.checkpoint, as: format, to: path, map: conversion.outputNames,
      replacing: replacing
    ) { bytes in
      byteCount += bytes
      progress.report { _ in
        "writing and comparing: \(byteCount >> 20) of \(total >> 20) MB"
      }
    }
    progress.finish()
    return found
  }
}

extension ConversionTarget {
  /// Prints a note if the file's name has the extension of another format.
  func noteName(_ path: String) {
    guard let named = AllFormats.format(named: path) else { return }
    var name = "a checkpoint"
    if case .foreign(let format) = self {
      // Formats of one program share extensions.
      let endings = format.fileExtensions.map { $0.split(separator: ".").last }
      guard named != format, !endings.contains(path.lowercased().split(separator: ".").last) else {
        return
      }
      name = format.name
    }
    Output.note(
      "note: \(printable(path)): written as \(name), as --to says; its name is one of \(named.name)"
    )
  }
}

extension Activation: ExpressibleByArgument {
  /// The activations of a vanilla RNN, the only cell with a choice.
  public static var allValueStrings: [String] { Cell.rnn.facts.activations.map(\.rawValue) }

  /// Reads the name of one of them.
  public init?(argument: String) { self.init(ofRNN: argument) }
}
extension VocabularyFormat: ExpressibleByArgument {}
extension VocabularyOrder: ExpressibleByArgument {}
