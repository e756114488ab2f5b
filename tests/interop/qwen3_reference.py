"""Qwen3 as it differs from Qwen2: no biases, an explicit head_dim, an RMSNorm over each head of q and k before the
rotation. For versions of transformers that do not have it."""
import math

import torch
from torch import nn
from transformers import Qwen2Config, Qwen2ForCausalLM
from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm, Qwen2RotaryEmbedding, apply_rotary_pos_emb


class Qwen3Attention(nn.Module):
    def __init__(self, config, layer_idx):
        super().__init__()
        self.heads, self.kv_heads, self.dim = config.num_attention_heads, config.num_key_value_heads, config.head_dim
        self.q_proj = nn.Linear(config.hidden_size, self.heads * self.dim, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, self.kv_heads * self.dim, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, self.kv_heads * self.dim, bias=False)
        self.o_proj = nn.Linear(self.heads * self.dim, config.hidden_size, bias=False)
        self.q_norm = Qwen2RMSNorm(self.dim, config.rms_norm_eps)
        self.k_norm = Qwen2RMSNorm(self.dim, config.rms_norm_eps)
        self.rotary_emb = Qwen2RotaryEmbedding(config=config)

    def forward(self, hidden_states, position_ids=None, past_key_value=None, **_):
        batch, length, _ = hidden_states.shape
        q = self.q_norm(self.q_proj(hidden_states).view(batch, length, self.heads, self.dim)).transpose(1, 2)
        k = self.k_norm(self.k_proj(hidden_states).view(batch, length, self.kv_heads, self.dim)).transpose(1, 2)
        v = self.v_proj(hidden_states).view(batch, length, self.kv_heads, self.dim).transpose(1, 2)
        cos, sin = self.rotary_emb(v, position_ids)
        q, k = apply_rotary_pos_emb(q, k, cos, sin)
        k = k.repeat_interleave(self.heads // self.kv_heads, 1)
        v = v.repeat_interleave(self.heads // self.kv_heads, 1)
        future = torch.ones(length, length, dtype=torch.bool).triu(1)
        scores = (q @ k.transpose(2, 3) / math.sqrt(self.dim)).masked_fill(future, float("-inf"))
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, self.heads * self.dim)
        return self.o_proj(mixed), None, past_key_value


class Qwen3ForCausalLM(Qwen2ForCausalLM):
    def __init__(self, config):
        super().__init__(config)
        for index, layer in enumerate(self.model.layers):
            layer.self_attn = Qwen3Attention(config, index)
        self.post_init()


class Qwen3Config(Qwen2Config):
    model_type = "qwen3"
