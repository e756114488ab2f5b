#!/usr/bin/env python3
"""Trains and evaluates tasks of a Tributary campaign with transformers and PEFT.

    tributary_peft.py train --task DIR
    tributary_peft.py evaluate --task DIR
    tributary_peft.py version
    tributary_peft.py inspect --json --model DIR --data FILE
    torchrun --standalone --nproc_per_node 4 tributary_peft.py train --task DIR
    srun tributary_peft.py train --task DIR          (or mpiexec: one process per GPU, any number of nodes)

DIR is the task directory of docs/task_directory.md. With several processes every micro-batch is shared out among them
and gradients are summed, so that the result is that of one process up to rounding.

Environment: TRIBUTARY_DTYPE=float32|bfloat16 (of the frozen base weights; default float32 on a CPU, bfloat16 on a GPU);
TRIBUTARY_DEVICE=auto|cpu|cuda|xpu|mps (default auto: the first there is of cuda, which is ROCm too, xpu, mps; in a job that
was given GPUs, as the daemon says in TRIBUTARY_GPUS, it is an error that there is none).
"""
import argparse
import importlib
import itertools
import json
import math
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time

MINIMUM = {"torch": (1, 13), "transformers": (4, 36), "peft": (0, 7), "safetensors": (0, 4)}
VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")  # they hide devices
TASK_SCHEMA = 1
CHECKPOINT_SECONDS = 60
PROGRESS_SECONDS = 0.5
TRAINING_KEYS = {
    "steps", "batch_size", "gradient_accumulation", "sequence_length", "learning_rate", "learning_rate_scale",
    "schedule", "warmup_steps", "weight_decay", "beta1", "beta2", "epsilon", "max_grad_norm", "optimizer", "momentum",
    "gradient_checkpointing", "base_precision"}
DEFAULTS = {
    "batch_size": 8, "gradient_accumulation": 1, "sequence_length": 256, "learning_rate": 1e-3,
    "learning_rate_scale": 1.0, "schedule": "constant", "warmup_steps": 0, "weight_decay": 0.0, "beta1": 0.9,
    "beta2": 0.999, "epsilon": 1e-8, "max_grad_norm": 1.0, "optimizer": "adamw", "momentum": 0.0,
    "gradient_checkpointing": False, "base_precision": "fp32"}
INSPECTED_LINES = 100000
ABILITIES = ["evaluate", "answers", "frozen", "middle", "pruning", "proximal", "gradient_offset", "keep_optimizer",
             "merged", "base_precision.stored", "gradient_checkpointing"]
STRATEGY_KEYS = {"frozen", "proximal", "gradient_offset", "keep_optimizer", "pruning"}
TASK_KEYS = {
    "schema", "kind", "task", "campaign", "site", "round", "global_version", "seed", "model_path", "data", "threads",
    "walltime_seconds", "training", "evaluation", "merged", "strategy"}


class TaskError(Exception):
    """What goes into result.json as the reason of a failure."""


def check_packages(names=tuple(MINIMUM)):
    """Fails with every package of these that is missing or too old, before anything is loaded."""
    problems = []
    for name in names:
        minimum = MINIMUM[name]
        wanted = ".".join(map(str, minimum))
        try:
            version = importlib.import_module(name).__version__
        except ImportError as error:
            problems.append(f"{name} is missing ({error}); needed: {wanted} or newer")
            continue
        parts = tuple(int("".join(c for c in part if c.isdigit()) or 0) for part in version.split(".")[:2])
        if parts < minimum:
            problems.append(f"{name} {version} is too old; needed: {wanted} or newer")
    if problems:
        raise TaskError("; ".join(problems) + " (configs/trainers/peft/requirements.txt has versions that fit)")


def say(text):
    print(f"tributary_peft: {text}", file=sys.stderr, flush=True)


# --- the task directory -----------------------------------------------------------------------------------------------

def unknown(found, known, where):
    extra = sorted(set(found) - known)
    if extra:
        raise TaskError(f"{where}: {', '.join(extra)}: not known to this trainer")


def read_task(directory, kind):
    with open(os.path.join(directory, "task.json"), encoding="utf-8") as file:
        task = json.load(file)
    if task.get("schema") != TASK_SCHEMA:
        raise TaskError(f"task.json: schema is {task.get('schema')}; this trainer knows {TASK_SCHEMA}")
    unknown(task, TASK_KEYS, "task.json")
    if task["kind"] != kind:
        raise TaskError(f"task.json: kind is {task['kind']}; this was started as {kind}")
    for source in task["data"]:
        unknown(source, {"name", "path", "template", "max_bad_lines"}, "task.json: data")
    if kind == "train":
        unknown(task["training"], TRAINING_KEYS, "task.json: training")
        unknown(task.get("strategy", {}), STRATEGY_KEYS, "task.json: strategy")
        task["training"] = {**DEFAULTS, **task["training"]}
    else:
        unknown(task.get("evaluation", {}), {"batch_size", "max_examples", "answer_tokens", "base_precision"},
                "task.json: evaluation")
    return task


def has_update(directory, first):
    """A failure is of an earlier run of a job that its scheduler starts again: the first process removes it."""
    update = os.path.join(directory, "update")
    try:
        with open(os.path.join(update, "result.json"), encoding="utf-8") as file:
            failed = json.load(file)["completion"] == "failed"
    except (OSError, ValueError, KeyError, TypeError):
        failed = False
    if failed and first:
        shutil.rmtree(update)
    return os.path.exists(update) and not failed


def write_update(directory, result, write_adapter=None):
    """Writes update/ whole: under another name, then renamed."""
    temporary = tempfile.mkdtemp(prefix="update.tmp-", dir=directory)
    if write_adapter:
        write_adapter(temporary)
    with open(os.path.join(temporary, "result.json"), "w", encoding="utf-8") as file:
        json.dump(result, file)
    for name in os.listdir(temporary):
        with open(os.path.join(temporary, name), "rb") as file:
            os.fsync(file.fileno())
    os.rename(temporary, os.path.join(directory, "update"))


