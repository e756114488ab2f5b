"""A trainer that honours no directive: adds a constant to the adapter, step by step. Python alone.

    careless_trainer.py [silent] [deaf] [no-evaluation] [lingers] [piecemeal] train|evaluate --task DIR
silent: no progress.jsonl until it ends; deaf: no signal ends it; no-evaluation: evaluations fail; lingers: reports its
last step after its update, and stays a little; piecemeal: fills update/ where it will be read.
"""
import array
import json
import os
import shutil
import signal
import struct
import sys
import time



def report(step, steps):
    with open(os.path.join(directory, "progress.jsonl"), "a", encoding="utf-8") as file:
        file.write(json.dumps({"step": step, "steps": steps, "loss": 1, "tokens": 1, "seconds": 0}) + "\n")


flags, kind, directory = sys.argv[1:-3], sys.argv[-3], sys.argv[-1]
if os.path.exists(os.path.join(directory, "update")):
    sys.exit(0)
stopped = []
for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, lambda *_: "deaf" in flags or stopped.append(True))
with open(os.path.join(directory, "task.json"), encoding="utf-8") as file:
    task = json.load(file)
result = {"schema": 1, "completion": "complete", "message": "", "samples": 0, "tokens": 0, "steps": 0,
          "learning_rate_sum": 0.0, "loss_first": 0.0, "loss_last": 0.0, "train_seconds": 0.0, "metrics": {}}
update = os.path.join(directory, "update" if "piecemeal" in flags else "update.tmp")
shutil.rmtree(update, ignore_errors=True)
os.mkdir(update)
if kind == "evaluate" and "no-evaluation" in flags:
    result.update(completion="failed", message="cannot evaluate")
elif kind == "evaluate":
    result.update(samples=10, metrics={"loss/sample": 2.0, "perplexity/sample": 7.38905609893065})
else:
    steps = task["training"]["steps"]
    while result["steps"] < steps and not stopped:
        result["steps"] += 1
        if "lingers" not in flags and ("silent" not in flags or result["steps"] == steps):
            report(result["steps"], steps)
        time.sleep(0.001)
    done = result["steps"]
    result.update(samples=done * task["training"]["batch_size"], tokens=done, learning_rate_sum=done * 1e-2,
                  loss_first=1.0, loss_last=1.0)
    if done < steps:
        result.update(completion="partial", message="stopped")
    for name in os.listdir(os.path.join(directory, "global")):
        shutil.copy(os.path.join(directory, "global", name), update)
    path = os.path.join(update, "adapter_model.safetensors")
    with open(path, "rb") as file:
        data = file.read()
    begin = 8 + struct.unpack("<Q", data[:8])[0]
    weights = array.array("f", (value + done * 1e-3 for value in array.array("f", data[begin:])))
    with open(path, "wb") as file:
        file.write(data[:begin] + weights.tobytes())
with open(os.path.join(update, "result.json"), "w", encoding="utf-8") as file:
    json.dump(result, file)
os.rename(update, os.path.join(directory, "update"))
if kind == "train" and "lingers" in flags:
    report(result["steps"], task["training"]["steps"])
    time.sleep(0.1)
sys.exit(1 if result["completion"] == "failed" else 0)
