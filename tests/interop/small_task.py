"""A small Qwen2 with a PEFT adapter, and tasks about them: what tasks.py and torchrun.py train."""
import json
import os

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, Qwen2Config

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


def load(root):
    return AutoModelForCausalLM.from_pretrained(f"{root}/model", attn_implementation="eager")


def write_model_and_adapter(root, dropout):
    """ROOT/model, ROOT/texts.jsonl and ROOT/adapter; the tokenizer, and the model with the adapter."""
    torch.manual_seed(1)
    config = Qwen2Config(vocab_size=258, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, bos_token_id=BOS, eos_token_id=EOS,
                         max_position_embeddings=64, initializer_range=0.2, attn_implementation="eager")
    AutoModelForCausalLM.from_config(config).save_pretrained(f"{root}/model")
    tokenizer = write_tokenizer(f"{root}/model/tokenizer.json")
    with open(f"{root}/model/tokenizer_config.json", "w") as file:
        json.dump({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>"}, file)
    with open(f"{root}/texts.jsonl", "w") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in TEXTS)
    lora = LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, lora_dropout=dropout, target_modules="all-linear",
                      use_rslora=True, modules_to_save=["lm_head"])
    fresh = get_peft_model(load(root), lora)
    fresh.save_pretrained(f"{root}/adapter")
    return tokenizer, fresh
