"""tokenizer_ids.py TRIBUTARY_TRAINER: our ids and decoded texts against the tokenizers and sentencepiece libraries.

Each tokenizer is trained here, written as people download it, and read by `tributary-trainer tokenize`.
"""
import json
import os
import random
import subprocess
import sys
import tempfile
import unicodedata

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

PROGRAM = sys.argv[1]
COUNT = 10_000

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")

WORDS = ("the of and water is wet The river's edge WE'LL don't I'M you'Re naïve café Straße ЯБЛОКО яблоко 水は濡れている "
         "한국어 العربية हिन्दी ไทย עברית ελληνικά e\u0301 A\u030a \u1100\u1161\u11a8 \u017fs 'S 'll ﬁn ½ ² Ⅳ ١٢٣ 12345 3.1415 "
         "1,000,000 0x1F foo_bar __init__ camelCase x+=1; if(a&&b){return;} // -> => ::std #include <vector> \\n %d $x @y "
         "👍🏽 👨‍👩‍👧‍👦 🇩🇪 ❤️ … — “quoted” «x» \u200b \ufeff \u00ad \u180e \u0085 <s> </s> <unk> <|im_start|> <|x|> <tool> "
         "[INST] ▁ ▁▁a <0x41> http://a.b/c?d=e&f=g a@b.org").split(" ")
SPACES = [" ", " ", " ", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n ", "\u00a0", "\u2003", "\u3000", "\u2028", "\v", ""]


def varied(rng, assigned_by=None):
    """Strings of words, spaces, random characters of all planes, and repetitions."""
    def character():
        while True:  # ends: every plane named here has assigned characters
            plane = rng.choice([0, 0, 0, 1, 1, 2, 3, 14, 15, 16])
            code = (plane << 16) + rng.randrange(0x10000)
            if 0xD800 <= code < 0xE000:
                continue
            c = chr(code)
            if assigned_by is None or assigned_by(c):
                return c

    def near(start, size):
        c = chr(start + rng.randrange(size))
        return c if assigned_by is None or assigned_by(c) else "\u1e69"

    blocks = [(0x20, 0x60), (0xA0, 0x260), (0x300, 0x70), (0x370, 0x200), (0x590, 0x300), (0x900, 0x500), (0x1100, 0x100),
              (0x1E00, 0x200), (0x2000, 0x70), (0x3040, 0xC0), (0x4E00, 0x5000), (0xAC00, 0x2B00), (0xF900, 0x300),
              (0x1D100, 0x100), (0x1F300, 0x400), (0x2F800, 0x220)]
    texts = ["", " ", "  ", "\n", "a", " a", "a ", "</s>", "\u0301", "x" * 5000, " " * 3000, "ab" * 3000, "\0", "a\0b"]
    while len(texts) < COUNT:
        parts = []
        for _ in range(rng.randrange(1, 14)):
            kind = rng.randrange(10)
            if kind < 5:
                parts.append(rng.choice(WORDS))
            elif kind < 6:
                parts.append(character())
            elif kind < 8:
                block = rng.choice(blocks)
                parts.extend(near(*block) for _ in range(rng.randrange(1, 5)))
            elif kind < 9:
                parts.append(chr(rng.randrange(128)) * rng.randrange(1, 5))
            else:
                parts.append(str(rng.randrange(10 ** rng.randrange(1, 12))))
            parts.append(rng.choice(SPACES))
        texts.append("".join(parts))
    return texts


def corpus(rng):
    return [" ".join(rng.choice(WORDS) for _ in range(20)) for _ in range(2000)]


def ours(directory, texts, *flags):
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    run = subprocess.run([PROGRAM, "tokenize", "--model", directory, *flags], input=lines.encode(), capture_output=True)
    assert run.returncode == 0, (run.returncode, run.stderr.decode())
    answers = [json.loads(line) for line in run.stdout.decode().split("\n")[:-1]]
    assert len(answers) == len(texts), (len(answers), len(texts))
    return answers


class Tally:
    """Compares, prints one line for each tokenizer and the first differences."""

    def __init__(self):
        self.failed = False

    def compare(self, name, texts, answers, encode, decode):
        wrong_ids = wrong_texts = 0
        for text, answer in zip(texts, answers):
            ids = encode(text)
            if ids != answer["ids"]:
                wrong_ids += 1
                if wrong_ids <= 3:
                    print(f"  {name}: {text!r}\n    ours   {answer['ids']}\n    theirs {ids}")
            elif decode(ids) != answer["text"]:
                wrong_texts += 1
                if wrong_texts <= 3:
                    print(f"  {name}: {text!r}\n    ours   {answer['text']!r}\n    theirs {decode(ids)!r}")
        print(f"{name}: {len(texts)} strings, {wrong_ids} with other ids, {wrong_texts} decoded otherwise", flush=True)
        self.failed = self.failed or wrong_ids + wrong_texts > 0

    def tokenizer(self, name, tokenizer, texts):
        with tempfile.TemporaryDirectory() as directory:
            tokenizer.save(os.path.join(directory, "tokenizer.json"))
            for flags, plain in (([], True), (["--special-tokens"], False)):
                tokenizer.encode_special_tokens = plain
                self.compare(name + ("" if plain else ", special tokens in text"), texts, ours(directory, texts, *flags),
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
        tally.compare("tokenizer.model, BPE", texts, ours(directory, texts), library.encode, library.decode)


def main():
    rng = random.Random(1)
    tally = Tally()
    texts = varied(rng)
    # The tokenizers library normalises with older Unicode tables: characters newer than those of the oldest table
    # that Python carries are left out there.
    old = unicodedata.ucd_3_2_0
    old_texts = varied(rng, lambda c: old.category(c) != "Cn")
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
