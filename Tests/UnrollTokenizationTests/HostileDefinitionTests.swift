// Definitions that are damaged, ask for too much, or for what there is not.

import Foundation
import TestSupport
import Testing

@testable import UnrollTokenization

@Suite("Hostile tokenizer files") struct HostileDefinitionTests {
  private func error(_ text: String) -> String {
    do {
      _ = try TokenizerDefinition(Array(text.utf8)).tokens()
      return "none"
    } catch let error as DefinitionError {
      return "\(error.isUnsupported ? "unsupported" : "wrong"): \(error.place): \(error.found)"
    } catch {
      return "\(error)"
    }
  }

  private func bpe(_ rest: String, vocabulary: String = #"{"a":0,"b":1,"ab":2}"#) -> String {
    #"{\#(rest)"model":{"type":"BPE","vocab":\#(vocabulary),"merges":[["a","b"]]}}"#
  }

  @Test("An unsupported part of a tokenizer file is named by its location")
  func unsupportedParts() {
    #expect(error(bpe("")) == "none")
    #expect(
      error(bpe(#""pre_tokenizer":{"type":"Split","pattern":{"Regex":"a(?#b)"}},"#))
        == "unsupported: tokenizer.pre_tokenizer.pattern: the group (?#b) in the regular expression a(?#b)"
    )
    #expect(
      error(bpe(#""pre_tokenizer":{"type":"UnicodeScripts"},"#))
        == "unsupported: tokenizer.pre_tokenizer: UnicodeScripts")
    #expect(
      error(bpe(#""decoder":{"type":"CTC"},"#)) == "unsupported: tokenizer.decoder: CTC")
    #expect(
      error(#"{"model":{"type":"SentenceLevel","vocab":{}}}"#)
        == "unsupported: tokenizer.model: SentenceLevel")
    #expect(
      error(#"{"model":{"type":"WordLevel","vocab":{}}}"#)
        == "wrong: vocabulary: 0 tokens with ids to -1")
  }

  @Test("An invalid part of a tokenizer file is named by its location")
  func invalidParts() {
    #expect(error(#"{"model":"#) == "wrong: byte 9: something else")
    #expect(error("{}") == "wrong: model: none")
    #expect(error(bpe("", vocabulary: #"{"a":0,"b":1}"#)) == "wrong: merges: \"a b\" at 0")
    #expect(
      error(bpe("", vocabulary: #"{"a":0,"b":1,"ab":9000000}"#))
        == "wrong: vocabulary: 3 tokens with ids to 9000000")
    #expect(
      error(bpe("", vocabulary: #"{"a":0,"b":-1,"ab":2}"#))
        == "wrong: tokenizer.model.vocab: another")
    #expect(error(String(repeating: "[", count: 100_000)) == "wrong: file: something else")
    #expect(
      error("{\"a\":" + String(repeating: "[", count: 100_000)) == "wrong: byte 68: something else")
  }

  /// Thousands of damaged files: each is read or refused, and what is read encodes.
  @Test(
    "Damaged tokenizer files are refused or encode text, and never trap",
    arguments: [
      "bert.json", "charsmap.json", "llama2.json", "roberta.json", "steps.json", "sp-bpe.model",
      "sp-unigram.model",
    ])
  func damagedFiles(name: String) throws {
    let original = try TokenizerFixtures.bytes(name)
    let text = try TokenizerFixtures.bytes("texts/emoji.txt")
    var generator = SeededGenerator(seed: 5)
    for _ in 0..<100 {
      var bytes = original
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(
          in: 0...255, using: &generator)
      }
      if Bool.random(using: &generator) {
        bytes.removeLast(Int.random(in: 0..<bytes.count / 4, using: &generator))
      }
      guard let definition = try? TokenizerDefinition(bytes),
        let (kind, vocabulary) = try? definition.tokens()
      else { continue }
      var tokenizer = Tokenizer(kind: kind, sentenceStart: .none, appendsEndOfSentence: false)
      tokenizer.definition = definition
      guard let encoder = try? Encoder(vocabulary: vocabulary, tokenizer: tokenizer, path: name)
      else { continue }
      let line = TextLine(bytes: text, terminatorCount: 0, number: 1)
      if let encoded = try? encoder.encode(line, path: "") { _ = encoder.text(of: encoded.ids) }
    }
  }
}
