#!/usr/bin/env python3
"""Lets a vendor's fine-tuning command train for a Tributary site.

    tributary_vendor.py [--evaluate 'COMMAND ...'] -- COMMAND ...        (Tributary appends: train|evaluate --task DIR)

In the words of COMMAND these are replaced:
    {model} {data} {adapter}   base model, JSONL files separated by commas, directory of the adapter to start from
    {output}                   empty directory: the command leaves its results there
    {progress}                 file that the command may append its steps to, a line each:
                               {"step": 7, "steps": 40, "loss": 3.91, "tokens": 4210}
    {steps} {batch_size} {gradient_accumulation} {sequence_length} {learning_rate} {seed} {threads}

As long as the command has not reported a step, this wrapper says every minute that it runs: a command that reports none
is ended by its walltime alone, never by the site's stall_timeout. One that does is held to stall_timeout.

After training, {output} has adapter_model.safetensors, weights under the names of {adapter}, and facts.json:
    {"steps": 40, "samples": 640, "tokens": 11873, "learning_rate_sum": 0.12, "loss_first": 4.21, "loss_last": 3.84}
After an evaluation, facts.json: {"samples": 200, "metrics": {"loss/<data name>": 3.9, "perplexity/<data name>": 49.4}}

SIGTERM and SIGUSR1 are handed to the command as SIGTERM; if it then leaves results with fewer steps than asked for, they
are a partial update. What a strategy asks beyond plain training (docs/task_directory.md) is refused.
"""
import argparse
import ctypes
import itertools
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

NOTHING = {"schema": 1, "completion": "complete", "message": "", "samples": 0, "tokens": 0, "steps": 0,
           "learning_rate_sum": 0.0, "loss_first": 0.0, "loss_last": 0.0, "train_seconds": 0.0, "metrics": {}}
INSPECTED_LINES = 100000
ALIVE_SECONDS = 60  # far below any sensible stall_timeout
TRAIN_FACTS = ("steps", "samples", "tokens", "learning_rate_sum", "loss_first", "loss_last")


class TaskError(Exception):
    pass


def write_update(directory, result, output=None):
    temporary = tempfile.mkdtemp(prefix="update.tmp-", dir=directory)
    if output:
        shutil.copy(os.path.join(output, "adapter_model.safetensors"), temporary)
        shutil.copy(os.path.join(directory, "global", "adapter_config.json"), temporary)
    with open(os.path.join(temporary, "result.json"), "w", encoding="utf-8") as file:
        json.dump({**NOTHING, **result}, file)
    for name in os.listdir(temporary):
        with open(os.path.join(temporary, name), "rb") as file:
            os.fsync(file.fileno())
    os.rename(temporary, os.path.join(directory, "update"))


def has_update(directory):
    """A failure is of an earlier run of a job that its scheduler starts again: it goes."""
    update = os.path.join(directory, "update")
    try:
        with open(os.path.join(update, "result.json"), encoding="utf-8") as file:
            failed = json.load(file)["completion"] == "failed"
    except (OSError, ValueError, KeyError, TypeError):
        failed = False
    if failed:
        shutil.rmtree(update)
    return os.path.exists(update)


def read_task(directory, kind):
    with open(os.path.join(directory, "task.json"), encoding="utf-8") as file:
        task = json.load(file)
    if task.get("schema") != 1 or task.get("kind") != kind:
        raise TaskError(f"task.json: schema {task.get('schema')}, kind {task.get('kind')}; needed: schema 1, kind {kind}")
    for key in ("strategy", "merged"):
        if task.get(key):
            raise TaskError(f"task.json: {key}: this trainer does plain training only")
    if not os.path.exists(os.path.join(directory, task["model_path"])):
        raise TaskError(f"model_path: there is no {task['model_path']}")
    for source in task["data"]:
        check_data(os.path.join(directory, source["path"]))
    return task


