"""Models, LoRA and merging against transformers and PEFT: models.py MODEL_PROBE TRIBUTARY_TRAINER

For each architecture a small random model is written by save_pretrained. Compared are logits, loss, gradients and ten
steps of AdamW, adapters written by PEFT and read here, written here and read by PEFT, and merged models."""
import json
import os
import subprocess
import sys
import tempfile

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (AutoModelForCausalLM, GPT2Config, LlamaConfig, MistralConfig, Qwen2Config)

from qwen3_reference import Qwen3Config, Qwen3ForCausalLM

PROBE, TRAINER = sys.argv[1:3]
# The epsilon is above the rounding errors of gradients that are zero in exact arithmetic (a bias of k), which AdamW would
# blow up to whole steps.
STEPS, RATE, DECAY, EPSILON = 10, 1e-3, 0.01, 1e-6
failures = []

BASE = dict(vocab_size=61, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=256, bos_token_id=0, eos_token_id=1,
            initializer_range=0.2, attn_implementation="eager")
LLAMA3_ROPE = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 16}
LLAMA_TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def lora(**options):
    return LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.0, **options)


# name: (configuration, how it is saved, LoRA)
CASES = {
    "llama": (LlamaConfig(**BASE, rms_norm_eps=1e-5), {}, lora(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"])),
    "llama3-rope": (
        LlamaConfig(**BASE, rope_scaling=LLAMA3_ROPE, rope_theta=500.0, head_dim=12), dict(max_shard_size="20KB"),
        lora(r=4, lora_alpha=6, target_modules="all-linear", use_rslora=True)),
    "llama-linear-rope": (
        LlamaConfig(**BASE, rope_scaling={"type": "linear", "factor": 3.0}, attention_bias=True, mlp_bias=True,
                    tie_word_embeddings=True), {},
        lora(r=4, lora_alpha=8, target_modules=r"model\.layers\.\d+\.self_attn\.(q|k|o)_proj",
             modules_to_save=["embed_tokens", "lm_head"])),
    "mistral": (
        MistralConfig(**BASE, sliding_window=6), dict(dtype=torch.bfloat16),
        lora(r=4, lora_alpha=8, target_modules=LLAMA_TARGETS, rank_pattern={"down_proj": 2, "layers.0.self_attn.q_proj": 6},
             alpha_pattern={"down_proj": 3, "layers.0.self_attn.q_proj": 16})),
    "qwen2": (
        Qwen2Config(**BASE, tie_word_embeddings=True), dict(dtype=torch.float16),
        lora(r=3, lora_alpha=8, target_modules="all-linear", modules_to_save=["lm_head"])),
    "qwen2-window": (
        Qwen2Config(**BASE, use_sliding_window=True, sliding_window=5, max_window_layers=0), {},
        lora(r=3, lora_alpha=8, target_modules=["v_proj", "mlp.up_proj"], modules_to_save=["norm"])),
    "qwen3": (
        Qwen3Config(**BASE, head_dim=12, tie_word_embeddings=False), {},
        lora(r=4, lora_alpha=8, target_modules=LLAMA_TARGETS, modules_to_save=["q_norm"])),
    "gpt2": (
        GPT2Config(vocab_size=61, n_positions=64, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=1,
                   initializer_range=0.2, attn_implementation="eager", resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0),
        {}, lora(r=4, lora_alpha=8, target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True,
                 rank_pattern={"attn.c_proj": 2}, alpha_pattern={"attn.c_proj": 3}, modules_to_save=["ln_f"])),
    "gpt2-head": (
        GPT2Config(vocab_size=61, n_positions=64, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=1,
                   initializer_range=0.2, attn_implementation="eager", resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0),
        dict(dtype=torch.float16), lora(r=4, lora_alpha=8, target_modules="all-linear", fan_in_fan_out=True, use_rslora=True,
                 modules_to_save=["wte"])),
}


def check(case, what, ours, theirs, limit, relative=False):
    """The largest difference of two dictionaries of tensors, relative to the largest element of each tensor."""
    if set(ours) != set(theirs):
        failures.append(f"{case} {what}: names differ: {sorted(set(ours) ^ set(theirs))[:6]}")
        return
    worst = 0.0
    for name, tensor in theirs.items():
        if ours[name].shape != tensor.shape:
            failures.append(f"{case} {what}: {name} is {tuple(ours[name].shape)}, not {tuple(tensor.shape)}")
            return
        difference = (ours[name].double() - tensor.double()).abs().max().item()
        worst = max(worst, difference / (tensor.double().abs().max().item() + 1e-6) if relative else difference)
    print(f"{case:18} {what:28} {worst:.2e} (limit {limit:g})")
    if not worst <= limit:
        failures.append(f"{case} {what}: {worst:.3e} is above {limit:g}")


def sequences():
    generator = torch.Generator().manual_seed(5)
    return [[0] + torch.randint(2, 61, (n,), generator=generator).tolist() + [1] for n in (18, 3, 30)]


def load(config, path):
    """With weights as stored, in float."""
    if isinstance(config, Qwen3Config):
        return Qwen3ForCausalLM.from_pretrained(path, torch_dtype=torch.float32)
    return AutoModelForCausalLM.from_pretrained(path, torch_dtype=torch.float32, attn_implementation="eager")


def save_model(config, path, dtype=torch.float32, **how):
    torch.manual_seed(1)
    model = (Qwen3ForCausalLM if isinstance(config, Qwen3Config) else AutoModelForCausalLM.from_config)(config)
    with torch.no_grad():  # norms and biases that matter
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
    model.to(dtype).save_pretrained(path, **how)
    if isinstance(config, Qwen3Config):
        with open(f"{path}/config.json") as file:
            written = json.load(file)
        written.update(model_type="qwen3", architectures=["Qwen3ForCausalLM"])
        with open(f"{path}/config.json", "w") as file:
            json.dump(written, file)


def logits(model, ids):
    with torch.no_grad():
        return {"": torch.cat([model(torch.tensor([s])).logits[0] for s in ids])}


def loss_of(model, ids, loss_from):
    total, count = 0, 0
    for s in ids:
        out = model(torch.tensor([s])).logits[0]
        total = total + torch.nn.functional.cross_entropy(out[loss_from - 1:-1], torch.tensor(s[loss_from:]),
                                                          reduction="sum")
        count += len(s) - loss_from
    return total / count


def probe(directory, model, adapter, name, **request):
    request.update(sequences=sequences(), loss_from=2, weight_decay=DECAY, learning_rate=RATE, epsilon=EPSILON)
    with open(f"{directory}/{name}.json", "w") as file:
        json.dump(request, file)
    output = f"{directory}/{name}.safetensors"
    subprocess.run([PROBE, model, adapter, f"{directory}/{name}.json", output], check=True)
    tensors = load_file(output)
    pick = lambda prefix: {k[len(prefix):]: v for k, v in tensors.items() if k.startswith(prefix)}
    return {"logits": {"": tensors["logits"]}, "loss": {"": tensors["loss"]},
            "logits_after": {"": tensors["logits_after"]} if "logits_after" in tensors else None,
            "gradient": pick("gradient."), "trained": pick("trained.")}


def peft_name(name):
    return name.replace(".default", "").replace(".modules_to_save", "")


def train(model, names, ids):
    """Gradients of the first step and weights after all of them, under `names(parameter name)`."""
    trained = {names(n): p for n, p in model.named_parameters() if p.requires_grad}
    # As transformers' Trainer groups them, vectors (norms, biases) do not decay.
    groups = [dict(params=[p for p in trained.values() if p.dim() > 1], weight_decay=DECAY),
              dict(params=[p for p in trained.values() if p.dim() == 1], weight_decay=0.0)]
    optimizer = torch.optim.AdamW(groups, lr=RATE, eps=EPSILON)
    gradients = None
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of(model, ids, 2)
        loss.backward()
        if gradients is None:
            gradients, first = {n: p.grad.clone() for n, p in trained.items()}, loss.item()
        optimizer.step()
    return first, gradients, {n: p.detach().clone() for n, p in trained.items()}


def compare_training(case, what, ours, theirs):
    loss, gradients, trained = theirs
    check(case, what + " loss", ours["loss"], {"": torch.tensor([loss])}, 1e-4, relative=True)
    check(case, what + " gradients", ours["gradient"], gradients, 1e-4, relative=True)
    check(case, what + " weights after steps", ours["trained"], trained, 1e-3)


def check_full(case, config, path, directory):
    model = load(config, path)
    state = {n: p.detach().clone() for n, p in model.named_parameters()}
    full = f"{directory}/full"
    os.mkdir(full)
    save_file(state, f"{full}/adapter_model.safetensors")
    with open(f"{full}/adapter_config.json", "w") as file:
        json.dump({"tributary_adapter": "full"}, file)
    ours = probe(directory, path, full, "full-probe", steps=STEPS)
    compare_training(case, "full", ours, train(model, lambda n: n, sequences()))


def random_lora(model):
    torch.manual_seed(2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))


def check_lora(case, config, path, peft_config, directory):
    model = get_peft_model(load(config, path), peft_config)
    random_lora(model)
    theirs = f"{directory}/peft"
    model.save_pretrained(theirs)
    ours = f"{directory}/ours"
    result = probe(directory, path, theirs, "lora-probe", steps=STEPS, adapter_output=ours)
    model.eval()
    check(case, "lora logits (PEFT's file)", result["logits"], logits(model, sequences()), 1e-4)
    model.train()
    compare_training(case, "lora", result, train(model, peft_name, sequences()))

    read_back = PeftModel.from_pretrained(load(config, path), ours).eval()
    check(case, "lora logits (our file)", result["logits_after"], logits(read_back, sequences()), 1e-4)
    return ours, result, read_back


def check_merge(case, config, path, adapter, result, read_back, dtype, directory):
    merged = f"{directory}/merged"
    subprocess.run([TRAINER, "merge", "--model", path, "--adapter", adapter, "--output", merged], check=True,
                   stderr=subprocess.DEVNULL)
    stored = load_file(f"{merged}/model.safetensors")
    if {t.dtype for t in stored.values()} != {dtype}:
        failures.append(f"{case} merged: dtypes are {set(t.dtype for t in stored.values())}")
    limit = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 2e-1}[dtype]
    check(case, f"merged logits ({str(dtype)[6:]})", logits(load(config, merged).eval(), sequences()), result["logits_after"], limit)
    # The weights themselves agree to the rounding of their type.
    theirs = {n: p for n, p in read_back.merge_and_unload().named_parameters()}
    ours = {n: stored[n] for n in stored}
    if "lm_head.weight" in ours and "lm_head.weight" not in theirs:
        ours.pop("lm_head.weight")
    unit = {torch.float32: 1e-5, torch.float16: 2**-10, torch.bfloat16: 2**-7}[dtype]
    check(case, "merged weights", ours, {n: theirs[n].detach() for n in ours}, unit, relative=True)


def run(case, directory):
    config, how, peft_config = CASES[case]
    path = f"{directory}/model"
    save_model(config, path, **how)
    base = probe(directory, path, "-", "base-probe")
    check(case, "base logits", base["logits"], logits(load(config, path).eval(), sequences()), 1e-4)
    check_full(case, config, path, directory)
    adapter, result, read_back = check_lora(case, config, path, peft_config, directory)
    check_merge(case, config, path, adapter, result, read_back, how.get("dtype", torch.float32), directory)


def main():
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(2)
    for case in sys.argv[3:] or CASES:
        with tempfile.TemporaryDirectory() as directory:
            run(case, directory)
    for failure in failures:
        print("FAILED", failure)
    sys.exit(1 if failures else 0)


main()
