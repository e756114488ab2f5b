"""The sequences of docs/data.md, made three times: sequences.py TRIBUTARY_TRAINER TRIBUTARY_PEFT.PY

`tributary-trainer data-check --sequences` against the Python trainer, for each template, each kind of line and
tokenizers of several makes; against transformers' apply_chat_template for the formats of chat_formats.py; and what both
call a bad line."""
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from types import SimpleNamespace

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

from chat_formats import FORMATS

PROGRAM = sys.argv[1]
spec = importlib.util.spec_from_file_location("tributary_peft", sys.argv[2])
peft = importlib.util.module_from_spec(spec)
spec.loader.exec_module(peft)

SPECIAL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<start_of_turn>", "<end_of_turn>", "<|start_header_id|>",
           "<|end_header_id|>", "<|eot_id|>", "<|user|>", "<|assistant|>", "<|end|>", "[INST]", "[/INST]"]
LETTERS = ["<0x%02X>" % byte for byte in range(256)]
TALK = [("user", "What is steam?"), ("assistant", "Water that is hot."), ("user", "And ice, naïve café?"),
        ("assistant", "Cold water 123.")]
WITH_SYSTEM = [("system", "Answer well: 水 is wet.")] + TALK
SPACED = [("system", "  Be\nkind. \n"), ("user", "\n Tell me  \n"), ("assistant", "Yes. ")]
TEXTS = ["steam is hot", " a", "", "</s> <|im_end|> x", "naïve café 水は濡れている 👍🏽", "tool foo  \n\n x"]
LINES = [{"text": text} for text in TEXTS] + [
    {"prompt": "What?", "completion": "That."}, {"prompt": "", "completion": " ice"}, {"prompt": "a ", "completion": " b"},
    {"prompt": "<s>[INST]", "completion": "foo tool"}, {"prompt": "x", "completion": ""},
    {"instruction": "Add.", "output": "3"}, {"instruction": "Add.", "input": "1 2", "output": "3"}]
TALKS = [{"messages": [{"role": role, "content": content} for role, content in talk]}
         for talk in (TALK, WITH_SYSTEM, SPACED)]
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
BAD = ['{"text": 3}', "[]", '{"prompt": "a"}', "{", '{"text": "a", "text": "b"}', '{"messages": []}', '{"text": "\\ud800"}',
       '{"messages": [{"role": "user", "content": "u"}]}',
       '{"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a", "weight": 0}]}']
FINE = ['{"text": "a", "n": NaN, "m": 1, "m": 2}', " \t", "\ufeff" + '{"text": "b"}', '{"text": "c\\u2028d", "messages": null}\r', '{"text": "e\u2028f"}']


def byte_level(add_prefix_space=False):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer, dict(initial_alphabet=pre_tokenizers.ByteLevel.alphabet())


def llama3():  # line ends are a piece of their own, so that pieces end where an answer begins
    tokenizer, options = byte_level()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    return tokenizer, options


def over_characters():
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    return tokenizer


def prepending():  # Llama 2, Mistral 0.1
    tokenizer = over_characters()
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return tokenizer, {}


def metaspace(scheme):
    tokenizer = over_characters()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    return tokenizer, {}


MAKES = {"byte-level": byte_level, "as Llama 3": llama3, "byte-level with a space in front": lambda: byte_level(True), "prepending": prepending,
         "metaspace first": lambda: metaspace("first"), "metaspace always": lambda: metaspace("always")}


def write_model(directory, make, puts_bos, special=SPECIAL):
    tokenizer, options = MAKES[make]()
    tokens = special + ([] if options else ["<unk>"] + LETTERS)
    words = TEXTS + [content for _, content in WITH_SYSTEM] * 4
    tokenizer.train_from_iterator(words, trainers.BpeTrainer(vocab_size=700, special_tokens=tokens, show_progress=False,
                                                             **options))
    parts = json.loads(tokenizer.to_str())
    parts["added_tokens"] = [token for token in parts["added_tokens"] if token["content"] not in LETTERS]
    tokenizer = Tokenizer.from_str(json.dumps(parts))
    tokenizer.add_tokens([AddedToken("tool", normalized=False)])
    if puts_bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))])
    tokenizer.save(os.path.join(directory, "tokenizer.json"))
    with open(os.path.join(directory, "tokenizer_config.json"), "w") as file:
        json.dump({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>",
                   "clean_up_tokenization_spaces": False}, file)
    with open(os.path.join(directory, "config.json"), "w") as file:
        json.dump({"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 8, "intermediate_size": 8,
                   "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": tokenizer.get_vocab_size(),
                   "max_position_embeddings": 4096, "eos_token_id": 1, "bos_token_id": 0, "rms_norm_eps": 1e-5}, file)