def check_data(path, lines=None):
    """What vendors' tools do with a bad line differs; here it ends the task."""
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(itertools.islice(file, lines), 1):
            try:
                if line.strip():
                    json.loads(line)
            except json.JSONDecodeError as error:
                raise TaskError(f"{path}:{number}: {error}") from None


def fill_in(words, task, directory, output):
    training = {"steps": 0, "batch_size": 8, "gradient_accumulation": 1, "sequence_length": 256,
                "learning_rate": 1e-3, "learning_rate_scale": 1.0, **task.get("training", {})}
    training["learning_rate"] *= training["learning_rate_scale"]
    values = {**training, "model": os.path.join(directory, task["model_path"]), "output": output,
              "data": ",".join(os.path.join(directory, source["path"]) for source in task["data"]),
              "adapter": os.path.join(directory, "global"), "seed": task["seed"], "threads": task.get("threads", 0),
              "progress": os.path.join(directory, "progress.jsonl")}
    filled = []
    for word in words:
        for name, value in values.items():
            word = word.replace("{" + name + "}", str(value))
        filled.append(word)
    return filled


class Progress:
    """progress.jsonl of the task: what the command writes itself, and what is said for it."""

    def __init__(self, directory, steps):
        self.path = os.path.join(directory, "progress.jsonl")
        self.steps = steps
        self.begin = os.path.getsize(self.path) if os.path.exists(self.path) else 0
        self.own = 0  # bytes that were written here
        self.start = time.monotonic()
        self.last = -ALIVE_SECONDS

    def append(self, line):
        line = {**line, "steps": self.steps, "seconds": round(time.monotonic() - self.start, 3)}
        text = (json.dumps(line) + "\n").encode()
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(file, text)
        os.close(file)
        self.own += len(text)

    def says_itself(self):
        return os.path.exists(self.path) and os.path.getsize(self.path) > self.begin + self.own

    def alive(self):
        if time.monotonic() - self.last < ALIVE_SECONDS or self.says_itself():
            return
        self.last = time.monotonic()
        self.append({"step": 0, "loss": 0, "tokens": 0, "note": "the command runs; it reports no steps"})

    def done(self, step, loss, tokens):
        last = b""
        if os.path.exists(self.path):
            with open(self.path, "rb") as file:
                last = file.read()[-4096:].strip().rpartition(b"\n")[2]
        try:
            told = json.loads(last)["step"] == step
        except (ValueError, KeyError, TypeError):
            told = False
        if not told:
            self.append({"step": step, "loss": loss, "tokens": tokens})


def end_with_parent():
    """A command that outlived this program would train on beside the next job of the task."""
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    except (OSError, AttributeError):
        pass


class Stop:
    """Signals are handed to the command, also those that come before it runs."""

    def __init__(self):
        self.told = False
        self.process = None
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, self.hear)

    def hear(self, *_):
        self.told = True
        if self.process:
            self.process.send_signal(signal.SIGTERM)


def run_command(words, progress, stop):
    """Its exit status."""
    if stop.told:
        raise TaskError("stopped by a signal before the command was started")
    process = subprocess.Popen(words, preexec_fn=end_with_parent)
    stop.process = process
    if stop.told:
        process.send_signal(signal.SIGTERM)
    while True:
        progress.alive()
        try:
            return process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            pass


def read_facts(output, needed):
    path = os.path.join(output, "facts.json")
    if not os.path.exists(path):
        raise TaskError("the command left no facts.json in {output}")
    with open(path, encoding="utf-8") as file:
        facts = json.load(file)
    if not isinstance(facts, dict):
        raise TaskError("facts.json is no object")
    missing = [name for name in needed if name not in facts]
    if missing:
        raise TaskError(f"facts.json lacks {', '.join(missing)}")
    wrong = [name for name in needed if name != "metrics" and (
        isinstance(facts[name], bool) or not isinstance(facts[name], (int, float)))]
    if wrong:
        raise TaskError(f"facts.json: {', '.join(wrong)}: must be a number")
    return facts


