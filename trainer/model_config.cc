#include "trainer/model_config.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "core/json.h"

namespace tributary::trainer {
namespace {

using nlohmann::json;

// transformers writes null for what was not set.
bool HasValue(const json& object, std::string_view key) {
  const auto it = object.find(key);
  return it != object.end() && !it->is_null();
}

// Versions of transformers write rope_theta beside the other keys or inside "rope_parameters".
double ReadRope(const json& object, JsonObjectReader& reader, double fallback) {
  double theta = HasValue(object, "rope_theta") ? reader.Number("rope_theta") : fallback;
  for (const std::string_view key : {"rope_scaling", "rope_parameters"}) {
    if (!HasValue(object, key)) continue;
    JsonObjectReader rope = reader.Object(key);
    const std::string type = rope.String("rope_type", rope.String("type", "default"));
    if (type != "default") {
      reader.Problem(key, "rope_type \"" + type + "\" is not supported; supported: default");
    }
    if (rope.Has("rope_theta")) theta = rope.Number("rope_theta");
  }
  if (!(theta > 0)) reader.Problem("rope_theta", "must be above 0");
  return theta;
}

std::optional<std::int64_t> ReadToken(const json& object, JsonObjectReader& reader,
                                      std::string_view key, std::int64_t vocab_size) {
  if (!HasValue(object, key)) return std::nullopt;
  const json& member = reader.Raw(key);
  const json& token = member.is_array() && !member.empty() ? member[0] : member;
  if (token.is_number_unsigned() &&
      token.get<std::uint64_t>() < static_cast<std::uint64_t>(vocab_size)) {
    return token.get<std::int64_t>();
  }
  reader.Problem(key, token.dump() + " is no token id below vocab_size");
  return std::nullopt;
}

}  // namespace

Result<ModelConfig> ModelConfig::FromJson(std::string_view text) {
  ModelConfig config;
  TRIBUTARY_ASSIGN_OR_RETURN(config.shape, LlamaShape::FromConfigJson(text));
  TRIBUTARY_ASSIGN_OR_RETURN(const json object, ParseJson(text, "config.json"));
  std::vector<std::string> problems;
  JsonObjectReader reader(object, "config.json", &problems);
  if (const std::string act = reader.String("hidden_act", "silu"); act != "silu") {
    reader.Problem("hidden_act", "\"" + act + "\" is not supported; supported: silu");
  }
  config.rms_norm_eps = reader.Number("rms_norm_eps", config.rms_norm_eps);
  if (!(config.rms_norm_eps > 0 && config.rms_norm_eps < 1)) {
    reader.Problem("rms_norm_eps", "must be above 0 and below 1");
  }
  config.rope_theta = ReadRope(object, reader, config.rope_theta);
  config.max_positions = reader.Int("max_position_embeddings", 2, 1 << 24, config.max_positions);
  config.bos_token = ReadToken(object, reader, "bos_token_id", config.shape.vocab_size);
  const auto eos = ReadToken(object, reader, "eos_token_id", config.shape.vocab_size);
  if (!HasValue(object, "eos_token_id")) reader.Problem("eos_token_id", "is missing");
  config.eos_token = eos.value_or(0);
  TRIBUTARY_RETURN_IF_ERROR(ProblemsToStatus(problems));
  return config;
}

std::string ModelConfig::ToJson() const {
  json object = {{"architectures", {"LlamaForCausalLM"}},
                 {"attention_bias", false},
                 {"eos_token_id", eos_token},
                 {"head_dim", shape.head_dim},
                 {"hidden_act", "silu"},
                 {"hidden_size", shape.hidden_size},
                 {"initializer_range", 0.02},
                 {"intermediate_size", shape.intermediate_size},
                 {"max_position_embeddings", max_positions},
                 {"mlp_bias", false},
                 {"model_type", "llama"},
                 {"num_attention_heads", shape.heads},
                 {"num_hidden_layers", shape.layers},
                 {"num_key_value_heads", shape.kv_heads},
                 {"rms_norm_eps", rms_norm_eps},
                 {"rope_scaling", nullptr},
                 {"rope_theta", rope_theta},
                 {"tie_word_embeddings", shape.tied_embeddings},
                 {"torch_dtype", "float32"},
                 {"vocab_size", shape.vocab_size}};
  object["bos_token_id"] = bos_token ? json(*bos_token) : json(nullptr);
  return object.dump(2) + "\n";
}

}  // namespace tributary::trainer
