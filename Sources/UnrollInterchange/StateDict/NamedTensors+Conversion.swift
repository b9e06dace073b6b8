// From named tensors to a model.

import UnrollFormat
import UnrollTensors
import UnrollTokenization

extension NamedTensors {
  /// Lists tensors under further names, as `safetensors.torch.save_model` records those of ties.
  ///
  /// - Parameter aliases: Names of stored tensors by the missing names; others are ignored.
  mutating func add(aliases: [String: String]) {
    let byName = Dictionary(tensors.map { ($0.name, $0.tensor) }) { first, _ in first }
    for (name, owner) in aliases.sorted(by: { $0.key < $1.key }) where byName[name] == nil {
      guard let tensor = byName[owner] else { continue }
      tensors.append(NamedTensor(name: name, tensor: tensor))
    }
  }

  /// Returns the language model of the tensors, completed by metadata or else by a configuration.
  ///
  /// - Throws: `InterchangeError` if the tensors are not a language model, or if neither metadata
  ///   nor options have its tokens.
  func conversion(
    _ metadata: StateMetadata?, configuration: ModelConfiguration? = nil,
    lists: [TokenList] = [], options: ReadingOptions
  ) throws -> (conversion: Conversion, language: StateLanguageModel) {
    var named = self
    var options = options
    if let configuration {
      options.nonlinearity = try configuration.nonlinearity(options.nonlinearity, file: file)
    }
    if isTied || configuration?.isTied?.value == true || statedTie != nil { try named.addTie() }
    if metadata?.isTied == true { named.add(aliases: ["decoder.weight": "encoder.weight"]) }
    if let metadata { options.take(metadata) }
    if let gates = metadata?.gates { try named.take(gates) }
    let language = try StateLanguageModel(
      named, nonlinearity: options.nonlinearity, metadata: metadata)
    let settlement = try named.settled(using: language.roles.values)
    let listNotes = try options.take(
      lists, ofRows: language.architecture.vocabularySize, error: named.file.error)
    let vocabulary = try language.vocabulary(options)
    let (parameters, notes) = try language.parameters()
    var conversion = Conversion(
      checkpoint: Checkpoint(
        architecture: language.architecture, parameters: parameters, vocabulary: vocabulary,
        tokenizer: options.tokenizer, provenance: []),
      notes: listNotes + (metadata == nil ? language.notes : []), settlement: settlement)
    conversion.sourceNames = language.roles.mapValues {
      $0.parts.isEmpty ? [$0.fileName] : $0.parts
    }
    if let statedTie, named.tensors.count > tensors.count {
      conversion.notes.append(
        Note(
          place: statedTie, message: "the output shares the embedding's weight", isHarmless: true))
    }
    conversion.areGatesAssumed = metadata == nil && language.areGatesAssumed
    if let configuration {
      try conversion.tie(by: configuration, file: file)
      conversion.checkpoint.architecture = try configuration.applied(
        to: conversion.checkpoint.architecture, file: file)
    }
    // Tied weights are equal and stored once.
    let isTied = conversion.checkpoint.architecture.isTied
    conversion.notes += isTied && !language.architecture.isTied ? [] : notes
    return (conversion, language)
  }
}
