"""SmolLM2 from its package, in our trainer and in transformers: smollm2.py PREPARE_SMOLLM2 MODEL_PROBE TRIBUTARY_TRAINER

Compared are logits of a few texts and the ids of strings of many kinds. That its text is likely to the model shows
that the weights were put in the right order: both programs would agree on a wrong one."""
import json
import os
import random
import subprocess
import sys
import tempfile

import torch
import transformers
from safetensors.torch import load_file

import strings

PREPARE, PROBE, TRAINER = sys.argv[1:4]
TEXTS = [
    "The Danube is the second-longest river in Europe. It flows through ten countries and empties into the Black Sea.",
    "def factorial(n):\n    if n == 0:\n        return 1\n    return n * factorial(n - 1)\n",
    "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n"
    "<|im_start|>assistant\nThe capital of France is Paris.<|im_end|>\n",
]
LARGEST_LOSS = 1.8  # in nats a token: 1.52, and 2.49 with the rows of q and k as GGUF has them
failures = []


def check(what, value, limit):
    print(f"{what:32} {value:.2e} (limit {limit:g})")
    if not value <= limit:
        failures.append(f"{what}: {value:.3e} is above {limit:g}")


def compare_logits(directory, tokenizer, model):
    sequences = [tokenizer(text)["input_ids"] for text in TEXTS]
    with tempfile.TemporaryDirectory() as work:
        with open(f"{work}/request.json", "w") as file:
            json.dump({"sequences": sequences, "loss_from": 1}, file)
        subprocess.run([PROBE, directory, "-", f"{work}/request.json", f"{work}/out.safetensors"], check=True)
        ours = load_file(f"{work}/out.safetensors")
    with torch.no_grad():
        outputs = [model(torch.tensor([ids]), labels=torch.tensor([ids])) for ids in sequences]
    theirs = torch.cat([output.logits[0] for output in outputs])
    check("logits, over the largest", ((ours["logits"] - theirs).abs().max() / theirs.abs().max()).item(), 1e-4)
    targets = [len(ids) - 1 for ids in sequences]
    loss = sum(output.loss.item() * count for output, count in zip(outputs, targets)) / sum(targets)
    check("loss, against theirs", abs(ours["loss"].item() - loss), 1e-4)
    check("loss", ours["loss"].item(), LARGEST_LOSS)


def compare_ids(directory, tokenizer):
    texts = strings.varied(random.Random(1), count=2000)
    tally = strings.Tally()
    library = tokenizer.backend_tokenizer
    library.encode_special_tokens = True  # their letters, as in our training data
    tally.compare("SmolLM2", texts, strings.ours(TRAINER, directory, texts),
                  lambda text: library.encode(text, add_special_tokens=False).ids,
                  lambda ids: library.decode(ids, skip_special_tokens=False))
    if tally.failed:
        failures.append("ids differ")


def main():
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(2)
    # Beside the other packages, so that it is made once.
    made = subprocess.run([PREPARE, os.path.join(sys.prefix, "smollm2")], stdout=subprocess.PIPE, text=True)
    if made.returncode != 0:
        sys.exit(made.returncode)
    directory = made.stdout.strip()
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    model = transformers.AutoModelForCausalLM.from_pretrained(directory, attn_implementation="eager").eval()
    compare_logits(directory, tokenizer, model)
    compare_ids(directory, tokenizer)
    for failure in failures:
        print("FAILED", failure)
    sys.exit(1 if failures else 0)


main()
