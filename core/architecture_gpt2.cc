// GPT-2: transformer.{wte, wpe}, transformer.h.N.{ln_1, attn, ln_2, mlp}, transformer.ln_f,
// lm_head. Its linear layers are Conv1D, which keep the weight as [in, out]; q, k and v are one of
// them.
#include <nlohmann/json.hpp>
#include <string>

#include "core/architecture.h"

namespace tributary {

void ReadGpt2(JsonObjectReader& config, ModelShape* shape) {
  shape->vocab_size = config.Int("vocab_size", 1, kMaxVocabulary);
  shape->hidden_size = config.Int("n_embd", 1, kMaxModelWidth);
  shape->layers = config.Int("n_layer", 1, kMaxLayers);
  shape->heads = config.Int("n_head", 1, kMaxModelWidth);
  shape->kv_heads = shape->heads;
  shape->positions = config.Int("n_positions", 2, kMaxVocabulary);
  shape->intermediate_size = HasValue(config, "n_inner") ? config.Int("n_inner", 1, kMaxModelWidth)
                                                         : 4 * shape->hidden_size;
  if (shape->hidden_size % shape->heads != 0) {
    config.Problem("n_head", std::to_string(shape->heads) + " does not divide n_embd " +
                                 std::to_string(shape->hidden_size));
  }
  shape->head_dim = shape->hidden_size / shape->heads;
  shape->tied_embeddings = config.Bool("tie_word_embeddings", true);
  shape->qkv_bias = shape->output_bias = shape->mlp_bias = true;
}

std::vector<ModelModule> Gpt2Modules(const ModelShape& shape) {
  std::vector<ModelModule> modules;
  const std::int64_t hidden = shape.hidden_size;
  const auto norm = [&](std::string name) {
    modules.push_back({std::move(name), ModuleKind::kNorm, hidden, 0, true});
  };
  const auto linear = [&](std::string name, std::int64_t out, std::int64_t in) {
    modules.push_back({std::move(name), ModuleKind::kLinear, out, in, true, true});
  };
  modules.push_back({"transformer.wte", ModuleKind::kEmbedding, shape.vocab_size, hidden});
  modules.push_back({"transformer.wpe", ModuleKind::kEmbedding, shape.positions, hidden});
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    const std::string prefix = "transformer.h." + std::to_string(layer) + ".";
    norm(prefix + "ln_1");
    linear(prefix + "attn.c_attn", 3 * hidden, hidden);
    linear(prefix + "attn.c_proj", hidden, hidden);
    norm(prefix + "ln_2");
    linear(prefix + "mlp.c_fc", shape.intermediate_size, hidden);
    linear(prefix + "mlp.c_proj", hidden, shape.intermediate_size);
  }
  norm("transformer.ln_f");
  modules.push_back({"lm_head", ModuleKind::kHead, shape.vocab_size, hidden});
  return modules;
}

}  // namespace tributary
