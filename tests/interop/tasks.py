"""Whole tasks of the trainer against transformers and PEFT: tasks.py TRIBUTARY_TRAINER TRIBUTARY_PEFT.PY

A Qwen2 model and an adapter made by PEFT become a task directory; what `train` writes is loaded by PEFT, and its loss there
is the one that `evaluate` reports. The Python trainer's evaluation gives the same losses and exact matches, and its training the
same weights, whatever a strategy asks."""
import json
import os
import subprocess
import sys
import tempfile

import torch
import transformers
from peft import PeftModel
from safetensors.torch import load_file, save_file

from small_task import EOS, TEXTS, load, write_model_and_adapter, write_task

TRAINER = sys.argv[1:2]
PYTHON_TRAINER = [sys.executable, sys.argv[2]]
# "soft" has two answers: one of them cannot match.
PAIRS = [text.split(" ", 1) for text in TEXTS] + [["soft", "snow"]]


def run(kind, directory, trainer=TRAINER):
    done = subprocess.run([*trainer, kind, "--task", directory], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr
    assert trainer != TRAINER or "memory: about" in done.stderr, done.stderr
    with open(f"{directory}/update/result.json") as file:
        return json.load(file)


def mean_loss(model, tokenizer):
    total, count = 0.0, 0
    for text in TEXTS:
        ids = torch.tensor([tokenizer.encode(text).ids + [EOS]])  # this tokenizer puts no BOS
        with torch.no_grad():
            logits = model(ids).logits[0, :-1]
        total += torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum").item()
        count += ids.shape[1] - 1
    return total / count


def both_count_the_same_answers(root):
    with open(f"{root}/pairs.jsonl", "w") as file:
        file.writelines(json.dumps({"prompt": prompt, "completion": " " + answer}) + "\n" for prompt, answer in PAIRS)
    data = [{"name": "pairs", "path": "../pairs.jsonl"}]
    write_task(f"{root}/pairs", "train", f"{root}/adapter", data=data,
               training={"steps": 80, "batch_size": 6, "sequence_length": 32, "learning_rate": 0.02})
    run("train", f"{root}/pairs")
    metrics = []
    for name, trainer in (("native", TRAINER), ("python", PYTHON_TRAINER)):
        write_task(f"{root}/{name}", "evaluate", f"{root}/pairs/update", data=data,
                   evaluation={"batch_size": 2, "answer_tokens": 24})
        metrics.append(run("evaluate", f"{root}/{name}", trainer)["metrics"])
    print(*metrics, sep="\n")
    assert metrics[0].keys() == metrics[1].keys()
    assert 0 < metrics[0]["exact_match/pairs"] == metrics[1]["exact_match/pairs"] < 1
    assert abs(metrics[0]["loss/pairs"] - metrics[1]["loss/pairs"]) < 1e-4


def both_do_what_a_strategy_asks(root):
    """Each step takes all the data, so that both orders of it are one."""
    os.mkdir(root)
    write_model_and_adapter(root, 0.0)
    start = load_file(f"{root}/adapter/adapter_model.safetensors")
    save_file({name: torch.full_like(x, 0.02) for name, x in start.items()}, f"{root}/offset.safetensors")
    asked = {"plain": {}, "frozen": {"frozen": "lora_A"}, "proximal": {"proximal": 20.0},
             "offset": {"gradient_offset": "../offset.safetensors"},
             "pruning": {"pruning": {"penalty": 5.0, "from": 1, "kept": 3}}}
    plain = None
    for name, strategy in asked.items():
        weights = []
        for trainer, command in (("native", TRAINER), ("python", PYTHON_TRAINER)):
            write_task(f"{root}/{name}-{trainer}", "train", f"{root}/adapter", strategy=strategy,
                       training={"steps": 8, "batch_size": len(TEXTS), "sequence_length": 32, "optimizer": "sgd",
                                 "momentum": 0.9, "learning_rate": 0.05, "max_grad_norm": 0})
            run("train", f"{root}/{name}-{trainer}", command)
            weights.append(load_file(f"{root}/{name}-{trainer}/update/adapter_model.safetensors"))
        plain = plain or weights[0]
        apart = max((weights[0][key] - weights[1][key]).abs().max().item() for key in start)
        moved = max((weights[0][key] - plain[key]).abs().max().item() for key in start)
        print(f"{name}: native and Python {apart:.1e} apart, {moved:.1e} from plain training")
        assert weights[0].keys() == weights[1].keys() == start.keys()
        assert apart < 1e-4 and (moved > 1e-3 or name == "plain")


def main():
    transformers.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as root:
        tokenizer, fresh = write_model_and_adapter(root, 0.05)
        before = mean_loss(fresh.eval(), tokenizer)

        write_task(f"{root}/train", "train", f"{root}/adapter",
                   training={"steps": 10, "batch_size": 5, "sequence_length": 32, "learning_rate": 0.01})
        run("train", f"{root}/train")
        trained = PeftModel.from_pretrained(load(root), f"{root}/train/update").eval()
        after = mean_loss(trained, tokenizer)
        write_task(f"{root}/evaluate", "evaluate", f"{root}/train/update",
                   evaluation={"batch_size": 2, "max_examples": 0})
        reported = run("evaluate", f"{root}/evaluate")["metrics"]["loss/texts"]
        print(f"loss {before:.4f}, after training {after:.6f} in PEFT, {reported:.6f} by evaluate")
        assert after < before - 1
        assert abs(after - reported) < 1e-4
        both_count_the_same_answers(root)
        both_do_what_a_strategy_asks(f"{root}/strategies")


main()
