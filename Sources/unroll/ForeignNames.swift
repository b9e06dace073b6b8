// Translates verbs and options of other programs.

import ArgumentParser
import Foundation
import UnrollEngine

/// Verbs and options of word_language_model, AWD-LSTM, mlx-lm, Hugging Face, KenLM and earlier versions.
///
/// Aliases are translated; the others are refused with the name of ours.
enum ForeignNames {
  /// Verbs that are translated.
  private static let verbAliases = [
    "eval": "evaluate", "perplexity": "evaluate", "ppl": "evaluate", "info": "inspect",
    "show": "inspect", "fine-tune": "finetune", "sample": "generate", "surprisal": "score",
  ]
  /// Verbs that are refused with a hint.
  private static let verbHints = [
    "dump": "inspect MODEL --json", "check": "validate MODEL", "lint": "validate MODEL",
    "export": "convert MODEL.unroll.h5 -o FILE.pt", "import": "convert FILE -o MODEL.unroll.h5",
    "compare": "diff FIRST SECOND", "query": "score MODEL TEXT",
    "quantize": "evaluate MODEL TEXT --precision int8", "resume": "finetune MODEL --resume",
    "encode": "tokenize MODEL TEXT",
  ]
  /// Options that are translated.
  private static let optionAliases = [
    "--lr": "--learning-rate", "--temp": "--temperature", "--nhid": "--hidden-size",
    "--nlayers": "--num-layers", "--emsize": "--embedding-size", "--iters": "--steps",
    "--max-new-tokens": "--max-tokens", "--num-threads": "--threads", "--wdecay": "--weight-decay",
    "--wd": "--weight-decay",
  ]
  /// Options that are refused with a hint; no verb has an option of these names.
  private static let optionHints: [String: String] = {
    let rows: [(names: String, own: String)] = [
      ("--hidden --hidden-dim --rnn-size --units", "--hidden-size"),
      ("--n-layers --rnn-layers", "--num-layers"),
      ("--embedding --embedding-dim --embed-size --emb-size", "--embedding-size"),
      ("--columns --batch --bs", "--batch-size"),
      ("--window --seq-length --seq-len --sequence-length --num-unroll", "--bptt"),
      (
        "--accumulate --grad-accum --gradient-accumulation-steps --grad-accumulation-steps",
        "--gradient-accumulation"
      ),
      ("--random-windows", "--random-bptt"), ("--initialization", "--init"),
      ("--max-steps --max-iters --num-steps", "--steps"),
      ("--num-epochs --max-epochs --num-train-epochs", "--epochs"),
      ("--grad-clip --max-grad-norm --clip-norm --gradient-clip --clip-grad", "--clip"),
      ("--early-stopping --early-stop", "--patience"),
      ("--svg --figure", "--plot FILE.svg"), ("--html", "--report FILE.html"),
      ("--log-interval --log-every", "--log FILE: each step is a line"),
      ("--bidirectional", "no option: models read a text in one direction"),
      ("--optim", "--optimizer"), ("--lr-schedule --lr-scheduler --scheduler", "--schedule"),
      ("--rnn --rnn-type --model-type", "--cell"), ("--tie-weights --tied-weights", "--tied"),
      ("--wdrop", "--regularize weight_hh:weight=RATE"),
      ("--dropouti", "--regularize embedding:locked=RATE"),
      ("--dropouth", "--regularize between:locked=RATE"),
      ("--dropoute", "--regularize embedding:row=RATE"), ("--nonmono", "--average-after"),
      ("--keep-evaluating", "--retention"),
      ("--data --train-data --train-file", "--train TEXT, and --valid TEXT"),
      ("--valid-data --valid-file --validation --dev --eval-data", "--valid"),
      ("--save --out --outf --output-file --output-path --save-path", "--output"),
      ("--overwrite", "--force"), ("--log-dir --tb", "--tensorboard"),
      ("--resume-from --resume-from-checkpoint", "finetune MODEL --resume"),
      ("--vocab --vocab-file --vocabulary-file", "--vocabulary"),
      ("--maximum-size --vocab-size --max-vocab", "--vocabulary-size"),
      ("--minimum-count --min-freq", "--min-count"),
      ("--char --chars --char-level", "--tokenizer character"),
      ("--length --max-length --max-len", "--max-tokens"),
      ("--num-samples --num-return-sequences", "--samples"), ("--topk", "--top-k"),
      ("--topp", "--top-p"),
      ("--nthreads --cpus --jobs", "--threads"), ("--quantize --quant --int8", "--precision int8"),
      ("--fp16 --half --bf16", "--precision bf16"),
      (
        "--model --model-path --model-file --checkpoint -m",
        "no option: the model is the first argument"
      ),
      ("--input --input-file --file", "no option: the text is an argument"),
      ("--cuda --gpu --device --accel --mps", "no option: Unroll computes on the processor"),
      ("--onnx-export", "convert MODEL.unroll.h5 -o FILE.onnx"),
      ("--junit", "--format junit, on standard output"),
      ("--sarif", "--format sarif, on standard output"),
      ("--nhead", "no option: Unroll has no Transformers"),
    ]
    var hints: [String: String] = [:]
    for row in rows {
      for name in row.names.split(separator: " ") { hints[String(name)] = row.own }
    }
    return hints
  }()
  /// The beginning of a hint that there is no such option.
  private static let noOption = "no option: "
  /// Options that mean something else where text is generated.
  private static let generateHints = [
    "--outf": "no option: the text goes to standard output", "--words": "--max-tokens",
  ]
  /// Options that mean something else where a model is made.
  private static let trainHints = [
    "--model": "--cell", "-m": "no option: a new model has no file yet",
  ]
  /// Tokenizer names that are translated.
  private static let tokenizers = [
    "char": "character", "chars": "character", "word": "whitespace", "words": "whitespace",
  ]

