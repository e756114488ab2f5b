// The stages of tokenizer.json around its model.
#include <map>
#include <nlohmann/json.hpp>

#include "core/text.h"
#include "trainer/tokenizer_json.h"

namespace tributary::trainer {
namespace {

using nlohmann::json;
using Problems = std::vector<std::string>;

constexpr const char* kNormalizers =
    "supported: NFC, NFD, NFKC, NFKD, Prepend, Replace of a string, Sequence of these";
constexpr const char* kPreTokenizers =
    "supported: ByteLevel, Split, Digits, Punctuation, Metaspace, Sequence of these";
constexpr const char* kDecoders =
    "supported: ByteLevel, Metaspace, Sequence of Replace, ByteFallback, Fuse and Strip";
constexpr const char* kPostProcessors =
    "supported: ByteLevel, TemplateProcessing with special tokens around one text, Sequence of "
    "these";

std::string TypeOf(const json& object) {
  return object.is_object() ? object.value("type", "") : std::string();
}

// The members of a sequence, or the object alone; nothing for null.
std::vector<json> Flatten(const json& object, const char* members) {
  if (object.is_null()) return {};
  if (TypeOf(object) != "Sequence") return {object};
  std::vector<json> all;
  for (const json& member : object.value(members, json::array())) {
    for (json& inner : Flatten(member, members)) all.push_back(std::move(inner));
  }
  return all;
}

void Refuse(const char* stage, const json& object, const char* supported, Problems* problems) {
  problems->push_back(std::string(stage) + ": " + Excerpt(object.dump(), 120) +
                      " is not supported; " + supported);
}

std::string StringPattern(const json& object) {
  const json pattern = object.value("pattern", json());
  return pattern.is_object() ? pattern.value("String", "") : std::string();
}

std::string EscapeForRegex(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    const bool plain = static_cast<unsigned char>(c) >= 0x80 || std::isalnum(c) != 0;
    escaped += plain ? std::string(1, c) : std::string("\\") + c;
  }
  return escaped;
}

bool MakeSplit(const std::string& pattern, SplitBehavior behavior, PreTokenizerStep* step,
               Problems* problems) {
  Result<PreTokenizer> compiled = PreTokenizer::Create(pattern);
  if (!compiled.ok()) {
    problems->push_back("pre_tokenizer: " + compiled.status().message());
    return false;
  }
  step->kind = PreTokenizerStep::Kind::kSplit;
  step->pattern = *std::move(compiled);
  step->behavior = behavior;
  return true;
}

std::optional<SplitBehavior> BehaviorOf(const json& object) {
  static const std::map<std::string, SplitBehavior> kNames = {
      {"Removed", SplitBehavior::kRemoved},
      {"Isolated", SplitBehavior::kIsolated},
      {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
      {"MergedWithNext", SplitBehavior::kMergedWithNext},
      {"Contiguous", SplitBehavior::kContiguous},
  };
  const auto it = kNames.find(object.value("behavior", "Isolated"));
  return it == kNames.end() ? std::nullopt : std::optional(it->second);
}

bool ReadSplit(const json& object, PreTokenizerStep* step, Problems* problems) {
  const json pattern = object.value("pattern", json());
  const std::optional<SplitBehavior> behavior = BehaviorOf(object);
  const std::string text = StringPattern(object);
  if (!pattern.is_object() || !behavior) return false;
  const std::string regex = pattern.value("Regex", EscapeForRegex(text));
  step->invert = object.value("invert", false);
  return !regex.empty() && MakeSplit(regex, *behavior, step, problems);
}

bool ReadMetaspace(const json& object, PreTokenizerStep* step, Problems* problems) {
  const std::string replacement = object.value("replacement", "\u2581");
  const std::string scheme = object.value("prepend_scheme", "always");
  const bool known = scheme == "always" || scheme == "first" || scheme == "never";
  if (replacement.empty() || !known) return false;
  if (object.value("split", true) &&
      !MakeSplit(EscapeForRegex(replacement), SplitBehavior::kMergedWithNext, step, problems)) {
    return false;
  }
  step->kind = PreTokenizerStep::Kind::kMetaspace;
  step->prefix = replacement;
  step->prefix_first = scheme == "first";
  step->prefix_never = scheme == "never" || !object.value("add_prefix_space", true);
  return true;
}

// One stage may be two steps.
bool ReadPreTokenizerStage(const json& object, bool* byte_level,
                           std::vector<PreTokenizerStep>* steps, Problems* problems) {
  const std::string type = TypeOf(object);
  PreTokenizerStep step;
  if (type == "Split") {
    if (!ReadSplit(object, &step, problems)) return false;
  } else if (type == "Digits") {
    const bool each = object.value("individual_digits", false);
    const auto behavior = each ? SplitBehavior::kIsolated : SplitBehavior::kContiguous;
    if (!MakeSplit(R"(\p{N})", behavior, &step, problems)) return false;
  } else if (type == "Punctuation") {
    const std::optional<SplitBehavior> behavior = BehaviorOf(object);
    if (!behavior || !MakeSplit(R"([\p{P}$+<=>\^`|~])", *behavior, &step, problems)) return false;
  } else if (type == "Metaspace") {
    if (!ReadMetaspace(object, &step, problems)) return false;
  } else if (type == "ByteLevel") {
    *byte_level = true;
    if (object.value("add_prefix_space", false)) {
      PreTokenizerStep prefix;
      prefix.kind = PreTokenizerStep::Kind::kPrefix;
      prefix.prefix = " ";
      steps->push_back(std::move(prefix));
    }
    if (!object.value("use_regex", true)) return true;
    if (!MakeSplit(std::string(kGpt2Pattern), SplitBehavior::kIsolated, &step, problems)) {
      return false;
    }
  } else {
    return false;
  }
  steps->push_back(std::move(step));
  return true;
}

bool ReadDecoderStage(const json& object, std::vector<DecoderStep>* steps) {
  const std::string type = TypeOf(object);
  DecoderStep step;
  if (type == "ByteLevel") {
    step.kind = DecoderStep::Kind::kByteLevel;
  } else if (type == "ByteFallback") {
    step.kind = DecoderStep::Kind::kByteFallback;
  } else if (type == "Fuse") {
    step.kind = DecoderStep::Kind::kFuse;
  } else if (type == "Replace") {
    step.kind = DecoderStep::Kind::kReplace;
    step.pattern = StringPattern(object);
    step.content = object.value("content", "");
    if (step.pattern.empty()) return false;
  } else if (type == "Strip") {
    step.kind = DecoderStep::Kind::kStrip;
    step.content = object.value("content", " ");
    step.start = object.value("start", std::int64_t{0});
    step.stop = object.value("stop", std::int64_t{0});
  } else if (type == "Metaspace") {
    step.kind = DecoderStep::Kind::kMetaspace;
    step.pattern = object.value("replacement", "\u2581");
    step.strip_first = object.value("prepend_scheme", "always") != "never" &&
                       object.value("add_prefix_space", true);
    if (step.pattern.empty()) return false;
  } else {
    return false;
  }
  steps->push_back(std::move(step));
  return true;
}

// [special tokens] text [special tokens]
bool ReadTemplate(const json& object, TokenizerJson* out) {
  const json tokens = object.value("special_tokens", json::object());
  bool after = false;
  for (const json& part : object.value("single", json::array())) {
    if (part.contains("Sequence")) {
      if (after) return false;
      after = true;
      continue;
    }
    const std::string name = part.value("SpecialToken", json::object()).value("id", "");
    for (const json& id : tokens.value(name, json::object()).value("ids", json::array())) {
      if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= out->texts.size()) return false;
      (after ? out->after : out->before).push_back(id.get<std::int32_t>());
    }
  }
  return after;
}

}  // namespace

