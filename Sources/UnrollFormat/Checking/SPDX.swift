// SPDX licence expressions: their grammar, and the ids that models and texts come with.

/// SPDX licence expressions; source: the SPDX specification 2.3, annex D.
public enum SPDX {
  /// Returns the first part that makes a text no expression of known licences, in words; `nil` if there is
  /// none.
  public static func firstUnknownPart(of text: String) -> String? {
    let tokens = tokens(of: text)
    var place = 0
    if let part = unknownPart(tokens, &place, depth: 0) { return part }
    return place < tokens.count ? "\"\(tokens[place])\"" : nil
  }

  /// Reads licences with `AND` and `OR` between them, up to the first text that is neither.
  private static func unknownPart(_ tokens: [String], _ place: inout Int, depth: Int) -> String? {
    while true {
      if let part = unknownTerm(tokens, &place, depth: depth) { return part }
      guard place < tokens.count, ["AND", "OR"].contains(tokens[place]) else { return nil }
      place += 1
    }
  }

  /// Reads one licence, or an expression in parentheses.
  private static func unknownTerm(_ tokens: [String], _ place: inout Int, depth: Int) -> String? {
    guard place < tokens.count else { return "its end" }
    let token = tokens[place]
    place += 1
    if token == "(" {
      guard depth < 16 else { return "so deep a nesting" }
      if let part = unknownPart(tokens, &place, depth: depth + 1) { return part }
      guard place < tokens.count, tokens[place] == ")" else { return "its end" }
      place += 1
      return nil
    }
    guard isLicence(token) else { return "\"\(token)\"" }
    guard place < tokens.count, tokens[place] == "WITH" else { return nil }
    place += 1
    guard place < tokens.count else { return "its end" }
    // There are many exceptions, and models have none: their form is enough.
    defer { place += 1 }
    return isName(tokens[place][...]) ? nil : "\"\(tokens[place])\""
  }

  private static func isLicence(_ token: String) -> Bool {
    let parts = token.split(separator: ":", omittingEmptySubsequences: false)
    if parts.count == 2, parts[0].hasPrefix("DocumentRef-") {
      return isReference(parts[0], "DocumentRef-") && isReference(parts[1], "LicenseRef-")
    }
    if isReference(token[...], "LicenseRef-") { return true }
    let id = token.hasSuffix("+") ? token.dropLast() : token[...]
    // Ids are compared without case.
    return ids.contains(id.lowercased())
  }

  private static func isReference(_ token: Substring, _ prefix: String) -> Bool {
    token.hasPrefix(prefix) && isName(token.dropFirst(prefix.count))
  }

  private static func isName(_ text: Substring) -> Bool {
    !text.isEmpty && text.wholeMatch(of: /[A-Za-z0-9.\-]+/) != nil
  }

  private static func tokens(of text: String) -> [String] {
    var tokens: [String] = []
    var word = ""
    for character in text + " " {
      guard character == " " || character == "(" || character == ")" else {
        word.append(character)
        continue
      }
      if !word.isEmpty { tokens.append(word) }
      if character != " " { tokens.append(String(character)) }
      word = ""
    }
    return tokens
  }

  /// The ids of common licences, in lower case.
  private static let ids: Set<String> = Set(
    """
    0BSD AFL-3.0 AGPL-3.0 AGPL-3.0-only AGPL-3.0-or-later Apache-1.1 Apache-2.0 Artistic-2.0 \
    BSD-1-Clause BSD-2-Clause BSD-2-Clause-Patent BSD-3-Clause BSD-3-Clause-Clear BSD-4-Clause \
    BSL-1.0 C-UDA-1.0 CC-BY-1.0 CC-BY-2.0 CC-BY-2.5 CC-BY-3.0 CC-BY-4.0 CC-BY-NC-2.0 CC-BY-NC-2.5 \
    CC-BY-NC-3.0 CC-BY-NC-4.0 CC-BY-NC-ND-3.0 CC-BY-NC-ND-4.0 CC-BY-NC-SA-2.0 CC-BY-NC-SA-3.0 \
    CC-BY-NC-SA-4.0 CC-BY-ND-3.0 CC-BY-ND-4.0 CC-BY-SA-2.0 CC-BY-SA-2.5 CC-BY-SA-3.0 CC-BY-SA-4.0 \
    CC-PDDC CC-PDM-1.0 CC0-1.0 CDDL-1.0 CDDL-1.1 CDLA-Permissive-1.0 CDLA-Permissive-2.0 \
    CDLA-Sharing-1.0 CECILL-2.1 CECILL-B CECILL-C CPL-1.0 ECL-2.0 EPL-1.0 EPL-2.0 EUPL-1.1 EUPL-1.2 \
    GFDL-1.2-or-later GFDL-1.3 GFDL-1.3-only GFDL-1.3-or-later GPL-2.0 GPL-2.0-only \
    GPL-2.0-or-later GPL-3.0 GPL-3.0-only GPL-3.0-or-later HPND ISC LGPL-2.1 LGPL-2.1-only \
    LGPL-2.1-or-later LGPL-3.0 LGPL-3.0-only LGPL-3.0-or-later LGPLLR LPPL-1.3c MIT MIT-0 MPL-1.1 \
    MPL-2.0 MPL-2.0-no-copyleft-exception MS-PL MS-RL MulanPSL-2.0 NCSA NIST-PD NONE NOASSERTION \
    O-UDA-1.0 ODbL-1.0 ODC-By-1.0 OFL-1.1 OGL-UK-3.0 OLDAP-2.8 OSL-3.0 PDDL-1.0 PostgreSQL PSF-2.0 \
    Python-2.0 RPL-1.5 Ruby SGI-B-2.0 SSPL-1.0 TAPR-OHL-1.0 Unicode-3.0 Unicode-DFS-2016 \
    Unlicense UPL-1.0 Vim W3C WTFPL X11 Zlib ZPL-2.1
    """.split(separator: " ").map { $0.lowercased() })
}
