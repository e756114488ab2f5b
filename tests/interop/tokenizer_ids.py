"""tokenizer_ids.py TRIBUTARY_TRAINER: our ids and decoded texts against the tokenizers and sentencepiece libraries.

Each tokenizer is trained here, written as people download it, and read by `tributary-trainer tokenize`.
"""
import json
import os
import random
import sys
import tempfile
import unicodedata

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

import strings

PROGRAM = sys.argv[1]

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")

def corpus(rng):
    return [" ".join(rng.choice(strings.WORDS) for _ in range(20)) for _ in range(2000)]


class TokenizerTally(strings.Tally):
    def tokenizer(self, name, tokenizer, texts):
        with tempfile.TemporaryDirectory() as directory:
            tokenizer.save(os.path.join(directory, "tokenizer.json"))
            for flags, plain in (([], True), (["--special-tokens"], False)):
                tokenizer.encode_special_tokens = plain
                self.compare(name + ("" if plain else ", special tokens in text"), texts,
                             strings.ours(PROGRAM, directory, texts, *flags),
                             lambda text: tokenizer.encode(text, add_special_tokens=False).ids,
                             lambda ids: tokenizer.decode(ids, skip_special_tokens=False))


def add_tokens(tokenizer):
    tokenizer.add_special_tokens(["<|im_start|>", AddedToken("</s>", lstrip=True, rstrip=True, normalized=False)])
    tokenizer.add_tokens([AddedToken("<tool>", normalized=False), AddedToken("<|x|>", rstrip=True, normalized=False),
                          AddedToken("foo_bar", single_word=True, normalized=False), AddedToken("café", normalized=True),
                          AddedToken("wet river", lstrip=True, normalized=True)])
    return tokenizer


def byte_level(pattern, rng, normalizer=None, ignore_merges=False, prefix=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pattern is None:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(corpus(rng), trainers.BpeTrainer(
        vocab_size=900, special_tokens=["<s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    return add_tokens(tokenizer)


def character_bpe(rng, metaspace, byte_fallback=True, fuse_unk=True):
    tokens = ["<unk>", "<s>"] + ([f"<0x{b:02X}>" for b in range(256)] if byte_fallback else [])
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=fuse_unk, byte_fallback=byte_fallback))
    if metaspace is None:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                               decoders.Strip(" ", 1, 0)])
        tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")  # for the training alone
    else:
        scheme, split = metaspace
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme=scheme, split=split)
        tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace("▁", prepend_scheme=scheme)])
    tokenizer.train_from_iterator(corpus(rng), trainers.BpeTrainer(
        vocab_size=1000, special_tokens=tokens, limit_alphabet=60, show_progress=False))
    data = json.loads(tokenizer.to_str())
    if metaspace is None:
        data["pre_tokenizer"] = None
    # The trainer makes every byte token special; in downloaded files only the first ones are.
    data["added_tokens"] = [t for t in data["added_tokens"] if not t["content"].startswith("<0x")]
    return add_tokens(Tokenizer.from_str(json.dumps(data)))


def sentencepiece_model(tally, texts, rng):
    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, "text"), "w", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in corpus(rng))
        sentencepiece.SentencePieceTrainer.train(
            input=os.path.join(directory, "text"), model_prefix=os.path.join(directory, "tokenizer"), vocab_size=700,
            model_type="bpe", byte_fallback=True, character_coverage=0.98, normalization_rule_name="identity",
            remove_extra_whitespaces=False, minloglevel=2)
        library = sentencepiece.SentencePieceProcessor(model_file=os.path.join(directory, "tokenizer.model"))
        tally.compare("tokenizer.model, BPE", texts, strings.ours(PROGRAM, directory, texts), library.encode,
                      library.decode)


def main():
    rng = random.Random(1)
    tally = TokenizerTally()
    texts = strings.varied(rng)
    # The tokenizers library normalises with older Unicode tables: characters newer than those of the oldest table
    # that Python carries are left out there.
    old = unicodedata.ucd_3_2_0
    old_texts = strings.varied(rng, lambda c: old.category(c) != "Cn")
    tally.tokenizer("byte level, GPT-2", byte_level(None, rng), texts)
    tally.tokenizer("byte level, GPT-2 with prefix space", byte_level(None, rng, prefix=True), texts)
    tally.tokenizer("byte level, Llama 3, ignore_merges", byte_level(LLAMA3, rng, ignore_merges=True), texts)
    tally.tokenizer("byte level, Qwen2, NFC", byte_level(QWEN2, rng, normalizer=normalizers.NFC()), old_texts)
    tally.tokenizer("characters, Prepend and Replace", character_bpe(rng, None), texts)
    tally.tokenizer("characters, Metaspace always, split", character_bpe(rng, ("always", True)), texts)
    tally.tokenizer("characters, Metaspace first, whole", character_bpe(rng, ("first", False)), texts)
    tally.tokenizer("characters, no bytes, fused unknowns", character_bpe(rng, ("never", True), byte_fallback=False), texts)
    sentencepiece_model(tally, texts, rng)
    sys.exit(1 if tally.failed else 0)


main()