def native(directory, lines, name):
    """[(ids, loss as a list of 0 and 1)]."""
    path = os.path.join(directory, "data.jsonl")
    with open(path, "w") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    command = [PROGRAM, "data-check", "--model", directory, "--data", path, "--sequences", "--sequence-length", "4096"]
    done = subprocess.run(command + (["--template", name] if name else []), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    sequences = []
    for row in map(json.loads, done.stdout.splitlines()):
        loss = [0] * len(row["ids"])
        for begin, end in row["loss"]:
            loss[begin:end] = [1] * (end - begin)
        sequences.append((row["ids"], loss))
    return sequences


def compare(what, rows, ours, theirs, tokenizer):
    """`theirs` has all rows; the native program leaves out those without loss."""
    rows, theirs = zip(*[(row, sequence) for row, sequence in zip(rows, theirs) if any(sequence[1])])
    assert len(ours) == len(rows), what
    for row, one, other in zip(rows, ours, theirs):
        if one != other:
            show = lambda s: [(token, carries) for token, carries in zip(tokenizer.convert_ids_to_tokens(s[0]), s[1])]
            sys.exit(f"{what}: {row}\n  native {show(one)}\n  other  {show(other)}")


def the_python_trainer_makes_the_same(directory, make, tokenizer):
    tokens = peft.TextToTokens(tokenizer, SimpleNamespace(eos_token_id=1))
    count = 0
    for name in ["", *peft.TEMPLATES]:
        rows = LINES + (TALKS if name else [])
        examples = [peft.parse_line(json.dumps(row).encode()) for row in rows]
        theirs = [(ids, list(loss)) for ids, loss in (tokens.sequence(example, name) for example in examples)]
        compare(f"{make}, template {name!r}", rows, native(directory, rows, name), theirs, tokenizer)
        count += len(rows)
    print(f"{make}: {count} sequences equal the Python trainer's", flush=True)


def apply_chat_template_makes_the_same():
    for name, jinja in FORMATS.items():
        with tempfile.TemporaryDirectory() as directory:
            # What the format spells as text is no token of such a model.
            spelled = SPECIAL[:2] + [token for token in SPECIAL[2:] if token in peft.TEMPLATES[name].tokens]
            write_model(directory, "as Llama 3", True, spelled)
            tokenizer = AutoTokenizer.from_pretrained(directory)
            theirs = []
            for talk in TALKS:
                made = tokenizer.apply_chat_template(talk["messages"], chat_template=jinja, tokenize=True,
                                                     return_dict=True, return_assistant_tokens_mask=True)
                theirs.append((made["input_ids"], made["assistant_masks"]))
            compare(f"apply_chat_template of {name}", TALKS, native(directory, TALKS, name), theirs, tokenizer)
    print(f"{len(FORMATS)} formats, {len(TALKS)} conversations each: equal to apply_chat_template's", flush=True)


def both_call_the_same_lines_bad(directory):
    path = os.path.join(directory, "bad.jsonl")
    with open(path, "wb") as file:
        file.write("\n".join(line for pair in zip(FINE + FINE[:1] * 9, BAD) for line in pair).encode() + b"\n\"\xff\"\n")
    done = subprocess.run([PROGRAM, "data-check", "--model", directory, "--data", path], capture_output=True)
    ours = [int(number) for number in re.findall(rb"bad\.jsonl:(\d+): ", done.stdout)]
    try:
        peft.read_examples(path, 0)
        sys.exit("bad lines were read")
    except peft.TaskError as error:
        theirs = [int(number) for number in re.findall(r"bad\.jsonl:(\d+): ", str(error))]
    assert ours == theirs == [2 * i for i in range(1, 10)] + [19], (ours, theirs)
    assert peft.read_examples(path, 10)[1] == 10
    print(f"both call the same {len(ours)} lines bad")


def main():
    for make in MAKES:
        for puts_bos in (True, False):
            with tempfile.TemporaryDirectory() as directory:
                write_model(directory, make, puts_bos)
                tokenizer = AutoTokenizer.from_pretrained(directory)
                the_python_trainer_makes_the_same(directory, make + (", BOS" if puts_bos else ""), tokenizer)
                if make == "byte-level":
                    both_call_the_same_lines_bad(directory)
    apply_chat_template_makes_the_same()


main()