def run(kind, directory, words, stop):
    task = read_task(directory, kind)
    for name in os.listdir(directory):
        if name.startswith("vendor-"):  # of a job that was killed
            shutil.rmtree(os.path.join(directory, name), ignore_errors=True)
    output = tempfile.mkdtemp(prefix="vendor-", dir=directory)
    began = time.monotonic()
    progress = Progress(directory, task["training"]["steps"] if kind == "train" else 0)
    status = run_command(fill_in(words, task, os.path.abspath(directory), output), progress, stop)
    seconds = time.monotonic() - began
    if kind == "evaluate":
        if status != 0:
            raise TaskError(f"the evaluation command ended with exit status {status}")
        facts = read_facts(output, ("samples", "metrics"))
        write_update(directory, {"samples": facts["samples"], "metrics": facts["metrics"], "train_seconds": seconds})
    else:
        if not os.path.exists(os.path.join(output, "adapter_model.safetensors")):
            raise TaskError(f"the command ended with exit status {status} and left no adapter_model.safetensors")
        facts = read_facts(output, TRAIN_FACTS)
        asked = task["training"]["steps"]
        result = {name: facts[name] for name in TRAIN_FACTS}
        result["train_seconds"] = seconds
        if facts["steps"] < 1:
            raise TaskError("the command was stopped before its first step")
        if facts["steps"] < asked:
            result.update(completion="partial", message=f"stopped after {facts['steps']} of {asked} steps")
        progress.done(facts["steps"], facts["loss_last"], facts["tokens"])
        write_update(directory, result, output)
    shutil.rmtree(output, ignore_errors=True)


def inspect(words, can_evaluate):
    """Answers what a site asks before it takes part in a campaign (docs/trainer_contract.md)."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--model", default="")
    parser.add_argument("--adapter", default="")
    parser.add_argument("--data", action="append", default=[])
    asked = parser.parse_args(words)
    checks = []

    def check(what, path, look):
        try:
            look(path)
            checks.append({"what": what, "path": path, "outcome": "ok", "found": "is there"})
        except (OSError, ValueError, TaskError) as error:
            checks.append({"what": what, "path": path, "outcome": "failed", "found": str(error)})

    if asked.model:
        check("model", asked.model, os.stat)
    for path in asked.data:
        check("data", path, lambda path: check_data(path, INSPECTED_LINES))
    abilities = ["evaluate"] if can_evaluate else []
    print(json.dumps({"schema": 1, "trainer": "tributary_vendor", "abilities": abilities, "checks": checks}))
    return 1 if any(check["outcome"] == "failed" for check in checks) else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluate", default="", help="the command of evaluation tasks, as one word")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- COMMAND ... train|evaluate --task DIR")
    arguments = parser.parse_args()
    words = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if "inspect" in words and words[words.index("inspect") + 1:][:1] == ["--json"]:
        return inspect(words[words.index("inspect") + 1:], bool(arguments.evaluate))
    if len(words) < 4 or words[-3] not in ("train", "evaluate") or words[-2] != "--task":
        parser.error("the last words must be: train|evaluate --task DIR")
    words, kind, directory = words[:-3], words[-3], words[-1]
    if has_update(directory):
        return 0
    stop = Stop()
    try:
        if kind == "evaluate" and not arguments.evaluate:
            raise TaskError("this site has no evaluation command (--evaluate)")
        run(kind, directory, shlex.split(arguments.evaluate) if kind == "evaluate" else words, stop)
    except Exception as error:  # whatever it is: the daemon must hear of it
        reason = str(error) if isinstance(error, TaskError) else f"{type(error).__name__}: {error}"
        print(f"tributary_vendor: {reason}", file=sys.stderr)
        write_update(directory, {"completion": "failed", "message": reason[:2000]})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