  /// Returns our verb whose name is most like a misspelled one; `nil` if none is.
  private static func verb(like misspelled: String) -> String? {
    func distance(_ verb: String) -> Int {
      WordErrors(
        of: misspelled.map { String($0) }.joined(separator: " "),
        reference: verb.map { String($0) }.joined(separator: " ")
      ).count
    }
    return Unroll.verbs.sorted().map { (verb: $0, distance: distance($0)) }
      .filter { $0.distance <= 2 }.min { $0.distance < $1.distance }?.verb
  }

  /// All foreign option names, for tests.
  static var options: [String] { Array(optionAliases.keys) + Array(optionHints.keys) }

  /// Returns arguments with foreign names translated.
  ///
  /// - Parameter arguments: A verb and its arguments.
  /// - Returns: The arguments; underscores in the names of options are hyphens.
  /// - Throws: `ValidationError` that names our verb or option.
  static func translated(_ arguments: [String]) throws -> [String] {
    guard let verb = arguments.first else { return arguments }
    // `unroll help VERB` of an unknown verb says so, as the verb itself does.
    if verb == "help", arguments.count > 1, !arguments[1].hasPrefix("-"),
      !Unroll.verbs.contains(arguments[1])
    {
      let translated = try translated([arguments[1]])
      return Unroll.verbs.contains(translated[0]) ? [verb] + translated : translated
    }
    if let own = verbHints[verb] {
      throw ValidationError("there is no verb \(verb): use `unroll \(own)`.")
    }
    if !verb.hasPrefix("-"), verbAliases[verb] == nil, !Unroll.verbs.contains(verb) {
      let hint =
        Self.verb(like: verb).map { ": did you mean \($0)?" } ?? "; `unroll --help` lists them."
      throw ValidationError("there is no verb \(verb)\(hint)")
    }
    var result = [verbAliases[verb] ?? verb]
    var rest = arguments.dropFirst()
    while let argument = rest.popFirst() {
      if argument == "--" { return result + [argument] + rest }
      let name = optionName(of: argument)
      let ofVerb = ["train": trainHints, "generate": generateHints][verb]?[name]
      if let own = ofVerb ?? optionHints[name] {
        let isMissing = own.hasPrefix(noOption)
        throw ValidationError(
          "unknown option \(name): "
            + (isMissing ? String(own.dropFirst(noOption.count)) : "Unroll has \(own)")
            + ".")
      }
      if name == "--resume", argument == "--resume=auto" || rest.first == "auto" {
        if argument == name { rest.removeFirst() }
        result.append("--auto-resume")
        continue
      }
      result.append((optionAliases[name] ?? name) + argument.dropFirst(name.count))
      if name == "--tokenizer", let kind = rest.first, let own = tokenizers[kind],
        !FileManager.default.fileExists(atPath: kind)
      {
        result.append(own)
        rest.removeFirst()
      }
    }
    return result
  }

  /// Returns the name of an option with hyphens and without `=VALUE`; other arguments unchanged.
  private static func optionName(of argument: String) -> String {
    guard argument.hasPrefix("-") else { return argument }
    let name = argument.prefix { $0 != "=" }
    return name.hasPrefix("--") ? String(name.replacing("_", with: "-")) : String(name)
  }
}