std::vector<NormalizerStep> ReadNormalizer(const json& object, Problems* problems) {
  static const std::map<std::string, UnicodeForm> kForms = {{"NFC", UnicodeForm::kNfc},
                                                            {"NFD", UnicodeForm::kNfd},
                                                            {"NFKC", UnicodeForm::kNfkc},
                                                            {"NFKD", UnicodeForm::kNfkd}};
  std::vector<NormalizerStep> steps;
  for (const json& stage : Flatten(object, "normalizers")) {
    const std::string type = TypeOf(stage);
    NormalizerStep step;
    if (const auto form = kForms.find(type); form != kForms.end()) {
      step.form = form->second;
    } else if (type == "Prepend") {
      step.kind = NormalizerStep::Kind::kPrepend;
      step.content = stage.value("prepend", "");
    } else if (type == "Replace" && !StringPattern(stage).empty()) {
      step.kind = NormalizerStep::Kind::kReplace;
      step.pattern = StringPattern(stage);
      step.content = stage.value("content", "");
    } else {
      Refuse("normalizer", stage, kNormalizers, problems);
      continue;
    }
    steps.push_back(std::move(step));
  }
  return steps;
}

std::vector<PreTokenizerStep> ReadPreTokenizer(const json& object, bool* byte_level,
                                               Problems* problems) {
  std::vector<PreTokenizerStep> steps;
  for (const json& stage : Flatten(object, "pretokenizers")) {
    if (*byte_level || !ReadPreTokenizerStage(stage, byte_level, &steps, problems)) {
      Refuse("pre_tokenizer", stage, *byte_level ? "nothing may follow ByteLevel" : kPreTokenizers,
             problems);
    }
  }
  return steps;
}

std::vector<DecoderStep> ReadDecoder(const json& object, Problems* problems) {
  std::vector<DecoderStep> steps;
  for (const json& stage : Flatten(object, "decoders")) {
    if (!ReadDecoderStage(stage, &steps)) Refuse("decoder", stage, kDecoders, problems);
  }
  if (object.is_null()) Refuse("decoder", object, kDecoders, problems);
  return steps;
}

void ReadPostProcessor(const json& object, TokenizerJson* out, Problems* problems) {
  for (const json& stage : Flatten(object, "processors")) {
    const std::string type = TypeOf(stage);
    const bool known =
        type == "ByteLevel" || (type == "TemplateProcessing" && ReadTemplate(stage, out));
    if (!known) Refuse("post_processor", stage, kPostProcessors, problems);
  }
}

}  // namespace tributary::trainer
