"""Strings of many kinds, and how tokens of them are compared."""
import json
import subprocess
import unicodedata

COUNT = 10_000

WORDS = ("the of and water is wet The river's edge WE'LL don't I'M you'Re naïve café Straße ЯБЛОКО яблоко 水は濡れている "
         "한국어 العربية हिन्दी ไทย עברית ελληνικά e\u0301 A\u030a \u1100\u1161\u11a8 \u017fs 'S 'll ﬁn ½ ² Ⅳ ١٢٣ 12345 3.1415 "
         "1,000,000 0x1F foo_bar __init__ camelCase x+=1; if(a&&b){return;} // -> => ::std #include <vector> \\n %d $x @y "
         "👍🏽 👨‍👩‍👧‍👦 🇩🇪 ❤️ … — “quoted” «x» \u200b \ufeff \u00ad \u180e \u0085 <s> </s> <unk> <|im_start|> <|x|> <tool> "
         "[INST] ▁ ▁▁a <0x41> http://a.b/c?d=e&f=g a@b.org").split(" ")
SPACES = [" ", " ", " ", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n ", "\u00a0", "\u2003", "\u3000", "\u2028", "\v", ""]


def is_settled(c):
    """Whether the Unicode tables of all who are compared agree about the character: those that were assigned lately are letters
    for one library and nothing yet for another."""
    return unicodedata.category(c) != "Cn" and not 0x2EBF0 <= ord(c) <= 0x2EE5F  # of 15.1


def varied(rng, assigned_by=is_settled, count=COUNT):
    """Strings of words, spaces, random characters of all planes, and repetitions."""
    def character():
        while True:  # ends: every plane named here has assigned characters
            plane = rng.choice([0, 0, 0, 1, 1, 2, 3, 14, 15, 16])
            code = (plane << 16) + rng.randrange(0x10000)
            if 0xD800 <= code < 0xE000:
                continue
            c = chr(code)
            if assigned_by(c):
                return c

    def near(start, size):
        c = chr(start + rng.randrange(size))
        return c if assigned_by(c) else "\u1e69"

    blocks = [(0x20, 0x60), (0xA0, 0x260), (0x300, 0x70), (0x370, 0x200), (0x590, 0x300), (0x900, 0x500), (0x1100, 0x100),
              (0x1E00, 0x200), (0x2000, 0x70), (0x3040, 0xC0), (0x4E00, 0x5000), (0xAC00, 0x2B00), (0xF900, 0x300),
              (0x1D100, 0x100), (0x1F300, 0x400), (0x2F800, 0x220)]
    texts = ["", " ", "  ", "\n", "a", " a", "a ", "</s>", "\u0301", "x" * 5000, " " * 3000, "ab" * 3000, "\0", "a\0b"]
    while len(texts) < count:
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


def ours(program, directory, texts, *flags):
    """What `tributary-trainer tokenize` answers."""
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    run = subprocess.run([program, "tokenize", "--model", directory, *flags], input=lines.encode(), capture_output=True)
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