class Progress:
    """Appends to progress.jsonl: the first steps, the last, about two lines a second between."""

    def __init__(self, directory, steps):
        self.file = os.open(os.path.join(directory, "progress.jsonl"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.steps = steps
        self.start = time.monotonic()
        self.last = -math.inf

    def seconds(self):
        return time.monotonic() - self.start

    def report(self, step, loss, tokens):
        if step > 3 and step < self.steps and self.seconds() - self.last < PROGRESS_SECONDS:
            return
        self.last = self.seconds()
        line = {"step": step, "steps": self.steps, "loss": loss, "tokens": tokens, "seconds": round(self.seconds(), 3)}
        os.write(self.file, (json.dumps(line) + "\n").encode())


# --- data -------------------------------------------------------------------------------------------------------------

ROLES = ("user", "assistant")
ALPACA = ("Below is an instruction that describes a task{}. Write a response that appropriately completes the request."
          "\n\n")
ALPACA_INPUT = ", paired with an input that provides further context"


class Template:
    """How conversations are written. Wordings spell tokens that are placed by id; {bos} and {eos} are the model's."""

    def __init__(self, user, answer, end, tail="", tokens=(), optional=(), bos=False, opening="", system=None,
                 folded=("", "\n\n"), lead="", trim=False, trim_folded=False):
        self.user, self.answer, self.end, self.tail = user, answer, end, tail  # after `answer` and up to `end`: loss
        self.tokens, self.optional = tokens, optional  # that a tokenizer must have; that else are text
        self.bos = bos  # in front: True, False, or "text" where texts have one
        self.opening, self.system, self.folded = opening, system, folded  # folded: into the user's first text
        self.lead, self.trim = lead, trim  # in front of an answer's text; no white space around contents
        self.trim_folded = trim_folded  # none around a folded message and the user's together


TEMPLATES = {
    "alpaca": Template(("### Instruction:\n", "\n\n"), "### Response:\n", "{eos}", bos="text",
                       opening=ALPACA.format(""), system=("", "\n\n")),
    "chatml": Template(("<|im_start|>user\n", "<|im_end|>\n"), "<|im_start|>assistant\n", "<|im_end|>", "\n",
                       tokens=("<|im_start|>", "<|im_end|>"), system=("<|im_start|>system\n", "<|im_end|>\n")),
    "gemma": Template(("<start_of_turn>user\n", "<end_of_turn>\n"), "<start_of_turn>model\n", "<end_of_turn>", "\n",
                      tokens=("<start_of_turn>", "<end_of_turn>"), bos=True, trim=True),
    "llama2": Template(("{bos}[INST] ", " [/INST]"), "", " {eos}", folded=("<<SYS>>\n", "\n<</SYS>>\n\n"), lead=" ",
                       trim=True, trim_folded=True),
    "llama3": Template(("<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"),
                       "<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>", bos=True, trim=True,
                       tokens=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
                       system=("<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>")),
    "mistral": Template(("[INST] ", " [/INST]"), "", "{eos}", bos=True, lead=" "),
    "mistral-v3": Template(("[INST] ", "[/INST]"), "", "{eos}", tokens=("[INST]", "[/INST]"), bos=True, lead=" "),
    "phi3": Template(("<|user|>\n", "<|end|>\n"), "<|assistant|>\n", "<|end|>", "\n",
                     tokens=("<|user|>", "<|assistant|>", "<|end|>"), optional=("<|system|>",),
                     system=("<|system|>\n", "<|end|>\n")),
    "zephyr": Template(("<|user|>\n", "{eos}\n"), "<|assistant|>\n", "{eos}", "\n", system=("<|system|>\n", "{eos}\n")),
}


class Row(dict):
    """An object of a line, which remembers the keys that it has twice: wrong only where somebody reads them."""

    def __init__(self, pairs):
        super().__init__(pairs)
        keys = [key for key, _ in pairs]
        self.repeated = {key for key in keys if keys.count(key) > 1} if len(self) < len(keys) else set()

    def check(self, *read):
        for key in read:
            if key in self.repeated:
                raise ValueError(f"{key}: appears twice")


def parse_line(line):
    """("text", text), ("pair", prompt, completion), ("instruction", instruction, input, output) or ("messages", list)."""
    def text(row, key):
        if key not in row:
            raise ValueError(f"{key}: is missing")
        if not isinstance(row[key], str):
            raise ValueError(f"{key}: must be a string")
        row[key].encode()  # half a surrogate pair is no text
        return row[key]

    row = json.loads(line.decode("utf-8-sig"), object_pairs_hook=Row)
    if isinstance(row, Row):
        row.check("messages", "instruction", "input", "output", "prompt", "completion", "text")
    has = lambda key: isinstance(row, dict) and row.get(key) is not None
    if has("messages"):
        if not isinstance(row["messages"], list):
            raise ValueError("messages: must be a list")
        if not all(isinstance(message, dict) for message in row["messages"]):
            raise ValueError("messages: must be {role, content}")
        for message in row["messages"]:
            message.check("role", "content", "weight")
            if message.get("weight") not in (None, 1) or isinstance(message.get("weight"), bool):
                raise ValueError(f"weight: {message['weight']} is not supported; supported: 1")
        messages = [(text(message, "role"), text(message, "content")) for message in row["messages"]]
        turns = [role for role, _ in messages[1 if messages and messages[0][0] == "system" else 0:]]
        if not turns or len(turns) % 2 or any(role != ROLES[i % 2] for i, role in enumerate(turns)):
            raise ValueError("messages: system may stand first, then user and assistant take turns; an answer is last")
        return "messages", messages
    if has("instruction"):
        given = text(row, "input") if has("input") else ""
        return "instruction", text(row, "instruction"), given, text(row, "output")
    if has("prompt"):
        return "pair", text(row, "prompt"), text(row, "completion")
    if has("text"):
        return "text", text(row, "text")
    raise ValueError("must be an object with messages, or instruction and output, or prompt and completion, or text")


def read_examples(path, max_bad_lines):
    """(examples, bad lines); the error names file and lines."""
    examples, bad = [], []
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip(b" \t\r\n"):
                continue
            try:
                examples.append(parse_line(line))
            except (ValueError, RecursionError) as error:
                bad.append(f"{path}:{number}: {error}")
    if len(bad) > max_bad_lines:
        raise TaskError(f"{path}: {len(bad)} bad line{'s' * (len(bad) > 1)}; {max_bad_lines} allowed by max_bad_lines: "
                        + "; ".join(bad[:10] + ["..."] * (len(bad) > 10)))
    return examples, len(bad)


class TextToTokens:
    """A model's tokenizer: ids of text by where it stands, and the tokens that are placed around it."""

    def __init__(self, tokenizer, config):
        if not tokenizer.is_fast:
            raise TaskError("the tokenizer is none of the tokenizers library (there is no tokenizer.json)")
        self.backend = tokenizer.backend_tokenizer
        self.encoders = {place: self.encoder(place) for place in ("start", "after token", "inside")}
        added = self.backend.get_added_tokens_decoder()
        self.made_from_text = {id for id, token in added.items() if not token.special}
        marked = tokenizer("x")["input_ids"]
        self.bos, self.eos = tokenizer.bos_token_id, tokenizer.eos_token_id
        self.add_bos = self.bos is not None and marked[:1] == [self.bos]
        if self.eos is None:
            self.eos = config.eos_token_id[0] if isinstance(config.eos_token_id, list) else config.eos_token_id

    def encoder(self, place):
        """The tokenizer for a text at this place: only where one begins, a space may be put in front of it."""
        def change(step):
            if isinstance(step, list):
                return [change(part) for part in step]
            if not isinstance(step, dict):
                return step
            if place == "inside" and step.get("type") == "Prepend":
                return {"type": "Sequence", "normalizers": []}
            step = {key: change(part) for key, part in step.items()}
            if step.get("type") == "Metaspace":
                scheme = step.get("prepend_scheme", "always" if step.get("add_prefix_space", True) else "never")
                if place == "inside" or (place == "after token" and scheme == "first"):
                    step.update({key: "never" if key == "prepend_scheme" else False
                                 for key in ("prepend_scheme", "add_prefix_space") if key in step})
            if place == "inside" and step.get("type") == "ByteLevel":
                step["add_prefix_space"] = False
            return step

        parts = json.loads(self.backend.to_str())
        for name in ("normalizer", "pre_tokenizer"):
            parts[name] = change(parts[name])
        encoder = type(self.backend).from_str(json.dumps(parts))
        encoder.encode_special_tokens = True  # text never makes special tokens, whatever it spells
        encoder.no_truncation()
        encoder.no_padding()
        return encoder

    def template(self, name):
        """The one named; without a name the one whose tokens the tokenizer has; None when there is not exactly one."""
        if name and name not in TEMPLATES:
            raise TaskError(f'template: "{name}" is unknown; known: {", ".join(TEMPLATES)}')
        if name:
            return TEMPLATES[name]
        fits = [t for t in TEMPLATES.values()
                if t.tokens and all(self.backend.token_to_id(token) is not None for token in t.tokens)]
        return fits[0] if len(fits) == 1 else None

    def text(self, text, place):
        encoding = self.encoders[place].encode(text, add_special_tokens=False)
        if place == "inside":  # up to the first token that text makes: what follows that begins anew
            for i, token in enumerate(encoding.ids):
                if token in self.made_from_text:
                    return encoding.ids[:i + 1] + self.text(text[encoding.offsets[i][1]:], "after token")
        return encoding.ids

    def encode(self, segments, own_bos):
        """(ids, loss), a 1 in `loss` for each token that carries loss; of [(token or text, carries loss)]."""
        ids, loss = [], bytearray()
        for i, (part, carries) in enumerate(segments):
            if isinstance(part, int):
                new = [part]
            else:
                first = i == 0 or (i == 1 and own_bos and isinstance(segments[0][0], int))
                place = "start" if first else "after token" if isinstance(segments[i - 1][0], int) else "inside"
                new = self.text(part, place)
            ids += new
            loss += bytes([carries]) * len(new)
        loss[:1] = b"\0"  # nothing predicts the first
        return ids, loss

    def plain(self, prompt, completion):
        texts = [(self.bos, False)] * self.add_bos + [(prompt, False)] * bool(prompt)
        return self.encode(texts + [(completion, True)] * bool(completion) + [(self.eos, True)], True)

    def conversation(self, chat, messages, own_bos=False):
        placed = {"{bos}": self.bos, "{eos}": self.eos}
        placed.update({token: self.backend.token_to_id(token) for token in chat.tokens + chat.optional})
        missing = [token for token in chat.tokens if placed[token] is None]
        if missing:
            raise TaskError(f"template: the tokenizer has no {missing[0]}")
        spelled = re.compile("(" + "|".join(map(re.escape, placed)) + ")")
        segments = []

        def add(part, carries):
            if isinstance(part, str) and segments and isinstance(segments[-1][0], str) and segments[-1][1] == carries:
                part = segments.pop()[0] + part
            if part != "":
                segments.append((part, carries))

        def wording(text, carries=False):
            for part in spelled.split(text):
                if part in placed and placed[part] is not None:
                    add(placed[part], carries)
                elif part != "{bos}":
                    add(part, carries)

        if self.bos is not None and (chat.bos is True or (chat.bos == "text" and self.add_bos)):
            segments.append((self.bos, False))
        strip = lambda text: text.strip(" \t\n\v\f\r") if chat.trim else text
        folded = ""
        if messages[0][0] != "system":
            wording(chat.opening)
        for role, text in messages:
            content = strip(text)
            if role == "system" and chat.system:
                wording(chat.system[0])
                add(content, False)
                wording(chat.system[1])
            elif role == "system":
                folded = chat.folded[0] + text + chat.folded[1]
            elif role == "user":
                wording(chat.user[0])
                add(strip(folded + text) if folded and chat.trim_folded else folded + content, False)
                folded = ""
                wording(chat.user[1])
                wording(chat.answer)
            else:
                add(chat.lead + content, True)
                wording(chat.end, True)
                wording(chat.tail)
        return self.encode(segments, own_bos)

    def sequence(self, example, name):
        """An example of parse_line as (ids, loss), written as the template of that name says."""
        kind, *parts = example
        if kind == "messages":
            chat = self.template(name)
            if chat is None:
                raise TaskError("the tokenizer does not tell which template messages are written in; name one: "
                                + ", ".join(TEMPLATES))
            return self.conversation(chat, parts[0])
        chat = self.template(name) if name else None
        if kind == "text":
            return self.plain("", parts[0])
        if kind == "instruction" and name in ("", "alpaca"):
            prompt = ALPACA.format(ALPACA_INPUT if parts[1] else "") + f"### Instruction:\n{parts[0]}\n\n"
            return self.plain(prompt + (f"### Input:\n{parts[1]}\n\n" if parts[1] else "") + "### Response:\n", parts[2])
        if chat is None:
            return self.plain(*parts)
        given = f"\n\n{parts[1]}" if kind == "instruction" and parts[1] else ""
        return self.conversation(chat, [("user", parts[0] + given), ("assistant", parts[-1])], name == "alpaca")


def load_data(task, directory, tokens, length):
    """Sequences by data name, and how many bad lines each had; {metric: count} of what was cut and left out."""
    sources, bad_lines, cut = {}, {}, {"examples_cut_off": 0, "examples_truncated": 0}
    for source in task["data"]:
        path = os.path.join(directory, source["path"])
        examples, bad_lines[source["name"]] = read_examples(path, source.get("max_bad_lines", 0))
        sequences, cut_off = [], 0
        for example in examples:
            ids, loss = tokens.sequence(example, source.get("template", ""))
            if any(loss[:length]):
                cut["examples_truncated"] += len(ids) > length
                sequences.append((ids[:length], loss[:length]))
            else:
                cut_off += 1
        if not sequences:
            raise TaskError(f"{path}: no example carries loss ({cut_off} have prompts longer than {length} tokens)")
        sources[source["name"]] = sequences
        cut["examples_cut_off"] += cut_off
    return sources, bad_lines, cut


def loss_tokens(sequences):
    return sum(sum(loss) for _, loss in sequences)


def collate(sequences, device):
    import torch
    width = max(len(ids) for ids, _ in sequences)
    ids = torch.zeros(len(sequences), width, dtype=torch.long)
    mask = torch.zeros(len(sequences), width, dtype=torch.long)
    labels = torch.full((len(sequences), width), -100, dtype=torch.long)
    for row, (sequence, loss) in enumerate(sequences):
        end = len(sequence)
        ids[row, :end] = torch.tensor(sequence)
        mask[row, :end] = 1
        labels[row, :end] = torch.tensor([token if carries else -100 for token, carries in zip(sequence, loss)])
    return {"input_ids": ids.to(device), "attention_mask": mask.to(device)}, labels.to(device)


def loss_sum(model, sequences, device):
    """Sum of -log p over the tokens that carry loss."""
    import torch
    inputs, labels = collate(sequences, device)
    logits = model(**inputs).logits[:, :-1].float()
    return torch.nn.functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1), ignore_index=-100, reduction="sum")


