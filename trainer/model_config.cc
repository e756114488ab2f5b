#include "trainer/model_config.h"

#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "core/architecture.h"
#include "core/json.h"
#include "core/json_members.h"

namespace tributary::trainer {
namespace {

using nlohmann::json;

constexpr std::int64_t kMaxPositions = 1 << 24;

// One of the texts, the first of them by default.
void RequireOneOf(JsonObjectReader& reader, std::string_view key, const std::string& fallback,
                  const std::vector<std::string>& supported) {
  const std::string value = reader.String(key, fallback);
  std::string list;
  for (const std::string& one : supported) {
    if (value == one) return;
    list += (list.empty() ? "" : ", ") + one;
  }
  reader.Problem(key, "\"" + value + "\" is not supported; supported: " + list);
}

void RequireBool(JsonObjectReader& reader, std::string_view key, bool value) {
  if (!HasValue(reader, key) || reader.Bool(key, value) == value) return;
  const std::string supported = value ? "true" : "false";
  reader.Problem(
      key, std::string(value ? "false" : "true") + " is not supported; supported: " + supported);
}

double Positive(JsonObjectReader& reader, std::string_view key) {
  const double value = reader.Number(key);
  if (value > 0) return value;
  if (reader.Has(key)) reader.Problem(key, "must be above 0");
  return 1;
}

RopeScaling ReadScaling(JsonObjectReader& rope) {
  RopeScaling scaling;
  const std::string key = rope.Has("rope_type") ? "rope_type" : "type";
  const std::string type = rope.String(key, "default");
  if (type == "linear") {
    scaling.kind = RopeScaling::Kind::kLinear;
    scaling.factor = Positive(rope, "factor");
  } else if (type == "llama3") {
    scaling.kind = RopeScaling::Kind::kLlama3;
    scaling.factor = Positive(rope, "factor");
    scaling.low_freq_factor = Positive(rope, "low_freq_factor");
    scaling.high_freq_factor = Positive(rope, "high_freq_factor");
    scaling.original_positions = rope.Int("original_max_position_embeddings", 1, kMaxPositions);
    if (rope.Has("high_freq_factor") && scaling.high_freq_factor <= scaling.low_freq_factor) {
      rope.Problem("high_freq_factor", "must be above low_freq_factor");
    }
  } else if (type != "default") {
    rope.Problem(key, "\"" + type + "\" is not supported; supported: default, linear, llama3");
  }
  return scaling;
}

void RequireWholeRotary(JsonObjectReader& reader) {
  if (HasValue(reader, "partial_rotary_factor") && reader.Number("partial_rotary_factor") != 1) {
    reader.Problem("partial_rotary_factor", "is not supported; supported: 1");
  }
}

// A key that nobody reads could be what the frequencies depend on.
void RefuseUnknownRopeKeys(JsonObjectReader& rope, const json& object) {
  static const std::set<std::string, std::less<>> known = {"type",
                                                           "rope_type",
                                                           "rope_theta",
                                                           "factor",
                                                           "low_freq_factor",
                                                           "high_freq_factor",
                                                           "original_max_position_embeddings",
                                                           "partial_rotary_factor"};
  for (const auto& [key, value] : object.items()) {
    if (!known.contains(key) && !value.is_null()) rope.Problem(key, "is not supported");
  }
}

void ReadRopeObject(JsonObjectReader& rope, const json& object, ModelConfig* config) {
  config->rope_scaling = ReadScaling(rope);
  if (HasValue(rope, "rope_theta")) config->rope_theta = rope.Number("rope_theta");
  RequireWholeRotary(rope);
  RefuseUnknownRopeKeys(rope, object);
}

// Newer files may have one object for each type of layer. One for all is what is built here.
bool ReadRopeByLayerType(JsonObjectReader& rope, const json& object, ModelConfig* config) {
  constexpr std::string_view kTypes[] = {"full_attention", "sliding_attention"};
  std::string_view first;
  for (const std::string_view type : kTypes) {
    if (!object.contains(type) || !object.at(std::string(type)).is_object()) continue;
    if (first.empty()) first = type;
    if (object.at(std::string(type)) != object.at(std::string(first))) {
      rope.Problem(type, "is not as " + std::string(first) +
                             "; supported: the same for all types of layers");
    }
  }
  if (first.empty()) return false;
  for (const auto& [key, value] : object.items()) {
    if (key != kTypes[0] && key != kTypes[1]) rope.Problem(key, "is not supported");
  }
  JsonObjectReader one = rope.Object(first);
  ReadRopeObject(one, object.at(std::string(first)), config);
  return true;
}

// Versions of transformers write rope_theta beside the other keys or inside "rope_parameters".
void ReadRope(JsonObjectReader& reader, ModelConfig* config) {
  if (HasValue(reader, "rope_theta")) config->rope_theta = reader.Number("rope_theta");
  for (const std::string_view key : {"rope_scaling", "rope_parameters"}) {
    if (!HasValue(reader, key)) continue;
    const json& object = reader.Raw(key);
    JsonObjectReader rope = reader.Object(key);
    if (!object.is_object() || ReadRopeByLayerType(rope, object, config)) continue;
    ReadRopeObject(rope, object, config);
  }
  if (!(config->rope_theta > 0)) reader.Problem("rope_theta", "must be above 0");
  RequireWholeRotary(reader);
  RequireBool(reader, "rope_interleaved", false);
  RequireBool(reader, "use_mrope", false);
}

// "layer_types" of newer files; else all layers from `first` on.
void ReadWindows(JsonObjectReader& reader, std::int64_t window, std::int64_t first,
                 ModelConfig* config) {
  const std::int64_t layers = config->shape.layers;
  config->windows.assign(static_cast<std::size_t>(layers), 0);
  if (HasValue(reader, "layer_types")) {
    const std::vector<std::string> types = reader.Strings("layer_types");
    if (static_cast<std::int64_t>(types.size()) != layers) {
      return reader.Problem("layer_types", "must have one entry for each of the " +
                                               std::to_string(layers) + " layers");
    }
    for (std::size_t i = 0; i < types.size(); ++i) {
      if (types[i] == "sliding_attention") {
        config->windows[i] = window;
      } else if (types[i] != "full_attention") {
        return reader.Problem(
            "layer_types",
            "\"" + types[i] + "\" is not supported; supported: full_attention, sliding_attention");
      }
    }
    return;
  }
  for (std::int64_t i = first; i < layers; ++i)
    config->windows[static_cast<std::size_t>(i)] = window;
}

// The defaults are those of transformers' classes: Mistral's files have a window unless they say
// null, Qwen's only with use_sliding_window, and then from layer max_window_layers on.
void ReadSlidingWindow(JsonObjectReader& reader, ModelConfig* config) {
  constexpr std::int64_t kDefaultWindow = 4096;
  constexpr std::int64_t kDefaultFullLayers = 28;
  const std::string& type = config->shape.model_type;
  const bool given = HasValue(reader, "sliding_window");
  const std::int64_t window = given ? reader.Int("sliding_window", 1, kMaxPositions)
                              : reader.Has("sliding_window") ? 0
                                                             : kDefaultWindow;
  if (type == "mistral") {
    ReadWindows(reader, window, 0, config);
  } else if (type == "qwen2" || type == "qwen3") {
    if (!reader.Bool("use_sliding_window", false)) return;
    const std::int64_t full = HasValue(reader, "max_window_layers")
                                  ? reader.Int("max_window_layers", 0, kMaxLayers)
                                  : kDefaultFullLayers;
    ReadWindows(reader, window, full, config);
  }
}

double Epsilon(JsonObjectReader& reader, std::string_view key, double fallback) {
  const double eps = reader.Number(key, fallback);
  if (!(eps > 0 && eps < 1)) reader.Problem(key, "must be above 0 and below 1");
  return eps;
}

void ReadRotaryOptions(JsonObjectReader& reader, ModelConfig* config) {
  RequireOneOf(reader, "hidden_act", "silu", {"silu"});
  config->norm_eps = Epsilon(reader, "rms_norm_eps", config->norm_eps);
  config->max_positions =
      reader.Int("max_position_embeddings", 2, kMaxPositions, config->max_positions);
  ReadRope(reader, config);
  ReadSlidingWindow(reader, config);
}

void ReadGpt2Options(JsonObjectReader& reader, ModelConfig* config) {
  RequireOneOf(reader, "activation_function", "gelu_new", {"gelu_new", "gelu_pytorch_tanh"});
  config->norm_eps = Epsilon(reader, "layer_norm_epsilon", 1e-5);
  config->max_positions = config->shape.positions;
  RequireBool(reader, "scale_attn_weights", true);
  RequireBool(reader, "scale_attn_by_inverse_layer_idx", false);
  RequireBool(reader, "add_cross_attention", false);
}

std::optional<std::int64_t> ReadToken(JsonObjectReader& reader, std::string_view key,
                                      std::int64_t vocab_size) {
  if (!HasValue(reader, key)) return std::nullopt;
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

std::int64_t ModelConfig::Window(std::int64_t layer) const {
  return windows.empty() ? 0 : windows[static_cast<std::size_t>(layer)];
}

Result<ModelConfig> ModelConfig::FromJson(std::string_view text) {
  ModelConfig config;
  TRIBUTARY_ASSIGN_OR_RETURN(const json object, ParseJsonMembers(text, "config.json"));
  std::vector<std::string> problems;
  JsonObjectReader reader(object, "config.json", &problems);
  TRIBUTARY_RETURN_IF_ERROR(ProblemsToStatus(problems));
  config.shape = ModelShape::Read(reader);
  if (config.shape.vocab_size == 0)
    return ProblemsToStatus(problems);  // of an unknown architecture
  if (config.shape.model_type == "gpt2") {
    ReadGpt2Options(reader, &config);
  } else {
    ReadRotaryOptions(reader, &config);
  }
  if (HasValue(reader, "quantization_config")) {
    reader.Problem("quantization_config",
                   "quantized weights are not supported; supported: F32, F16 and BF16 weights");
  }
  config.bos_token = ReadToken(reader, "bos_token_id", config.shape.vocab_size);
  const auto eos = ReadToken(reader, "eos_token_id", config.shape.vocab_size);
  if (!HasValue(reader, "eos_token_id")) reader.Problem("eos_token_id", "is missing");
  config.eos_token = eos.value_or(0);
  TRIBUTARY_RETURN_IF_ERROR(ProblemsToStatus(problems));
  return config;
}

std::string ModelConfig::ToJson() const {
  json object = {{"architectures", {shape.ClassName()}},
                 {"attention_bias", false},
                 {"eos_token_id", eos_token},
                 {"head_dim", shape.head_dim},
                 {"hidden_act", "silu"},
                 {"hidden_size", shape.hidden_size},
                 {"initializer_range", 0.02},
                 {"intermediate_size", shape.intermediate_size},
                 {"max_position_embeddings", max_positions},
                 {"mlp_bias", false},
                 {"model_type", shape.model_type},
                 {"num_attention_heads", shape.heads},
                 {"num_hidden_layers", shape.layers},
                 {"num_key_value_heads", shape.kv_heads},
                 {"rms_norm_eps", norm_eps},
                 {"rope_scaling", nullptr},
                 {"rope_theta", rope_theta},
                 {"tie_word_embeddings", shape.tied_embeddings},
                 {"torch_dtype", "float32"},
                 {"vocab_size", shape.vocab_size}};
  object["bos_token_id"] = bos_token ? json(*bos_token) : json(nullptr);
  return object.dump(2) + "\n";
}

}  // namespace tributary::trainer
