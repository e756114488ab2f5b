"""torchrun.py TRIBUTARY_PEFT.PY: the Python trainer under torchrun, two processes over Gloo that share each batch, against
one process with the whole batch."""
import json
import os
import socket
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file

from small_task import write_model_and_adapter, write_task

ALONE = [sys.executable, sys.argv[1]]
# The torchrun of PyTorch 1.13 does not understand its own defaults of these two under Python 3.11.
OUTPUT = ["--redirects", "1", "--tee", "2"]
TOGETHER = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", *OUTPUT, sys.argv[1]]


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "TRIBUTARY_GPUS": "0"}


def torchrun_can_run():
    """Not with a PyTorch that was built without libuv, as Debian 13's is: its own store asks for that, whatever it is told."""
    try:
        torch.distributed.TCPStore("127.0.0.1", 0, 1, True, wait_for_workers=False)
    except RuntimeError as error:
        if "libuv" in str(error):
            return False
        raise
    return True


def run_as_torchrun(*arguments):
    """Two processes with the variables that torchrun gives; the exit code and what they said."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    processes = [subprocess.Popen([*ALONE, *arguments], stderr=subprocess.PIPE, text=True,
                                  env={**ENVIRONMENT, "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2",
                                       "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)})
                 for rank in range(2)]
    said = [process.communicate()[1] for process in processes]
    return max(abs(process.returncode) for process in processes), "\n".join(said)


def run(command, kind, directory):
    arguments = [kind, "--task", directory]
    if command is TOGETHER and not torchrun_can_run():
        print("torchrun cannot run with this PyTorch: two processes with its variables")
        code, said = run_as_torchrun(*arguments)
    else:
        done = subprocess.run([*command, *arguments], stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
        code, said = done.returncode, done.stderr
    assert code == 0, said
    with open(f"{directory}/update/result.json") as file:
        return json.load(file)


def close(one, other, limit):
    return abs(one - other) <= limit * max(1.0, abs(one))


with tempfile.TemporaryDirectory() as root:
    write_model_and_adapter(root, 0.0)
    results, weights, losses = [], [], []
    for name, command in (("alone", ALONE), ("together", TOGETHER)):
        write_task(f"{root}/{name}", "train", f"{root}/adapter",
                   training={"steps": 10, "batch_size": 3, "gradient_accumulation": 2, "sequence_length": 32,
                             "learning_rate": 0.01})
        results.append(run(command, "train", f"{root}/{name}"))
        weights.append(load_file(f"{root}/{name}/update/adapter_model.safetensors"))
        write_task(f"{root}/{name}-evaluate", "evaluate", f"{root}/{name}/update", evaluation={"batch_size": 2})
        losses.append(run(command, "evaluate", f"{root}/{name}-evaluate")["metrics"]["loss/texts"])
    one, two = results
    assert all(result["device"].startswith("cpu") and result["peak_memory_bytes"] > 1 << 24 for result in results)
    start = load_file(f"{root}/adapter/adapter_model.safetensors")
    moved = max((weights[0][name] - start[name]).abs().max().item() for name in start)
    apart = max((weights[0][name] - weights[1][name]).abs().max().item() for name in weights[0])
    print(f"weights moved by {moved:.4f}, apart by {apart:.2e}; loss {one['loss_first']:.6f} -> {one['loss_last']:.6f} and "
          f"{two['loss_first']:.6f} -> {two['loss_last']:.6f}; evaluated {losses[0]:.6f} and {losses[1]:.6f}")
    assert weights[0].keys() == weights[1].keys() and moved > 0.01 and apart < 1e-4
    assert all(one[key] == two[key] for key in ("completion", "samples", "tokens", "steps", "learning_rate_sum"))
    assert close(one["loss_first"], two["loss_first"], 1e-5) and close(one["loss_last"], two["loss_last"], 1e-5)
    assert close(losses[0], losses[1], 1e-5)
