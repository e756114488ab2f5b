"""Stands for a vendor's fine-tuning program: adds a constant to the adapter, step by step.

    vendor_command.py train ADAPTER STEPS BATCH_SIZE OUTPUT
    vendor_command.py evaluate DATA OUTPUT
"""
import json
import math
import os
import signal
import sys
import time

from safetensors.numpy import load_file, save_file


def facts(output, values):
    with open(os.path.join(output, "facts.json"), "w", encoding="utf-8") as file:
        json.dump(values, file)


def train(adapter, steps, batch_size, output):
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    weights = load_file(os.path.join(adapter, "adapter_model.safetensors"))
    progress = os.path.join(output, "..", "progress.jsonl")
    done = 0
    while done < int(steps) and not stopped:
        weights = {name: value + 1e-3 for name, value in weights.items()}
        done += 1
        with open(progress, "a", encoding="utf-8") as file:
            line = {"step": done, "steps": int(steps), "loss": 1.0, "tokens": done, "seconds": 0.0}
            file.write(json.dumps(line) + "\n")
        time.sleep(0.002)
    save_file(weights, os.path.join(output, "adapter_model.safetensors"))
    facts(output, {"steps": done, "samples": done * int(batch_size), "tokens": done, "learning_rate_sum": done * 1e-3,
                   "loss_first": 1.0, "loss_last": 1.0})


def evaluate(_, output):
    facts(output, {"samples": 10, "metrics": {"loss/sample": 2.0, "perplexity/sample": math.exp(2.0)}})


{"train": train, "evaluate": evaluate}[sys.argv[1]](*sys.argv[2:])
