"""Whole tasks of the trainer against transformers and PEFT: tasks.py TRIBUTARY_TRAINER

A Qwen2 model and an adapter made by PEFT become a task directory; what `train` writes is loaded by PEFT, and its loss there
is the one that `evaluate` reports."""
import json
import os
import subprocess
import sys
import tempfile

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, Qwen2Config

TRAINER = sys.argv[1]
TEXTS = ["steam is hot", "water that is solid", "soft white ice", "water from the sky", "a clear liquid"]
BOS, EOS = 0, 1


def write_tokenizer(path):
    vocabulary = {"<s>": BOS, "</s>": EOS}
    for letter in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocabulary[letter] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.save(path)
    return tokenizer


def write_task(directory, kind, adapter, **more):
    os.mkdir(directory)
    os.symlink(adapter, f"{directory}/global")
    task = {"schema": 1, "kind": kind, "task": "t", "campaign": "c", "site": "s", "round": 1, "global_version": 0,
            "seed": 3, "model_path": "../model", "data": [{"name": "texts", "path": "../texts.jsonl"}], "threads": 1,
            "walltime_seconds": 0, **more}
    with open(f"{directory}/task.json", "w") as file:
        json.dump(task, file)


def run(kind, directory):
    done = subprocess.run([TRAINER, kind, "--task", directory], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr
    assert "memory: about" in done.stderr, done.stderr
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


def main():
    transformers.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as root:
        torch.manual_seed(1)
        config = Qwen2Config(vocab_size=258, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
                             num_attention_heads=4, num_key_value_heads=2, bos_token_id=BOS, eos_token_id=EOS,
                             max_position_embeddings=64, initializer_range=0.2, attn_implementation="eager")
        AutoModelForCausalLM.from_config(config).save_pretrained(f"{root}/model")
        tokenizer = write_tokenizer(f"{root}/model/tokenizer.json")
        with open(f"{root}/texts.jsonl", "w") as file:
            file.writelines(json.dumps({"text": text}) + "\n" for text in TEXTS)
        load = lambda: AutoModelForCausalLM.from_pretrained(f"{root}/model", attn_implementation="eager")
        lora = LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, lora_dropout=0.05, target_modules="all-linear",
                          use_rslora=True, modules_to_save=["lm_head"])
        fresh = get_peft_model(load(), lora)
        fresh.save_pretrained(f"{root}/adapter")
        before = mean_loss(fresh.eval(), tokenizer)

        write_task(f"{root}/train", "train", f"{root}/adapter",
                   training={"steps": 10, "batch_size": 5, "sequence_length": 32, "learning_rate": 0.01})
        run("train", f"{root}/train")
        trained = PeftModel.from_pretrained(load(), f"{root}/train/update").eval()
        after = mean_loss(trained, tokenizer)
        write_task(f"{root}/evaluate", "evaluate", f"{root}/train/update",
                   evaluation={"batch_size": 2, "max_examples": 0})
        reported = run("evaluate", f"{root}/evaluate")["metrics"]["loss/texts"]
        print(f"loss {before:.4f}, after training {after:.6f} in PEFT, {reported:.6f} by evaluate")
        assert after < before - 1
        assert abs(after - reported) < 1e-4


main()
