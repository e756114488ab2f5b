"""Stands for a vendor's fine-tuning program: adds a constant to the adapter, step by step. Python alone.

    vendor_command.py train ADAPTER STEPS BATCH_SIZE OUTPUT [PROGRESS]
    vendor_command.py evaluate DATA OUTPUT
"""
import array
import json
import math
import os
import signal
import struct
import sys
import time


def facts(output, values):
    with open(os.path.join(output, "facts.json"), "w", encoding="utf-8") as file:
        json.dump(values, file)


def train(adapter, steps, batch_size, output, progress=""):
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    with open(os.path.join(adapter, "adapter_model.safetensors"), "rb") as file:
        data = file.read()
    begin = 8 + struct.unpack("<Q", data[:8])[0]
    done = 0
    while done < int(steps) and not stopped:
        done += 1
        if progress:
            with open(progress, "a", encoding="utf-8") as file:
                line = {"step": done, "steps": int(steps), "loss": 1.0, "tokens": done, "seconds": 0.0}
                file.write(json.dumps(line) + "\n")
        time.sleep(0.002)
    weights = array.array("f", data[begin:])  # F32 alone, as adapters of tasks are
    weights = array.array("f", (value + done * 1e-3 for value in weights))
    with open(os.path.join(output, "adapter_model.safetensors"), "wb") as file:
        file.write(data[:begin] + weights.tobytes())
    facts(output, {"steps": done, "samples": done * int(batch_size), "tokens": done, "learning_rate_sum": done * 1e-3,
                   "loss_first": 1.0, "loss_last": 1.0})


def evaluate(_, output):
    facts(output, {"samples": 10, "metrics": {"loss/sample": 2.0, "perplexity/sample": math.exp(2.0)}})


{"train": train, "evaluate": evaluate}[sys.argv[1]](*sys.argv[2:])
