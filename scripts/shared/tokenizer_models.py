"""Small tokenizers of every kind that Unroll reads, trained by the libraries that define them.

Used by make/tokenizer-fixtures (small, committed) and check/tokenizers (1 MB of text, in CI).
Needs: tokenizers, sentencepiece.
"""
import json
import os

import sentencepiece
import tokenizers
from tokenizers import (
    AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers)

CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")

# Replacements for a SentencePiece model whose table is small: source and target in hexadecimal.
RULES = [("FF21", "41"), ("FF22", "42"), ("FF01", "21"), ("3000", "20"), ("09", "20"), ("A", "20"),
         ("2460", "28 31 29"), ("30AB 3099", "30AC"), ("65 301", "E9"), ("AD", ""), ("FB01", "66 69")]


def gpt2(texts, size, folder):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=size, special_tokens=["<|endoftext|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.model.save(folder, "gpt2")  # gpt2-vocab.json, gpt2-merges.txt
    return tokenizer


def roberta(texts, size, folder):
    tokenizer = gpt2(texts, size, folder)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, rstrip=True, special=True)])
    tokenizer.add_tokens([AddedToken("the", single_word=True, normalized=True)])
    return tokenizer


def llama3(texts, size, folder):
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(CL100K), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=size, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tokenizer


def llama2(texts, size, folder):
    byte_tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(split=True)
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=size + 256, special_tokens=byte_tokens, show_progress=False,
        limit_alphabet=80))
    definition = json.loads(tokenizer.to_str())
    definition["pre_tokenizer"] = None
    definition["added_tokens"] = definition["added_tokens"][:3]
    definition["model"].update(unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer.from_str(json.dumps(definition))
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
        decoders.Strip(" ", 1, 0)])
    return tokenizer


def classic(texts, size, folder):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence([
        normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(),
        normalizers.Strip()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.BPEDecoder()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=size, special_tokens=["<unk>"], end_of_word_suffix="</w>", limit_alphabet=150,
        show_progress=False))
    return tokenizer


def bert(texts, size, folder):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=20))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(
        vocab_size=size, special_tokens=["[UNK]", "[CLS]", "[SEP]"], limit_alphabet=150,
        show_progress=False))
    return tokenizer


def bert_cased(texts, size, folder):
    tokenizer = bert(texts, size, folder)
    tokenizer.normalizer = normalizers.BertNormalizer(
        lowercase=False, strip_accents=False, handle_chinese_chars=False)
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    return tokenizer


def unigram(texts, size, folder):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    tokenizer.train_from_iterator(texts, trainers.UnigramTrainer(
        vocab_size=size, special_tokens=["<unk>", "<s>"], unk_token="<unk>", show_progress=False))
    return tokenizer


def steps(texts, size, folder):
    tokenizer = unigram(texts, size, folder)
    tokenizer.normalizer = normalizers.NFD()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("merged_with_previous"),
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.CharDelimiterSplit("_"),
        pre_tokenizers.Split("e", "merged_with_next"), pre_tokenizers.Split(Regex(r"\p{N}"), "contiguous"),
        pre_tokenizers.Metaspace(prepend_scheme="always", split=False)])
    tokenizer.decoder = decoders.Sequence([decoders.Metaspace(), decoders.Fuse()])
    return tokenizer


def byte_level_bpe(text, size, minimum=0, special=()):
    """What `unroll train --tokenizer bpe` learns too: from each line with its end, or with a special
    token in the place of the end."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    lines = text.split("\n")
    if not special:
        lines = [line + "\n" for line in lines[:-1]] + lines[-1:]
    tokenizer.train_from_iterator(lines, trainers.BpeTrainer(
        vocab_size=size, min_frequency=minimum, special_tokens=list(special), show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tokenizer


HF = {f.__name__: f for f in
      [gpt2, roberta, llama3, llama2, classic, bert, bert_cased, unigram, steps]}


def sentence_piece(texts, folder, name, **options):
    path = os.path.join(folder, name)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(line for text in texts for line in text.splitlines() if line),
        model_prefix=path, minloglevel=2, max_sentence_length=1 << 20, hard_vocab_limit=False, **options)
    os.remove(path + ".vocab")
    return sentencepiece.SentencePieceProcessor(model_file=path + ".model")


def train_sentence_pieces(texts, size, folder, full):
    rules = os.path.join(folder, "rules.tsv")
    with open(rules, "w") as file:
        file.writelines(f"{source}\t{target}\n" for source, target in RULES)
    table = {"normalization_rule_name": "nmt_nfkc"} if full else {"normalization_rule_tsv": rules}
    result = {
        "sp-unigram": sentence_piece(
            texts, folder, "sp-unigram", vocab_size=size, model_type="unigram",
            user_defined_symbols=["<sep>", "return self"], character_coverage=0.99, **table),
        "sp-bytes": sentence_piece(
            texts, folder, "sp-bytes", vocab_size=size + 256, model_type="unigram",
            byte_fallback=True, normalization_rule_name="identity", add_dummy_prefix=False,
            remove_extra_whitespaces=False, character_coverage=0.98),
        "sp-bpe": sentence_piece(
            texts, folder, "sp-bpe", vocab_size=size + 156, model_type="bpe", byte_fallback=True,
            normalization_rule_name="identity", user_defined_symbols=["<sep>"],
            character_coverage=0.98),
        "sp-suffix": sentence_piece(
            texts, folder, "sp-suffix", vocab_size=size - 100, model_type="bpe",
            treat_whitespace_as_suffix=True, character_coverage=0.98, **table),
    }
    os.remove(rules)
    return result


def with_character_map(tokenizer, folder):
    """The HF Unigram tokenizer with the table of a SentencePiece model as its normalizer."""
    from sentencepiece import sentencepiece_model_pb2 as schema
    model = schema.ModelProto()
    with open(os.path.join(folder, "sp-unigram.model"), "rb") as file:
        model.ParseFromString(file.read())
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.normalizer = normalizers.Precompiled(model.normalizer_spec.precompiled_charsmap)
    return copy


def train(texts, size, folder, full=False):
    """Trains all tokenizers and saves their definitions; returns file name -> lines -> (ids, text)."""
    pieces = train_sentence_pieces(texts, size, folder, full)
    made = {name: make(texts, size, folder) for name, make in HF.items()}
    made["charsmap"] = with_character_map(made["unigram"], folder)
    encoders = {}
    for name, tokenizer in made.items():
        tokenizer.save(os.path.join(folder, f"{name}.json"), pretty=False)
        encoders[f"{name}.json"] = hf_encoder(tokenizer)
    # The files of GPT-2's own form: roberta was trained on the same texts, so they are the same.
    encoders["gpt2-merges.txt"] = encoders["gpt2.json"]
    for name, processor in pieces.items():
        encoders[f"{name}.model"] = sp_encoder(processor)
    return encoders


def hf_encoder(tokenizer):
    def encode(texts):
        texts = [text.decode("utf8", "replace") for text in texts]
        ids = [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
        return ids, tokenizer.decode_batch(ids)
    return encode


def sp_encoder(processor):
    def encode(texts):
        ids = [processor.encode(text) for text in texts]
        return ids, processor.decode(ids)
    return encode


VERSIONS = {"tokenizers": tokenizers.__version__, "sentencepiece": sentencepiece.__version__}
