// Normalization of a text before it is cut: the normalizers of tokenizer.json.

import Foundation

/// One step of normalisation.
enum Normalizer: Sendable {
  /// A normal form of Unicode.
  case form(NormalForm)
  /// Lower case, scalar by scalar.
  case lowercase
  /// Lower case as `str.lower` of Python has it, where a sigma at the end of a word has its own form.
  case pythonLowercase
  /// Without the scalars of a class.
  case removing(ScalarClasses)
  /// Without white space at an end.
  case strip(left: Bool, right: Bool)
  /// A pattern replaced.
  case replace(TextPattern, [UInt8])
  /// A prefix, unless the text is empty.
  case prepend([UInt8])
  /// BERT's cleaning: no control characters, and a space for every white space.
  case clean
  /// BERT's spaces around Chinese characters.
  case isolatingChinese
  /// Control characters and odd spaces, as SentencePiece's "nmt" has it.
  case nmt
  /// A table of replacements, as tokenizer.json uses SentencePiece's.
  case characterMap(CharacterMap)

  /// Changes a text.
  func apply(to text: AlignedText) -> AlignedText {
    switch self {
    case .form(let form): return text.normalized(to: form)
    case .lowercase: return text.mapScalars(Self.lowercase)
    case .pythonLowercase: return text.lowercasedAsInPython()
    case .removing(let classes):
      return text.mapScalars { scalar, add in
        if ScalarClasses(of: scalar).isDisjoint(with: classes) { add(scalar) }
      }
    case .strip(let left, let right): return text.stripped(left: left, right: right)
    case .replace(let pattern, let content): return text.replacing(pattern, with: content)
    case .prepend(let prefix): return text.prepending(prefix)
    case .clean: return text.mapScalars(Self.clean)
    case .isolatingChinese:
      return text.mapScalars { scalar, add in
        let isChinese = Self.chinese.contains { $0.contains(scalar) }
        if isChinese { add(0x20) }
        add(scalar)
        if isChinese { add(0x20) }
      }
    case .nmt: return text.mapScalars(Self.nmt)
    case .characterMap(let map): return map.normalizedByCharacter(text)
    }
  }

  fileprivate static func lowercase(_ scalar: UInt32, _ add: (UInt32) -> Void) {
    guard scalar >= 0x80 else {
      return add((0x41...0x5A).contains(scalar) ? scalar | 0x20 : scalar)
    }
    for lower in Unicode.Scalar(scalar)?.properties.lowercaseMapping.unicodeScalars ?? .init() {
      add(lower.value)
    }
  }

  private static func clean(_ scalar: UInt32, _ add: (UInt32) -> Void) {
    if scalar == 0 || scalar == 0xFFFD { return }
    // Of the control characters the library keeps these as spaces, and deletes U+000B, U+000C and U+0085.
    if [0x09, 0x0A, 0x0D].contains(scalar) { return add(0x20) }
    switch Unicode.Scalar(scalar)?.properties.generalCategory {
    case .control, .format, .privateUse: break
    default: add(ScalarClasses(of: scalar).contains(.space) ? 0x20 : scalar)
    }
  }

  /// The blocks of CJK ideographs, as in BERT's own code.
  private static let chinese: [ClosedRange<UInt32>] = [
    0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F, 0x2B740...0x2B81F,
    0x2B920...0x2CEAF, 0xF900...0xFAFF, 0x2F800...0x2FA1F,
  ]

  private static func nmt(_ scalar: UInt32, _ add: (UInt32) -> Void) {
    switch scalar {
    case 0x01...0x08, 0x0B, 0x0E...0x1F, 0x7F, 0x8F, 0x9F: break
    case 0x09, 0x0A, 0x0C, 0x0D, 0x1680, 0x200B...0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD:
      add(0x20)
    default: add(scalar)
    }
  }
}

extension AlignedText {
  /// Returns the text in a normal form of Unicode.
  ///
  /// ASCII is in all of them, so only runs of other scalars are examined, each with the scalar before it. A run
  /// whose number of scalars changes stands for its part of the original text as a whole.
  fileprivate func normalized(to form: NormalForm) -> AlignedText {
    guard bytes.contains(where: { $0 >= 0x80 }) else { return self }
    var result = AlignedText()
    var index = 0
    while index < bytes.count {
      var end = bytes[index...].firstIndex { $0 >= 0x80 } ?? bytes.count
      let start = end == bytes.count ? end : max(index, end - 1)
      result.append(self, index..<start)
      while end < bytes.count, bytes[end] >= 0x80 { end += 1 }
      result.appendNormalized(part(start..<end), form)
      index = end
    }
    return result
  }

  /// Returns the text in lower case, by the rule `Final_Sigma` of Unicode too.
  fileprivate func lowercasedAsInPython() -> AlignedText {
    var scalars: [Unicode.Scalar] = []
    forEachScalar { scalar, _, _ in scalars.append(Unicode.Scalar(scalar) ?? "\u{FFFD}") }
    guard scalars.contains("\u{3A3}") else { return mapScalars(Normalizer.lowercase) }
    var index = -1
    return mapScalars { scalar, add in
      index += 1
      guard scalar == 0x3A3 else { return Normalizer.lowercase(scalar, add) }
      let before = scalars[..<index].last { !$0.properties.isCaseIgnorable }
      let after = scalars[(index + 1)...].first { !$0.properties.isCaseIgnorable }
      let isFinal = before?.properties.isCased == true && after?.properties.isCased != true
      add(isFinal ? 0x3C2 : 0x3C3)
    }
  }

  private mutating func appendNormalized(_ run: AlignedText, _ form: NormalForm) {
    guard let last = run.ends.last else { return }
    let scalars = form.of(String(decoding: run.bytes, as: UTF8.self)).unicodeScalars
    var ends: [Int] = []
    run.forEachScalar { _, _, end in ends.append(end) }
    let isAligned = ends.count == scalars.count
    for (index, scalar) in scalars.enumerated() {
      append(scalar.value, end: isAligned ? ends[index] : last)
    }
  }

  fileprivate func stripped(left: Bool, right: Bool) -> AlignedText {
    var kept: Range<Int>?
    forEachScalar { scalar, range, _ in
      guard !ScalarClasses(of: scalar).contains(.space) else { return }
      kept = (kept?.lowerBound ?? range.lowerBound)..<range.upperBound
    }
    guard let kept else { return left || right ? AlignedText() : self }
    return part((left ? kept.lowerBound : 0)..<(right ? kept.upperBound : bytes.count))
  }
}
