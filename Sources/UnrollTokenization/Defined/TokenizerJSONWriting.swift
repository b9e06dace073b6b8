// A tokenizer.json of our own: byte-level BPE, byte for byte as the library tokenizers saves it.

extension LearnedPairs {
  /// Returns the file tokenizer.json.
  ///
  /// - Parameter special: The special tokens, which are the first.
  /// - Returns: Its bytes.
  func tokenizerJSON(special: [String]) -> [UInt8] {
    let added = special.enumerated().map { id, token in
      #"{"id":\#(id),"content":\#(quoted(id)),"single_word":false,"lstrip":false,"rstrip":false,"#
        + #""normalized":false,"special":true}"#
    }
    func byteLevel(addsSpace: Bool) -> String {
      #"{"type":"ByteLevel","add_prefix_space":\#(addsSpace),"trim_offsets":true,"use_regex":true}"#
    }
    // The decoder's default, which means nothing there.
    let decoder = byteLevel(addsSpace: true)
    let vocabulary = (0..<tokens.count).map { "\(quoted($0)):\($0)" }
    let pairs = merges.map { "[\(quoted(Int($0.left))),\(quoted(Int($0.right)))]" }
    let text =
      #"{"version":"1.0","truncation":null,"padding":null,"added_tokens":[\#(list(added))],"#
      + #""normalizer":null,"pre_tokenizer":\#(byteLevel(addsSpace: false)),"post_processor":null,"#
      + #""decoder":\#(decoder),"model":{"type":"BPE","dropout":null,"unk_token":null,"#
      + #""continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,"#
      + #""byte_fallback":false,"ignore_merges":false,"vocab":{\#(list(vocabulary))},"#
      + #""merges":[\#(list(pairs))]}}"#
    return Array(text.utf8)
  }

  private func list(_ items: [String]) -> String { items.joined(separator: ",") }

  /// Returns a token as JSON has it; GPT-2's characters are printable, so only two need an escape.
  private func quoted(_ id: Int) -> String {
    let text = String(decoding: tokens[id], as: UTF8.self)
    return "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
  }
}
