#!/usr/bin/env python3
"""Lets a vendor's fine-tuning command train for a Tributary site.

    tributary_vendor.py [--evaluate 'COMMAND ...'] -- COMMAND ...        (Tributary appends: train|evaluate --task DIR)

In the words of COMMAND these are replaced:
    {model} {data} {adapter}   base model, JSONL files separated by commas, directory of the adapter to start from
    {output}                   empty directory: the command leaves its results there
    {steps} {batch_size} {gradient_accumulation} {sequence_length} {learning_rate} {seed} {threads}

After training, {output} has adapter_model.safetensors, weights under the names of {adapter}, and facts.json:
    {"steps": 40, "samples": 640, "tokens": 11873, "learning_rate_sum": 0.12, "loss_first": 4.21, "loss_last": 3.84}
After an evaluation, facts.json: {"samples": 200, "metrics": {"loss/<data name>": 3.9, "perplexity/<data name>": 49.4}}

SIGTERM and SIGUSR1 are handed to the command as SIGTERM; if it then leaves results with fewer steps than asked for, they
are a partial update. What a strategy asks beyond plain training (docs/task_directory.md) is refused.
"""
import argparse
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


def check_data(path):
    """What vendors' tools do with a bad line differs; here it ends the task."""
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
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
              "adapter": os.path.join(directory, "global"), "seed": task["seed"], "threads": task.get("threads", 0)}
    filled = []
    for word in words:
        for name, value in values.items():
            word = word.replace("{" + name + "}", str(value))
        filled.append(word)
    return filled


def run_command(words):
    """Its exit status; signals are handed on."""
    process = subprocess.Popen(words)
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda *_: process.send_signal(signal.SIGTERM))
    return process.wait()


def read_facts(output, needed):
    path = os.path.join(output, "facts.json")
    if not os.path.exists(path):
        raise TaskError("the command left no facts.json in {output}")
    with open(path, encoding="utf-8") as file:
        facts = json.load(file)
    missing = [name for name in needed if name not in facts]
    if missing:
        raise TaskError(f"facts.json lacks {', '.join(missing)}")
    return facts


def run(kind, directory, words):
    task = read_task(directory, kind)
    output = tempfile.mkdtemp(prefix="vendor-", dir=directory)
    began = time.monotonic()
    status = run_command(fill_in(words, task, os.path.abspath(directory), output))
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
        if facts["steps"] < asked:
            result.update(completion="partial", message=f"stopped after {facts['steps']} of {asked} steps")
        write_update(directory, result, output)
    shutil.rmtree(output, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluate", default="", help="the command of evaluation tasks, as one word")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- COMMAND ... train|evaluate --task DIR")
    arguments = parser.parse_args()
    words = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if len(words) < 4 or words[-3] not in ("train", "evaluate") or words[-2] != "--task":
        parser.error("the last words must be: train|evaluate --task DIR")
    words, kind, directory = words[:-3], words[-3], words[-1]
    if os.path.exists(os.path.join(directory, "update")):
        return 0
    try:
        if kind == "evaluate" and not arguments.evaluate:
            raise TaskError("this site has no evaluation command (--evaluate)")
        run(kind, directory, shlex.split(arguments.evaluate) if kind == "evaluate" else words)
    except Exception as error:  # whatever it is: the daemon must hear of it
        reason = str(error) if isinstance(error, TaskError) else f"{type(error).__name__}: {error}"
        print(f"tributary_vendor: {reason}", file=sys.stderr)
        write_update(directory, {"completion": "failed", "message": reason[:2000]})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
