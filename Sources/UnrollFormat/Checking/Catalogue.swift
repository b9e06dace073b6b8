// The rules as text: for `unroll explain` and `spec/RULES.md`.

extension Rule {
  /// The rule's requirement, its reason, an example that breaks it, the fix, and when it is checked.
  public var explanation: String { explanation(heading: "", separator: "\n") }

  /// All rules as a page; `spec/RULES.md` is this text.
  public static var catalogue: String {
    catalogueHead
      + all.map { "\n\($0.explanation(heading: "## ", separator: "\n\n"))\n" }.joined()
  }

  private func explanation(heading: String, separator: String) -> String {
    let repair = repair.map { "; or with `unroll validate --fix`: \($0.explanation)" } ?? ""
    return [
      "\(heading)\(id) (\(level.rawValue))", summary, "Why: \(why)", "Example: \(example)",
      "Fix: \(fix)\(repair).", "Checked: \(cost.explanation).",
    ].joined(separator: separator)
  }
}

extension Cost {
  /// When rules of this cost are checked, as the end of a sentence.
  public var explanation: String {
    switch self {
    case .container: "before libhdf5 sees the file, at every opening"
    case .header: "at every opening"
    case .replay: "by `unroll validate --replay`, since it runs the model"
    case .bytes: "by `unroll validate`, since it reads every byte"
    }
  }
}

private let catalogueHead = """
  # The rules of the Unroll checkpoint format

  Generated from the code: `RECORD_SNAPSHOTS=1 swift test` writes it. An id never changes its
  meaning. Families: C container, X safety, S structure, A architecture, T tensors, V vocabulary,
  O optimizer, R resume, I integrity, E extensions, M metadata, P portability, Q quality. `unroll explain --all --json` gives the rules to programs.

  ## Levels, and what to do about a rule that is wrong

  - **error**: the file cannot be trusted and is not opened. A rule may be of this level only if it
    cannot be wrong: its sentence says MUST, and a file that breaks it breaks the format.
  - **warning**, **note**: probably wrong, or worth knowing. A rule that can be wrong about a file is
    one of these, however likely it is right: its sentence says SHOULD. A false positive of such a
    rule is left out by a suppression with a reason; one of an error is a defect of Unroll.
  - A configuration may move a rule between note and warning. It cannot make an error less, since that
    would not open the file, nor make anything else an error; `--strict` counts warnings as failures.

  ## What leaving out means

  `--ignore`, suppressions and a baseline leave findings out of the report and of the exit code; they
  never change a file or what can be done with it. A file with an error that is left out is still
  called invalid, is not opened by any verb, and the families behind the error's stay unchecked (the
  order is C, X, S, then A, T and V, then O and R, then I, then E, M, P and Q). What was left out is counted.

  `--select` says which rules to report. An error that is not among them is reported all the same if
  it kept one of them from being checked: a report never claims more than was looked at. Of two
  options that name a rule, the one with its id goes before the one with its family's letter, and
  `--ignore` before `--select`.

  ## What `--fix` does

  It writes a copy in which all is put right that follows from the rest of the file: missing and stale
  digests, alignment, unused space, a tie stored twice, a self-test of other weights. It changes no number,
  token or size, refuses files with any other error, and adds an entry to the history. The rules that it
  can repair say so below.

  ## What is no rule, and why

  These were considered; their ids stay free.

  | id | what it would want | why it is none |
  |---|---|---|
  | C006 | no user block before the signature | C001 refuses one: two ids for one defect help nobody |
  | C013 | known `optional_features` | to ignore them is what they are for |
  | S004 | known versions of single groups | `format_version` counts for all (C010, C011) |
  | A002 | a number of layers that agrees with the groups | the groups are the number; S005 wants no gaps |
  | A004 | a known order of gates | the format's version fixes it; Q006 smells a wrong one |
  | A007 | variants that an engine computes | it is about the engine, not the file: F009 has it refuse |
  | T008 | scales of int8 rows | int8 is reserved; C012 refuses it |
  | O005 | a `step` of at least 0 | A001 has the range, R005 the agreement |
  | M003 | no times in the file | a time is any number or text: no check can be right (F001) |
  | M004 | a card | every fresh conversion would raise it |
  | P001, P003 | little-endian numbers of standard widths | X006 refuses others |
  | P002 | a superblock that old readers know | C004 |
  | P005 | no szip | X007 |
  | Q005 | numbers that fit into f16 | of an export, which counts them when it narrows |
  | E002, E003 | known extensions | a needed one is a required feature (C012); others may be unknown |

  ## Add a rule

  1. Add its sentence with a new id to `spec/FORMAT.md`: MUST for an error, SHOULD for others.
  2. Copy a file of the family in `Sources/UnrollFormat/Checking/Rules/`; its name is its id and what it demands.
  3. Give the `Rule` its id, level, summary (the sentence), why, example and fix.
  4. Write the check: a pure function of `Contents`, silent where another rule has the finding.
  5. Add it to `Rule.all` in `AllRules.swift`, in the order of the ids.
  6. Add a mutation of a valid file to `Mutation.all` in the tests, at the same place.
  7. Record: `RECORD_SNAPSHOTS=1 swift test --filter UnrollFormatTests`, and read the diff.
  8. `swift test --filter UnrollFormatTests` turns green: the mutation raises the rule alone.

  """
