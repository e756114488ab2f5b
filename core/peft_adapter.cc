#include "core/peft_adapter.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "core/json.h"
#include "core/random.h"
#include "core/train_directive.h"

namespace tributary {
namespace {

using nlohmann::json;

constexpr std::string_view kPeftPrefix = "base_model.model.";
constexpr std::string_view kFullMarker = "tributary_adapter";
constexpr std::string_view kPlainType = "LORA";
constexpr std::string_view kMiddleType = "LORA_SB";
constexpr std::int64_t kMaxRank = 65'536;

// Keys of adapter_config.json that say nothing about the mathematics of a plain LoRA.
const std::set<std::string, std::less<>>& InformativeKeys() {
  static const std::set<std::string, std::less<>> keys = {
      "auto_mapping",      "inference_mode", "megatron_core",      "peft_version",
      "qalora_group_size", "revision",       "runtime_config",     "task_type",
      "layers_pattern",    "arrow_config",   "ensure_weight_tying"};
  return keys;
}

// null, false, "", {} and [] leave an option of PEFT switched off.
bool IsOff(const json& value) {
  if (value.is_boolean()) return !value.get<bool>();
  if (value.is_string()) return value.get_ref<const std::string&>().empty();
  return value.is_null() || (value.is_structured() && value.empty());
}

// Present and not null: PEFT and transformers write null for what was not set.
bool HasValue(const json& object, std::string_view key) {
  const auto it = object.find(key);
  return it != object.end() && !it->is_null();
}

template <typename Json>
Json AlphaToJson(double alpha) {
  const bool whole = alpha == std::floor(alpha) && std::abs(alpha) < 1e9;
  return whole ? Json(static_cast<std::int64_t>(alpha)) : Json(alpha);
}

// What leaves the base weights as they were. Others (pissa, olora, corda, loftq) make an adapter
// that fits only weights that were changed when it was made.
bool IsPlainInitialisation(const json& value) {
  if (!value.is_string()) return value.is_boolean() || value.is_null();
  const auto& name = value.get_ref<const std::string&>();
  return name == "gaussian" || name == "eva" || name == "orthogonal";
}

bool IsAlpha(double alpha) { return alpha > 0 && alpha < 1e6; }

void ReadTargets(const json& object, JsonObjectReader& reader, AdapterConfig* config) {
  constexpr std::string_view kKey = "target_modules";
  config->target_modules.clear();
  if (object.contains(kKey) && object.at(std::string(kKey)).is_string()) {
    config->target_pattern = reader.String(kKey);
  } else {
    config->target_modules = reader.Strings(kKey);
  }
  if (config->target_modules.empty() && config->target_pattern.empty()) {
    reader.Problem(
        kKey,
        "must be a list of at least one module name, \"all-linear\", or a regular expression");
  }
}

// In the order of the file, which counts when two expressions match.
std::vector<std::pair<std::string, json>> ReadPattern(std::string_view text, const json& object,
                                                      JsonObjectReader& reader,
                                                      const std::string& key) {
  std::vector<std::pair<std::string, json>> values;
  if (!HasValue(object, key)) return values;
  if (!object.at(key).is_object()) {
    reader.Problem(key, "must be an object of module names and numbers");
    return values;
  }
  const auto ordered = nlohmann::ordered_json::parse(text, nullptr, false);
  for (const auto& [name, value] : ordered.at(key).items())
    values.emplace_back(name, object.at(key).at(name));
  return values;
}

void ReadPatterns(std::string_view text, const json& object, JsonObjectReader& reader,
                  AdapterConfig* config) {
  for (const auto& [name, value] : ReadPattern(text, object, reader, "rank_pattern")) {
    if (value.is_number_unsigned() && value.get<std::uint64_t>() >= 1 &&
        value.get<std::uint64_t>() <= kMaxRank) {
      config->rank_pattern.emplace_back(name, value.get<std::int64_t>());
    } else {
      reader.Problem("rank_pattern." + name,
                     value.dump() + " is no rank; must be 1.." + std::to_string(kMaxRank));
    }
  }
  for (const auto& [name, value] : ReadPattern(text, object, reader, "alpha_pattern")) {
    if (value.is_number() && IsAlpha(value.get<double>())) {
      config->alpha_pattern.emplace_back(name, value.get<double>());
    } else {
      reader.Problem("alpha_pattern." + name,
                     value.dump() + " is out of range; must be above 0 and below 1000000");
    }
  }
}

// Uniform in [-bound, bound). Unit() makes 2u - 1 exact, so each value has one rounding in
// double and one to float, and no contraction to a fused multiply-add can change it.
void FillUniform(std::uint64_t key, double bound, std::vector<std::byte>* bytes) {
  SplitMix64 random(key);
  for (std::size_t at = 0; at < bytes->size(); at += sizeof(float)) {
    const auto value = static_cast<float>((2 * random.Unit() - 1) * bound);
    std::memcpy(bytes->data() + at, &value, sizeof value);
  }
}

}  // namespace

std::string LoraName(std::string_view module, bool is_a) {
  return std::string(kPeftPrefix) + std::string(module) +
         (is_a ? ".lora_A.weight" : ".lora_B.weight");
}

std::string MiddleName(std::string_view module) {
  return std::string(kPeftPrefix) + std::string(module) + ".lora_C.weight";
}

std::string SavedName(std::string_view weight) {
  return std::string(kPeftPrefix) + std::string(weight);
}

std::string WeightOfSaved(const ModelShape& model, std::string_view tensor) {
  std::string name(tensor);
  if (name.starts_with(kPeftPrefix)) name.erase(0, kPeftPrefix.size());
  const std::vector<ModelModule> modules = model.Modules();
  const bool tied_head = model.tied_embeddings && name == modules.back().name + ".weight";
  return tied_head ? modules.front().name + ".weight" : name;
}

double AdapterConfig::ScaleOf(std::int64_t module_rank, double module_alpha) const {
  const auto r = static_cast<double>(module_rank);
  return module_alpha / (use_rslora ? std::sqrt(r) : r);
}

AdapterConfig AdapterConfig::AtRank(std::int64_t other) const {
  AdapterConfig config = *this;
  config.rank = other;
  config.alpha =
      Scale() * (use_rslora ? std::sqrt(static_cast<double>(other)) : static_cast<double>(other));
  return config;
}

std::string AdapterConfig::ToPeftJson() const {
  using Json = nlohmann::ordered_json;  // the order of a pattern's expressions has a meaning
  constexpr auto kReplace = Json::error_handler_t::replace;
  if (kind == AdapterKind::kFull) {
    return Json{{"base_model_name_or_path", base_model}, {kFullMarker, "full"}}.dump(2, ' ', false,
                                                                                     kReplace) +
           "\n";
  }
  Json ranks = Json::object();
  for (const auto& [name, value] : rank_pattern) ranks[name] = value;
  Json alphas = Json::object();
  for (const auto& [name, value] : alpha_pattern) alphas[name] = AlphaToJson<Json>(value);
  Json object = {
      {"alpha_pattern", alphas},
      {"auto_mapping", nullptr},
      {"base_model_name_or_path", base_model},
      {"bias", "none"},
      {"fan_in_fan_out", fan_in_fan_out},
      {"inference_mode", true},
      {"init_lora_weights", true},
      {"layers_pattern", nullptr},
      {"layers_to_transform", nullptr},
      {"lora_alpha", AlphaToJson<Json>(alpha)},
      {"lora_dropout", dropout},
      {"modules_to_save", modules_to_save.empty() ? Json(nullptr) : Json(modules_to_save)},
      {"peft_type", middle ? kMiddleType : kPlainType},
      {"r", rank},
      {"rank_pattern", ranks},
      {"revision", nullptr},
      {"target_modules", target_pattern.empty() ? Json(target_modules) : Json(target_pattern)},
      {"task_type", "CAUSAL_LM"}};
  // Nothing newer unless it is used: PEFT refuses keys that its version does not know.
  if (use_rslora) object["use_rslora"] = true;
  return object.dump(2, ' ', false, kReplace) + "\n";
}

Result<AdapterConfig> AdapterConfig::FromPeftJson(std::string_view text) {
  TRIBUTARY_ASSIGN_OR_RETURN(const json object, ParseJson(text, kAdapterConfigFile));
  if (!object.is_object()) {
    return InvalidArgumentError(std::string(kAdapterConfigFile) + ": must be an object");
  }
  std::vector<std::string> problems;
  JsonObjectReader reader(object, std::string(kAdapterConfigFile), &problems);
  AdapterConfig config;
  if (HasValue(object, "base_model_name_or_path")) {
    config.base_model = reader.String("base_model_name_or_path");
  }

  if (reader.Has(kFullMarker)) {
    config.kind = AdapterKind::kFull;
    reader.String("base_model_name_or_path", "");
    if (const std::string marker = reader.String(kFullMarker); marker != "full") {
      reader.Problem(kFullMarker, "\"" + marker + "\" is unknown; known: full");
    }
    reader.RejectUnknown();
    TRIBUTARY_RETURN_IF_ERROR(ProblemsToStatus(problems));
    return config;
  }

  const std::string type = reader.String("peft_type");
  config.middle = type == kMiddleType;
  if (type != kPlainType && !config.middle) {
    reader.Problem("peft_type", "\"" + type + "\" is not supported; supported: LORA, LORA_SB");
  }
  config.rank = reader.Int("r", 1, kMaxRank);
  config.alpha = reader.Number("lora_alpha");
  if (!IsAlpha(config.alpha)) {
    reader.Problem("lora_alpha", "is out of range; must be above 0 and below 1000000");
  }
  config.dropout = reader.Number("lora_dropout", 0.0);
  if (!(config.dropout >= 0 && config.dropout < 1)) {
    reader.Problem("lora_dropout", "is out of range; must be at least 0 and below 1");
  }
  ReadTargets(object, reader, &config);
  ReadPatterns(text, object, reader, &config);
  config.use_rslora = reader.Bool("use_rslora", false);
  config.fan_in_fan_out = reader.Bool("fan_in_fan_out", false);
  if (HasValue(object, "modules_to_save"))
    config.modules_to_save = reader.Strings("modules_to_save");
  if (const auto it = object.find("init_lora_weights");
      it != object.end() && !IsPlainInitialisation(*it)) {
    reader.Problem("init_lora_weights", it->dump() +
                                            " changes the base weights and is not supported; "
                                            "convert the adapter to a plain one with PEFT");
  }
  if (const std::string bias = reader.String("bias", "none"); bias != "none") {
    reader.Problem("bias", "\"" + bias + "\" is not supported; supported: none");
  }
  static const std::set<std::string, std::less<>> read_above = {"base_model_name_or_path",
                                                                "peft_type",
                                                                "r",
                                                                "lora_alpha",
                                                                "lora_dropout",
                                                                "target_modules",
                                                                "bias",
                                                                "rank_pattern",
                                                                "alpha_pattern",
                                                                "use_rslora",

                                                                "fan_in_fan_out",
                                                                "modules_to_save",
                                                                "init_lora_weights"};
  for (const auto& [key, value] : object.items()) {
    if (!read_above.contains(key) && !InformativeKeys().contains(key) && !IsOff(value)) {
      reader.Problem(key, "is not supported; leave it out or switch it off");
    }
  }
  TRIBUTARY_RETURN_IF_ERROR(ProblemsToStatus(problems));
  return config;
}

std::vector<HostTensor> InitialLora(const Manifest& manifest, std::uint64_t seed) {
  const bool middle = std::any_of(manifest.begin(), manifest.end(),
                                  [](const TensorSpec& spec) { return IsLoraC(spec.name); });
  std::vector<HostTensor> tensors;
  tensors.reserve(manifest.size());
  for (const TensorSpec& spec : manifest) {
    HostTensor tensor{spec, std::vector<std::byte>(spec.ByteCount())};
    const bool a = IsLoraA(spec.name);
    if ((a || (middle && IsLoraB(spec.name))) && spec.shape.size() == 2) {
      const auto width = static_cast<double>(spec.shape[a ? 1 : 0]);
      FillUniform(DeriveSeed(seed, HashName(spec.name)),
                  (middle ? std::sqrt(3.0) : 1) / std::sqrt(width), &tensor.bytes);
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

}  // namespace tributary
