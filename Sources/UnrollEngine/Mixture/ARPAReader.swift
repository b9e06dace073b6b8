// Reads n-gram models in the ARPA format, plain or gzip.

import UnrollTensors
import UnrollTokenization

extension NGramModel {
  /// Reads a model in the ARPA format of SRILM, KenLM and others.
  ///
  /// - Parameters:
  ///   - path: The file, plain or gzip.
  ///   - progress: Called now and then with the share of the file that was read.
  /// - Throws: `FileError` if it cannot be read; `TextError` with the line that breaks the format.
  public init(contentsOf path: String, progress: (Double?) -> Void = { _ in }) throws {
    var reader = try ARPAReader(path: path)
    self = try reader.model(progress)
  }

  /// Returns `true` if a file begins as the ARPA format does: `\data\` is its first line that is not blank.
  ///
  /// - Throws: `FileError` if it cannot be opened.
  public static func recognizes(_ path: String) throws -> Bool {
    var lines = try LineReader(path: path, isText: false)
    for _ in 0..<100 {
      guard let line = try? lines.next() else { return false }
      let words = ARPAReader.fields(line.bytes)
      if !words.isEmpty { return words.count == 1 && words[0].elementsEqual(#"\data\"#.utf8) }
    }
    return false
  }
}

/// The lines of a file in the ARPA format.
private struct ARPAReader: ~Copyable {
  private var lines: LineReader
  private var number = 0

  init(path: String) throws(FileError) { lines = try LineReader(path: path) }

  /// Returns the parts of a line between spaces and tabs; other white space may be part of words.
  static func fields(_ line: [UInt8]) -> [ArraySlice<UInt8>] {
    line.split { [UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r")].contains($0) }
  }

  private func error(_ expected: String, found: String) -> TextError {
    TextError(
      path: lines.path, line: number == 0 ? nil : number, expected: expected, found: found,
      fix:
        "give an n-gram model in the ARPA format, as SRILM's ngram-count and KenLM's lmplz write it"
    )
  }

  private static func text(_ fields: [ArraySlice<UInt8>]) -> String {
    fields.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ")
  }

  /// Returns the parts of the next line that is not blank; none at the end of the file.
  private mutating func next() throws -> [ArraySlice<UInt8>] {
    while let line = try lines.next() {
      number = line.number
      let fields = Self.fields(line.bytes)
      if !fields.isEmpty { return fields }
    }
    return []
  }

  mutating func model(_ progress: (Double?) -> Void) throws -> NGramModel {
    var (line, counts) = try header()
    var model = NGramModel(path: lines.path)
    model.order = counts.count
    for (index, count) in counts.enumerated() {
      let order = index + 1
      guard line.count == 1, line[0].elementsEqual("\\\(order)-grams:".utf8) else {
        throw error("\\\(order)-grams:", found: Self.text(line))
      }
      for _ in 0..<count {
        try add(try next(), order, to: &model)
        if model.count % 100_000 == 0 { progress(lines.fraction) }
      }
      line = try next()
    }
    guard line.count == 1, line[0].elementsEqual(#"\end\"#.utf8) else {
      throw error(
        #"\end\ after as many n-grams as the header says"#,
        found: line.isEmpty ? "the end of the file" : Self.text(line))
    }
    return model
  }

  /// Reads the header.
  ///
  /// - Returns: The line after it, and the number of n-grams of each length.
  private mutating func header() throws -> (line: [ArraySlice<UInt8>], counts: [Int]) {
    let first = try next()
    guard first.count == 1, first[0].elementsEqual(#"\data\"#.utf8) else {
      throw error(#"\data\"#, found: first.isEmpty ? "no text" : Self.text(first))
    }
    var counts: [Int] = []
    var line = try next()
    while line.first?.elementsEqual("ngram".utf8) == true {
      // `ngram 1=5`, with or without spaces around the sign.
      let parts = Self.text(Array(line.dropFirst())).split(separator: "=").compactMap {
        Int($0.drop { $0 == " " }.prefix { $0 != " " })
      }
      guard parts.count == 2, parts[0] == counts.count + 1, 0..<Int(Int32.max) ~= parts[1] else {
        throw error("ngram \(counts.count + 1)= and a count", found: Self.text(line))
      }
      counts.append(parts[1])
      line = try next()
    }
    guard let words = counts.first, words > 0, counts.reduce(0, +) < Int(Int32.max) else {
      throw error("counts of n-grams, ngram 1= first", found: Self.text(line))
    }
    return (line, counts)
  }

  private mutating func add(
    _ fields: [ArraySlice<UInt8>], _ order: Int, to model: inout NGramModel
  ) throws {
    guard fields.count == order + 1 || fields.count == order + 2,
      let probability = Float(String(decoding: fields[0], as: UTF8.self)), probability <= 0
    else {
      throw error(
        "a logarithm of at most 0, \(order) word\(order == 1 ? "" : "s"), and perhaps a backoff",
        found: fields.isEmpty ? "the end of the file" : Self.text(fields))
    }
    var backoff: Float = 0
    if fields.count == order + 2 {
      guard let number = Float(String(decoding: fields[order + 1], as: UTF8.self)), !number.isNaN
      else { throw error("a backoff weight", found: Self.text([fields[order + 1]])) }
      backoff = number
    }
    let words = fields[1...order]
    guard order > 1 else {
      guard model.words.updateValue(Int32(model.count), forKey: Array(fields[1])) == nil else {
        throw error("each word once", found: Self.text([fields[1]]))
      }
      model.probabilities.append(probability)
      model.backoffs.append(backoff)
      return
    }
    let ids = try words.map { word in
      guard let id = model.words[Array(word)] else {
        throw error("words that have a unigram", found: Self.text([word]))
      }
      return id
    }
    guard let context = model.ngram(ids.dropLast()) else {
      throw error(
        "n-grams whose first \(order - 1) words are an n-gram", found: Self.text(Array(words)))
    }
    guard
      model.add(ids[order - 1], after: context, probability: probability, backoff: backoff)
    else { throw error("each n-gram once", found: Self.text(Array(words))) }
  }
}