def shuffled(count, seed):
    """Indices 0..count-1 in a fresh order for each epoch, for ever."""
    epoch = 0
    while True:
        order = list(range(count))
        random.Random(f"{seed}/{epoch}").shuffle(order)
        yield from order
        epoch += 1


# --- the model --------------------------------------------------------------------------------------------------------

def launcher_ranks():
    """(rank, processes, rank on this node), as torchrun, srun, Open MPI's or another mpiexec says; else (0, 1, 0)."""
    for rank, size, local in (("RANK", "WORLD_SIZE", "LOCAL_RANK"),
                              ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
                              ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"),
                              ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")):
        if rank in os.environ and size in os.environ:
            return int(os.environ[rank]), int(os.environ[size]), int(os.environ.get(local, os.environ[rank]))
    return 0, 1, 0


def find_master():
    """Where the processes meet, unless MASTER_ADDR and MASTER_PORT say it: the first node of the job."""
    if "PBS_NODEFILE" in os.environ:
        with open(os.environ["PBS_NODEFILE"], encoding="utf-8") as file:
            node = file.readline().strip()
    else:
        node = os.environ.get("SLURM_LAUNCH_NODE_IPADDR", "127.0.0.1")
    job = os.environ.get("SLURM_JOB_ID") or os.environ.get("PBS_JOBID", "0").split(".")[0]
    os.environ.setdefault("MASTER_ADDR", node)
    os.environ.setdefault("MASTER_PORT", str(20000 + int("".join(c for c in job if c.isdigit()) or 0) % 12000))


def is_there(torch, kind):
    backend = getattr(torch.backends, "mps", None) if kind == "mps" else getattr(torch, kind, None)
    return backend is not None and backend.is_available()


def device_kind(torch, kind):
    """As people call it: PyTorch built for ROCm calls AMD's devices cuda."""
    return "rocm" if kind == "cuda" and getattr(torch.version, "hip", None) else kind


def choose_device(torch, local):
    """The accelerator of process `local` of this node; the CPU where the job has none, or TRIBUTARY_DEVICE says so."""
    asked = os.environ.get("TRIBUTARY_DEVICE", "auto")
    if asked not in ("auto", "cpu", "cuda", "xpu", "mps"):
        raise TaskError(f"TRIBUTARY_DEVICE={asked}: must be auto, cpu, cuda (also for ROCm), xpu or mps")
    for kind in ("cuda", "xpu", "mps") if asked == "auto" else (asked,):
        if kind == "mps" and is_there(torch, kind):
            return torch.device("mps")
        if kind != "cpu" and is_there(torch, kind):
            return torch.device(kind, local % getattr(torch, kind).device_count())
    given = os.environ.get("TRIBUTARY_GPUS", "0")
    if asked == "cpu" or (asked == "auto" and given in ("", "0")):
        return torch.device("cpu")
    seen = [f"{name}={os.environ[name]}" for name in VISIBLE if name in os.environ]
    built = " ".join(f"{name} {getattr(torch.version, name)}" for name in ("cuda", "hip", "xpu")
                     if getattr(torch.version, name, None)) or "CPUs alone"
    wanted = f"the job was given {given} GPUs on each node" if asked == "auto" else f"TRIBUTARY_DEVICE={asked}"
    raise TaskError(f"{wanted} and PyTorch {torch.__version__}, built for {built}, sees none "
                    f"({', '.join(seen) or 'no variable hides any'}); install a PyTorch for them, set job.gpus to 0, or name "
                    "the CPU with TRIBUTARY_DEVICE: cpu in job.environment")


def group_backend(torch, kind):
    """How processes exchange gradients."""
    if kind == "cuda":
        return "nccl"
    if kind == "xpu":
        return "xccl" if getattr(torch.distributed, "is_xccl_available", lambda: False)() else "ccl"
    return "gloo"


def cpu_name():
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            return next(f"cpu, {line.split(':', 1)[1].strip()}"[:128] for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return "cpu"


class Workers:
    """The processes that train together; one when there is no launcher."""

    def __init__(self):
        import torch
        self.rank, self.size, local = launcher_ranks()
        self.device = choose_device(torch, local)
        self.exact = torch.float if self.device.type == "mps" else torch.double  # of sums; MPS has no double
        if self.size > 1:
            find_master()
            os.environ.setdefault("USE_LIBUV", "0")  # some builds of PyTorch have it not, and so few processes need it not
            if self.device.type in ("cuda", "xpu"):
                getattr(torch, self.device.type).set_device(self.device)
            torch.distributed.init_process_group(group_backend(torch, self.device.type), rank=self.rank,
                                                 world_size=self.size)

    def facts(self):
        """What computed, and the most of its memory that was in use by this process; for a daemon that knows these keys."""
        import torch
        if "TRIBUTARY_GPUS" not in os.environ:
            return {}
        kind = getattr(torch, self.device.type, None)
        if self.device.type in ("cuda", "xpu"):
            peak = getattr(kind, "max_memory_allocated", lambda _: 0)(self.device)
            return {"device": f"{device_kind(torch, self.device.type)}, {kind.get_device_name(self.device)}"[:128],
                    "peak_memory_bytes": int(peak)}
        if self.device.type == "mps":
            return {"device": "mps", "peak_memory_bytes": int(torch.mps.driver_allocated_memory())}
        unit = 1 if sys.platform == "darwin" else 1024
        return {"device": cpu_name(), "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}

    def sum(self, tensor):
        import torch
        if self.size > 1:
            torch.distributed.all_reduce(tensor)
        return tensor

    def any(self, flag):
        import torch
        return bool(self.sum(torch.tensor([float(flag)], device=self.device)).item())


def add_products(model, directory, files):
    """What the campaign merged into the base weights: merged_B [out, q] times merged_A [q, in]."""
    import torch
    from safetensors.torch import load_file
    weights = dict(model.named_parameters())
    for file in files:
        factors = load_file(os.path.join(directory, file))
        for name, a in factors.items():
            if not name.endswith(".merged_A.weight"):
                continue
            module = name[:-len(".merged_A.weight")]
            target = weights.get(module.removeprefix("base_model.model.") + ".weight")
            if target is None:
                raise TaskError(f"{file}: {module} is no module of the model")
            product = factors[module + ".merged_B.weight"] @ a
            with torch.no_grad():
                target += (product if product.shape == target.shape else product.T).to(target.dtype)


def add_middle(model):
    """Puts a square matrix behind each lora_A, which PEFT does not know: B C A x."""
    import torch

    def multiply(module, _, low):
        return torch.nn.functional.linear(low, module.lora_C.to(low.dtype))

    for module in model.modules():
        if hasattr(module, "lora_A") and "default" in module.lora_A:
            factor = module.lora_A["default"]
            rank = factor.weight.shape[0]
            factor.lora_C = torch.nn.Parameter(torch.zeros(rank, rank))
            factor.register_forward_hook(multiply)


def load_model(task, directory, device, train):
    """The base model with the adapter in place, its config, and {tensor name in the adapter: parameter}."""
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM
    with open(os.path.join(directory, "global", "adapter_config.json"), encoding="utf-8") as file:
        adapter = json.load(file)
    full = adapter.get("tributary_adapter") == "full"
    default = "float32" if full or device.type in ("cpu", "mps") else "bfloat16"
    settings = task["training"] if train else task.get("evaluation", {})
    precision = settings.get("base_precision", "fp32")
    if precision not in ("fp32", "stored"):
        raise TaskError(f"task.json: base_precision {precision}: this trainer knows fp32 and stored")
    if precision == "stored":
        default = "auto"
    name = os.environ.get("TRIBUTARY_DTYPE", default)
    dtype = name if name == "auto" else getattr(torch, name)
    base = AutoModelForCausalLM.from_pretrained(os.path.join(directory, task["model_path"]), torch_dtype=dtype)
    config = base.config
    add_products(base, directory, task.get("merged", []))
    weights = load_file(os.path.join(directory, "global", "adapter_model.safetensors"))
    if full:
        model = base
        parameters = {name: p for name, p in model.named_parameters() if name in weights}
    else:
        from peft import LoraConfig, PeftModel
        middle = adapter.get("peft_type") == "LORA_SB"
        adapter["peft_type"] = "LORA"
        model = PeftModel.from_pretrained(base, os.path.join(directory, "global"), is_trainable=train,
                                          config=LoraConfig(**adapter) if middle else None)
        if middle:
            add_middle(model)
        by_name = {name.replace(".lora_A.default.lora_C", ".lora_C.weight").replace(".default.", ".")
                   .replace(".modules_to_save.", "."): p for name, p in model.named_parameters()}
        parameters = {name: by_name[name] for name in weights if name in by_name}
    missing = sorted(set(weights) - set(parameters))
    if missing:
        raise TaskError(f"global/: the model has no place for {', '.join(missing[:5])}")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.data = weights[name].float()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    model.to(device)
    return model, config, parameters


def open_task(task, directory, workers, train):
    from transformers import AutoTokenizer
    if task.get("threads"):
        import torch
        torch.set_num_threads(task["threads"])
    path = os.path.join(directory, task["model_path"])
    if not os.path.exists(os.path.join(path, "config.json")):
        raise TaskError(f"model_path: there is no {path}/config.json")
    model, config, parameters = load_model(task, directory, workers.device, train)
    return model, config, parameters, TextToTokens(AutoTokenizer.from_pretrained(path), config)


# --- training ---------------------------------------------------------------------------------------------------------

def learning_rate(settings, step):
    rate = settings["learning_rate"] * settings["learning_rate_scale"]
    warmup, steps = settings["warmup_steps"], settings["steps"]
    if step < warmup:
        return rate * (step + 1) / warmup
    if settings["schedule"] == "cosine":
        return rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
    return rate


def make_optimizer(parameters, settings):
    import torch
    matrices = [p for p in parameters.values() if p.dim() > 1]
    vectors = [p for p in parameters.values() if p.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": settings["weight_decay"]}, {"params": vectors, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    if settings["optimizer"] == "sgd":
        return torch.optim.SGD(groups, lr=0.0, momentum=settings["momentum"])
    return torch.optim.AdamW(groups, lr=0.0, betas=(settings["beta1"], settings["beta2"]), eps=settings["epsilon"])


def optimizer_tensors(optimizer, parameters):
    import torch
    names = {id(p): name for name, p in parameters.items()}
    tensors = {}
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if value is not None:
                value = value if torch.is_tensor(value) else torch.tensor(float(value))
                tensors[f"{key}/{names[id(parameter)]}"] = value.float().cpu().contiguous()
    return tensors


def restore_optimizer(optimizer, parameters, tensors):
    """False, with nothing changed, when they do not fit."""
    kept = {}
    for full_name, value in tensors.items():
        key, _, name = full_name.partition("/")
        if name not in parameters or (value.dim() and value.shape != parameters[name].shape):
            return False
        kept.setdefault(name, {})[key] = value
    for name, state in kept.items():
        device = parameters[name].device
        optimizer.state[parameters[name]] = {k: v if k == "step" else v.to(device) for k, v in state.items()}
    return True


def sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Checkpoint:
    """What a killed job leaves for the next one: in DIR/checkpoint, replaced whole, removed at the end."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "checkpoint")
        self.saved_at = time.monotonic()

    def due(self):
        return time.monotonic() - self.saved_at > float(os.environ.get("TRIBUTARY_CHECKPOINT_SECONDS",
                                                                       CHECKPOINT_SECONDS))

    def save(self, parameters, optimizer, facts):
        from safetensors.torch import save_file
        self.saved_at = time.monotonic()
        temporary = self.path + ".tmp"
        save_file({**{"weight/" + name: p.detach().float().cpu().contiguous() for name, p in parameters.items()},
                   **{"optimizer/" + name: t for name, t in optimizer_tensors(optimizer, parameters).items()}},
                  temporary, metadata={"facts": json.dumps(facts)})
        sync(temporary)
        os.replace(temporary, self.path)
        sync(os.path.dirname(self.path))

    def load(self, parameters, optimizer):
        """Its facts; None, with nothing changed, where there is none, or one that a lost node left torn."""
        import torch
        from safetensors import SafetensorError, safe_open
        if not os.path.exists(self.path):
            return None
        try:
            with safe_open(self.path, "pt") as file:
                facts = json.loads(file.metadata()["facts"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}
            weights = {name: tensors["weight/" + name] for name in parameters}
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            say(f"the checkpoint is not used, training begins again: {error}")
            return None
        state = {name[len("optimizer/"):]: t for name, t in tensors.items() if name.startswith("optimizer/")}
        if any(weights[name].shape != parameter.shape for name, parameter in parameters.items()) or \
                not restore_optimizer(optimizer, parameters, state):
            say("the checkpoint is of another adapter or optimizer: training begins again")
            return None
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(weights[name])
        return facts

    def remove(self):
        if os.path.exists(self.path):
            os.remove(self.path)


def mean_of_tenth(losses, last):
    tenth = max(1, len(losses) // 10)
    part = losses[-tenth:] if last else losses[:tenth]
    return sum(part) / len(part)


def trained_parameters(parameters, strategy):
    frozen = strategy.get("frozen", "none")
    skipped = {"none": (), "lora_A": (".lora_A.weight",), "lora_B": (".lora_B.weight",),
               "both": (".lora_A.weight", ".lora_B.weight")}
    if frozen not in skipped:
        raise TaskError(f"task.json: strategy: frozen is {frozen}; must be one of {', '.join(skipped)}")
    trained = {n: p for n, p in sorted(parameters.items()) if not skipped[frozen] or not n.endswith(skipped[frozen])}
    for parameter in trained.values():
        parameter.requires_grad_(True)
    return trained


def checkpoint_layers(model):
    """Layers keep their input alone and are computed again in the backward pass, with the same dropout."""
    model.enable_input_require_grads()  # else a frozen embedding ends the graph before the first layer
    model.gradient_checkpointing_enable()


def drop_ranks(trained, pruning):
    """Ranks that the site gave up are zero in both factors (strategy.pruning)."""
    for name, parameter in trained.items() if pruning else ():
        if ".lora_A." in name:
            parameter.data[pruning["kept"]:] = 0
        elif ".lora_B." in name:
            parameter.data[:, pruning["kept"]:] = 0


def add_rank_penalty(trained, pruning):
    """To the gradients that of penalty * sum over modules of |B[:, from:kept]| |A[from:kept]|."""
    last = slice(pruning["from"], pruning["kept"])
    for name, a in trained.items():
        b = trained.get(name.replace(".lora_A.", ".lora_B."))
        if ".lora_A." not in name or b is None:
            continue
        rows, columns = a.detach()[last], b.detach()[:, last]
        norm_a, norm_b = rows.norm().item(), columns.norm().item()
        if norm_a > 0 and norm_b > 0:
            a.grad[last] += pruning["penalty"] * norm_b / norm_a * rows
            b.grad[:, last] += pruning["penalty"] * norm_a / norm_b * columns


def train(task, directory, workers, stopped):
    import torch
    from safetensors.torch import load_file, save_file
    settings, strategy = task["training"], task.get("strategy", {})
    torch.manual_seed(task["seed"] % 2**63)
    model, _, parameters, tokens_of = open_task(task, directory, workers, train=True)
    trained = trained_parameters(parameters, strategy)
    if settings["gradient_checkpointing"]:
        checkpoint_layers(model)
    sources, bad_lines, cut = load_data(task, directory, tokens_of, settings["sequence_length"])
    left_out = {name: count for name, count in {**cut, "bad_lines": sum(bad_lines.values())}.items() if count}
    data = [sequence for sequences in sources.values() for sequence in sequences]
    pruning = strategy.get("pruning")
    drop_ranks(trained, pruning)
    start = {name: p.detach().clone() for name, p in trained.items()} if strategy.get("proximal") else {}
    offset = load_file(os.path.join(directory, strategy["gradient_offset"])) if strategy.get("gradient_offset") else {}
    optimizer = make_optimizer(trained, settings)
    kept = os.path.join(directory, "state", "optimizer.safetensors")
    if strategy.get("keep_optimizer") and os.path.exists(kept):
        restore_optimizer(optimizer, trained, load_file(kept))
    checkpoint = Checkpoint(directory)
    facts = checkpoint.load(trained, optimizer) or {"samples": 0, "tokens": 0, "learning_rate_sum": 0.0, "losses": []}

    order = shuffled(len(data), task["seed"])
    per_step = settings["batch_size"] * settings["gradient_accumulation"]
    for _ in range(per_step * len(facts["losses"])):
        next(order)
    progress = Progress(directory, settings["steps"]) if workers.rank == 0 else None
    began = time.monotonic()
    model.train()
    while len(facts["losses"]) < settings["steps"]:
        if workers.any(stopped()):
            break
        step = len(facts["losses"])
        # Equal seeds give equal dropout, also after a resumption.
        torch.manual_seed((task["seed"] + 0x9e3779b97f4a7c15 * (step + 1) + workers.rank) % 2**63)
        batches = [[data[next(order)] for _ in range(settings["batch_size"])]
                   for _ in range(settings["gradient_accumulation"])]
        tokens = sum(map(loss_tokens, batches))
        total = torch.zeros(1, device=workers.device)
        for batch in batches:
            mine = batch[workers.rank::workers.size]
            if mine:
                loss = loss_sum(model, mine, workers.device) / tokens
                loss.backward()
                total += loss.detach()
        for parameter in trained.values():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            workers.sum(parameter.grad)
        loss = workers.sum(total).item()
        if pruning:
            add_rank_penalty(trained, pruning)
        for name, x in start.items():
            trained[name].grad += strategy["proximal"] * (trained[name].detach() - x)
        limit = settings["max_grad_norm"]
        norm = torch.nn.utils.clip_grad_norm_(trained.values(), limit if limit > 0 else math.inf).item()
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise TaskError(f"the loss or its gradient is not finite at step {step + 1}")
        rate = learning_rate(settings, step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            for name, value in offset.items():
                trained[name] -= rate * value.to(workers.device)
        drop_ranks(trained, pruning)
        facts["losses"].append(loss)
        facts["samples"] += per_step
        facts["tokens"] += tokens
        facts["learning_rate_sum"] += rate
        if progress:
            progress.report(step + 1, loss, facts["tokens"])
            if checkpoint.due():
                checkpoint.save(trained, optimizer, facts)

    losses = facts.pop("losses")
    if not losses:
        raise TaskError("stopped by a signal before the first step")
    complete = len(losses) == settings["steps"]
    result = {
        "schema": 1, "completion": "complete" if complete else "partial",
        "message": "" if complete else f"stopped by a signal after {len(losses)} of {settings['steps']} steps",
        "steps": len(losses), "loss_first": mean_of_tenth(losses, False), "loss_last": mean_of_tenth(losses, True),
        "train_seconds": time.monotonic() - began,
        "metrics": left_out, **facts, **workers.facts()}

    def write_adapter(where):
        save_file({name: p.detach().float().cpu().contiguous() for name, p in parameters.items()},
                  os.path.join(where, "adapter_model.safetensors"))
        with open(os.path.join(directory, "global", "adapter_config.json"), "rb") as file:
            config_text = file.read()
        with open(os.path.join(where, "adapter_config.json"), "wb") as file:
            file.write(config_text)
        if strategy.get("keep_optimizer"):
            save_file(optimizer_tensors(optimizer, trained), os.path.join(where, "optimizer.safetensors"))

    if workers.rank == 0:
        write_update(directory, result, write_adapter)
        checkpoint.remove()
    return result


def exact_match(model, tokens_of, data, answer_tokens, length, workers, stopped):
    """The part of the last answers that the model gives word for word by its likeliest tokens; None without prompts."""
    import torch
    text = lambda ids: tokens_of.backend.decode(ids, skip_special_tokens=False).strip(" \t\n\v\f\r")
    asked = []
    for ids, loss in data:
        end = loss.rindex(1)  # of the answer: a token that ends it
        begin = loss.rfind(0, 0, end) + 1
        if begin > 1:  # not a text: it asks nothing
            asked.append((ids[:begin], ids[begin:end], ids[end]))
    counts = torch.zeros(1, dtype=workers.exact, device=workers.device)
    for number in range(0, len(asked), workers.size):
        if workers.any(stopped()):
            raise TaskError("stopped by a signal before the evaluation was complete")
        for prompt, expected, end in asked[number + workers.rank:number + workers.rank + 1]:
            answer = []
            state, ids = None, torch.tensor([prompt], device=workers.device)
            while len(answer) < min(answer_tokens, length - len(prompt)):
                out = model(input_ids=ids, past_key_values=state, use_cache=True)
                state, ids = out.past_key_values, out.logits[:, -1].argmax(-1, keepdim=True)
                if ids.item() == end:
                    break
                answer.append(ids.item())
            counts += float(text(answer) == text(expected))
    return workers.sum(counts).item() / len(asked) if asked else None


def evaluate(task, directory, workers, stopped):
    import torch
    settings = task.get("evaluation", {})
    batch_size, limit = settings.get("batch_size", 16), settings.get("max_examples", 0)
    model, config, _, tokens_of = open_task(task, directory, workers, train=False)
    length = getattr(config, "max_position_embeddings", 2048)
    sources, bad_lines, _ = load_data(task, directory, tokens_of, length)
    sources = {name: data[:limit] if limit else data for name, data in sources.items()}
    progress = Progress(directory, sum(map(len, sources.values()))) if workers.rank == 0 else None
    result = {"schema": 1, "completion": "complete", "message": "", "samples": 0, "tokens": 0, "steps": 0,
              "learning_rate_sum": 0.0, "loss_first": 0.0, "loss_last": 0.0,
              "metrics": {f"bad_lines/{name}": count for name, count in bad_lines.items() if count}}
    began = time.monotonic()
    model.eval()
    with torch.no_grad():
        for name, data in sources.items():
            total, tokens = torch.zeros(1, dtype=workers.exact, device=workers.device), 0
            for begin in range(0, len(data), batch_size):
                if workers.any(stopped()):
                    raise TaskError("stopped by a signal before the evaluation was complete")
                batch = data[begin:begin + batch_size]
                mine = batch[workers.rank::workers.size]
                if mine:
                    total += loss_sum(model, mine, workers.device).to(workers.exact)
                tokens += loss_tokens(batch)
                result["samples"] += len(batch)
                if progress:
                    progress.report(result["samples"], 0.0, result["tokens"] + tokens)
            mean = workers.sum(total).item() / tokens
            if not math.isfinite(mean):
                raise TaskError(f"{name}: the loss is not finite")
            result["tokens"] += tokens
            result["metrics"][f"loss/{name}"] = mean
            result["metrics"][f"perplexity/{name}"] = math.exp(min(mean, 700.0))
            if settings.get("answer_tokens", 0):
                match = exact_match(model, tokens_of, data, settings["answer_tokens"], length, workers, stopped)
                if match is not None:
                    result["metrics"][f"exact_match/{name}"] = match
    result["train_seconds"] = time.monotonic() - began
    result.update(workers.facts())
    if workers.rank == 0:
        write_update(directory, result)
    return result


# --- one run ----------------------------------------------------------------------------------------------------------

def run(kind, directory, stopped):
    task = read_task(directory, kind)
    check_packages(["torch"])
    import torch
    workers = Workers()  # before the others are loaded: a job without its accelerators ends at once
    check_packages()
    import transformers
    transformers.utils.logging.set_verbosity_error()
    torch.use_deterministic_algorithms(workers.device.type == "cpu")
    return (train if kind == "train" else evaluate)(task, directory, workers, stopped)


class Doubt(Exception):
    """What may be right for some campaigns."""


def inspect(arguments):
    """Answers what a site asks before it takes part in a campaign (docs/trainer_contract.md)."""
    checks = []

    def check(what, path, look, otherwise="failed"):
        try:
            checks.append({"what": what, "path": path, "outcome": "ok", "found": look() or "is read"})
        except Doubt as error:
            checks.append({"what": what, "path": path, "outcome": "warning", "found": str(error)})
        except (OSError, ValueError, TaskError) as error:
            checks.append({"what": what, "path": path, "outcome": otherwise, "found": str(error)})

    def data(path):
        good, bad = 0, []
        with open(path, "rb") as file:
            for number, line in enumerate(itertools.islice(file, INSPECTED_LINES), 1):
                if line.strip(b" \t\r\n"):
                    try:
                        parse_line(line)
                        good += 1
                    except (ValueError, RecursionError) as error:
                        bad.append(f"{path}:{number}: {error}")
        if bad:  # a campaign may leave out some
            raise (Doubt if good else TaskError)("; ".join(bad[:10]))

    def config(directory):
        with open(os.path.join(directory, "config.json"), encoding="utf-8") as file:
            return str(json.load(file).get("model_type", ""))

    check("trainer", sys.argv[0], check_packages, "warning")  # a job's node may have what this one lacks
    if arguments.model:
        check("model", arguments.model, lambda: config(arguments.model))
    for path in arguments.data:
        check("data", path, lambda: data(path))
    print(json.dumps({"schema": 1, "trainer": "tributary_peft", "abilities": ABILITIES, "checks": checks}))
    return 1 if any(found["outcome"] == "failed" for found in checks) else 0


def version():
    try:
        check_packages()
    except TaskError as error:
        say(str(error))
        return 1
    print("tributary_peft with " + ", ".join(
        f"{name} {importlib.import_module(name).__version__}" for name in MINIMUM))
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["train", "evaluate", "version", "inspect"])
    parser.add_argument("--task", metavar="DIR", help="the task directory")
    parser.add_argument("--json", action="store_true", help="inspect: what is always printed")
    parser.add_argument("--model", help="inspect: a model directory")
    parser.add_argument("--adapter", help="inspect: an adapter directory")
    parser.add_argument("--data", action="append", default=[], help="inspect: JSON lines")
    arguments = parser.parse_args()
    if arguments.kind == "inspect":
        return inspect(arguments)
    if arguments.kind == "version":
        return version()
    if not arguments.task:
        parser.error("--task DIR is needed")
    first = launcher_ranks()[0] == 0
    if has_update(arguments.task, first):
        say(f"{arguments.task} already has its update; nothing to do")
        return 0
    signals = []
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda received, _: signals.append(received))
    try:
        result = run(arguments.kind, arguments.task, lambda: bool(signals))
    except Exception as error:  # whatever it is: the daemon must hear of it
        reason = str(error) if isinstance(error, TaskError) else f"{type(error).__name__}: {error}"
        say(reason)
        if first:
            write_update(arguments.task, {
                "schema": 1, "completion": "failed", "message": reason[:2000], "samples": 0, "tokens": 0, "steps": 0,
                "learning_rate_sum": 0.0, "loss_first": 0.0, "loss_last": 0.0, "train_seconds": 0.0, "metrics": {}})
        return 1
    say(result["completion"] + (": " + result["message"] if result["message"] else ""))
    return 0


def leave(status):
    """One of several processes ends at once: a thread of its process group that wants the interpreter while that is taken
    down would abort it, and a launcher takes that for the failure of a job whose update is whole."""
    if launcher_ranks()[1] > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


if __name__ == "__main__":
    leave(main())
