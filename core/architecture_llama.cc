// The Llama family: model.embed_tokens, model.layers.N.{input_layernorm, self_attn,
// post_attention_layernorm, mlp}, model.norm, lm_head.
#include <nlohmann/json.hpp>
#include <string>

#include "core/architecture.h"

namespace tributary {
namespace {

void ReadHeads(JsonObjectReader& config, std::int64_t default_head_dim, ModelShape* shape) {
  shape->heads = config.Int("num_attention_heads", 1, kMaxModelWidth);
  shape->kv_heads = HasValue(config, "num_key_value_heads")
                        ? config.Int("num_key_value_heads", 1, kMaxModelWidth)
                        : shape->heads;
  if (HasValue(config, "head_dim")) {
    shape->head_dim = config.Int("head_dim", 1, kMaxModelWidth);
  } else if (default_head_dim > 0) {
    shape->head_dim = default_head_dim;
  } else {
    if (shape->hidden_size % shape->heads != 0) {
      config.Problem("num_attention_heads", std::to_string(shape->heads) +
                                                " does not divide hidden_size " +
                                                std::to_string(shape->hidden_size));
    }
    shape->head_dim = shape->hidden_size / shape->heads;
  }
  if (shape->head_dim % 2 != 0) {
    config.Problem("head_dim",
                   std::to_string(shape->head_dim) + " is odd; rotary embeddings need an even one");
  }
  if (shape->heads % shape->kv_heads != 0) {
    config.Problem("num_key_value_heads", std::to_string(shape->kv_heads) +
                                              " does not divide num_attention_heads " +
                                              std::to_string(shape->heads));
  }
}

// `default_head_dim` 0: hidden_size / num_attention_heads.
void ReadCommon(JsonObjectReader& config, std::int64_t default_head_dim, ModelShape* shape) {
  shape->vocab_size = config.Int("vocab_size", 1, kMaxVocabulary);
  shape->hidden_size = config.Int("hidden_size", 1, kMaxModelWidth);
  shape->intermediate_size = config.Int("intermediate_size", 1, kMaxModelWidth);
  shape->layers = config.Int("num_hidden_layers", 1, kMaxLayers);
  ReadHeads(config, default_head_dim, shape);
  shape->tied_embeddings = config.Bool("tie_word_embeddings", false);
}

ModelModule Norm(std::string name, std::int64_t width) {
  return {std::move(name), ModuleKind::kNorm, width, 0, false, false};
}

}  // namespace

void ReadLlama(JsonObjectReader& config, ModelShape* shape) {
  ReadCommon(config, 0, shape);
  shape->qkv_bias = shape->output_bias = config.Bool("attention_bias", false);
  shape->mlp_bias = config.Bool("mlp_bias", false);
}

void ReadMistral(JsonObjectReader& config, ModelShape* shape) { ReadCommon(config, 0, shape); }

void ReadQwen2(JsonObjectReader& config, ModelShape* shape) {
  ReadCommon(config, 0, shape);
  shape->qkv_bias = true;
}

void ReadQwen3(JsonObjectReader& config, ModelShape* shape) {
  constexpr std::int64_t kDefaultHeadDim = 128;  // of transformers' Qwen3Config
  ReadCommon(config, kDefaultHeadDim, shape);
  shape->qkv_bias = shape->output_bias = config.Bool("attention_bias", false);
  shape->qk_norm = true;
}

std::vector<ModelModule> LlamaModules(const ModelShape& shape) {
  std::vector<ModelModule> modules;
  const auto linear = [&modules](std::string name, std::int64_t out, std::int64_t in, bool bias) {
    modules.push_back({std::move(name), ModuleKind::kLinear, out, in, bias, false});
  };
  const std::int64_t hidden = shape.hidden_size;
  const std::int64_t q = shape.heads * shape.head_dim;
  const std::int64_t kv = shape.kv_heads * shape.head_dim;
  modules.push_back({"model.embed_tokens", ModuleKind::kEmbedding, shape.vocab_size, hidden});
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    modules.push_back(Norm(prefix + "input_layernorm", hidden));
    linear(prefix + "self_attn.q_proj", q, hidden, shape.qkv_bias);
    linear(prefix + "self_attn.k_proj", kv, hidden, shape.qkv_bias);
    linear(prefix + "self_attn.v_proj", kv, hidden, shape.qkv_bias);
    if (shape.qk_norm) {
      modules.push_back(Norm(prefix + "self_attn.q_norm", shape.head_dim));
      modules.push_back(Norm(prefix + "self_attn.k_norm", shape.head_dim));
    }
    linear(prefix + "self_attn.o_proj", hidden, q, shape.output_bias);
    modules.push_back(Norm(prefix + "post_attention_layernorm", hidden));
    linear(prefix + "mlp.gate_proj", shape.intermediate_size, hidden, shape.mlp_bias);
    linear(prefix + "mlp.up_proj", shape.intermediate_size, hidden, shape.mlp_bias);
    linear(prefix + "mlp.down_proj", hidden, shape.intermediate_size, shape.mlp_bias);
  }
  modules.push_back(Norm("model.norm", hidden));
  modules.push_back({"lm_head", ModuleKind::kHead, shape.vocab_size, hidden});
  return modules;
}

}  // namespace tributary
