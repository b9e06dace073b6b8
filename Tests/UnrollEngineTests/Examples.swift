// The examples of the documentation of UnrollEngine, as another program would have them.

import Foundation
import UnrollEngine
import UnrollFormat
import UnrollInterchange

/// Converts a PyTorch model and writes it as a checkpoint.
func convertModel(_ model: String, corpus: String, to path: String) throws {
  let options = ConversionOptions(vocabulary: .corpus(corpus))
  let conversion = try convert(model, options: options)
  for note in conversion.notes { print(note) }
  try conversion.checkpoint.write(to: path)
}

/// The perplexity of a text.
func perplexity(of text: String, model path: String) throws -> Double {
  let model = try LanguageModel(contentsOf: path)
  let result = try model.perplexity(ofText: text, protocol: .stream) { progress in
    print("\(progress.perplexity.predictions) tokens", progress.fraction ?? 0)
  }
  return result.perplexity
}

/// The surprisal of each word in bits; `nil` for words that the model does not know.
func surprisals(of sentence: String, model path: String) throws -> [(String, Double?)] {
  let model = try LanguageModel(contentsOf: path)
  return try model.score(sentence: sentence).words.map { word in
    (word.word, word.surprisal.map { $0 / log(2) })
  }
}

/// Learns one text, chooses by another, and returns the losses of the second.
func finetune(_ path: String, train: String, valid: String, best: String) throws -> [Double] {
  let checkpoint = try Checkpoint(contentsOf: path)
  let encoder = try LanguageModel.encoder(of: checkpoint, path: path)
  let texts = try [train, valid].map { try TrainingText(path: $0, encoder: encoder) }
  var settings = TrainingSettings()
  settings.maximumEpochs = 2
  var run = try TrainingRun(checkpoint, settings: settings, train: texts[0], valid: texts[1])
  _ = try run.run(saving: TrainingFiles(best: best), report: { event, _ in print(event) })
  return run.state.history.map(\.validNLL)
}

/// A text that follows a prompt.
func continuation(of prompt: String, model path: String) throws -> String {
  let model = try LanguageModel(contentsOf: path)
  var settings = GenerationSettings()
  (settings.length, settings.temperature, settings.topK) = (50, 0.7, 10)
  return model.text(of: try model.generate(after: prompt, settings)[0])
}

/// Takes a model back to PyTorch.
func exportModel(_ path: String, to file: String) throws {
  let checkpoint = try Checkpoint(contentsOf: path)
  for note in try PyTorchFormat.exportNotes(for: checkpoint) { print(note) }
  try PyTorchFormat.export(checkpoint, to: file)
}

/// Gives up after some time: every long function ends with `CancellationError`.
func perplexity(of text: String, model path: String, within limit: Duration) async throws -> Double
{
  let work = Task { try perplexity(of: text, model: path) }
  let clock = Task {
    try await Task.sleep(for: limit)
    work.cancel()
  }
  defer { clock.cancel() }
  return try await work.value
}
