#include "trainer/sentencepiece_model.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/text.h"
#include "trainer/protobuf_reader.h"
#include "trainer/utf8.h"

namespace tributary::trainer {
namespace {

using nlohmann::json;

constexpr std::int32_t kMaxTokens = 1 << 24;
constexpr std::size_t kMaxPieceBytes = 1024;
constexpr const char* kWordMark = "\u2581";

// The numbers of fields and types are those of sentencepiece_model.proto.
enum class PieceType : std::uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

struct Piece {
  std::string text;
  float score = 0;
  PieceType type = PieceType::kNormal;
};

struct Model {
  std::vector<Piece> pieces;
  std::uint64_t model_type = 1;  // 1 unigram, 2 BPE, 3 word, 4 char
  bool byte_fallback = false;
  bool space_as_suffix = false;
  std::int32_t unknown = 0, bos = 1, eos = 2;  // negative: none
  bool has_character_map = false;
  bool dummy_prefix = true;
  bool remove_extra_spaces = true;
  bool escape_spaces = true;
};

bool ReadPiece(std::string_view bytes, Piece* piece) {
  ProtobufReader reader(bytes);
  while (const auto field = reader.Next()) {
    if (field->number == 1) piece->text = std::string(field->bytes);
    if (field->number == 2) {
      piece->score = std::bit_cast<float>(static_cast<std::uint32_t>(field->varint));
    }
    if (field->number == 3) {
      if (field->varint < 1 || field->varint > 6) return false;
      piece->type = static_cast<PieceType>(field->varint);
    }
  }
  return reader.ok() && !piece->text.empty() && piece->text.size() <= kMaxPieceBytes &&
         IsUtf8(piece->text) && std::isfinite(piece->score);
}

bool ReadTrainer(std::string_view bytes, Model* model) {
  ProtobufReader reader(bytes);
  while (const auto field = reader.Next()) {
    const auto id = static_cast<std::int32_t>(field->varint);
    if (field->number == 3) model->model_type = field->varint;
    if (field->number == 24) model->space_as_suffix = field->varint != 0;
    if (field->number == 35) model->byte_fallback = field->varint != 0;
    if (field->number == 40) model->unknown = id;
    if (field->number == 41) model->bos = id;
    if (field->number == 42) model->eos = id;
  }
  return reader.ok();
}

bool ReadNormalizerSpec(std::string_view bytes, Model* model) {
  ProtobufReader reader(bytes);
  while (const auto field = reader.Next()) {
    if (field->number == 2) model->has_character_map = !field->bytes.empty();
    if (field->number == 3) model->dummy_prefix = field->varint != 0;
    if (field->number == 4) model->remove_extra_spaces = field->varint != 0;
    if (field->number == 5) model->escape_spaces = field->varint != 0;
  }
  return reader.ok();
}

Result<Model> Parse(std::string_view bytes) {
  Model model;
  ProtobufReader reader(bytes);
  bool good = true;
  while (const auto field = reader.Next()) {
    if (field->number == 1) {
      model.pieces.emplace_back();
      good = good && ReadPiece(field->bytes, &model.pieces.back());
    }
    if (field->number == 2) good = good && ReadTrainer(field->bytes, &model);
    if (field->number == 3) good = good && ReadNormalizerSpec(field->bytes, &model);
    if (!good || model.pieces.size() > kMaxTokens) break;
  }
  if (good && reader.ok() && !model.pieces.empty() && model.pieces.size() <= kMaxTokens) {
    return model;
  }
  return InvalidArgumentError("tokenizer.model: is no SentencePiece model");
}

Status CheckSupported(const Model& model) {
  std::vector<std::string> problems;
  const auto refuse = [&problems](bool bad, const char* what) {
    if (bad) problems.push_back(std::string("tokenizer.model: ") + what);
  };
  refuse(model.model_type != 2, "model_type: supported: BPE");
  refuse(model.has_character_map, "normalizer: supported: identity");
  refuse(model.remove_extra_spaces, "remove_extra_whitespaces: supported: false");
  refuse(!model.escape_spaces, "escape_whitespaces: supported: true");
  refuse(model.space_as_suffix, "treat_whitespace_as_suffix: supported: false");
  const auto has = [&model](PieceType type) {
    return std::any_of(model.pieces.begin(), model.pieces.end(),
                       [type](const Piece& piece) { return piece.type == type; });
  };
  refuse(has(PieceType::kUserDefined), "user-defined pieces are not supported");
  refuse(has(PieceType::kUnused), "unused pieces are not supported");
  const auto size = static_cast<std::int32_t>(model.pieces.size());
  refuse(model.unknown >= size || model.bos >= size || model.eos >= size,
         "unk_id, bos_id and eos_id: must be pieces");
  if (!problems.empty()) {
    problems.back() += " (a tokenizer.json beside it, which transformers writes, goes before it)";
  }
  return ProblemsToStatus(problems);
}

// Two pieces are merged where together they are a piece; the one with the best score first,
// leftmost first among equals.
void AddMerges(const Model& model, BpeVocabulary* vocabulary) {
  std::unordered_map<std::string_view, std::int32_t> normal;
  std::vector<std::int32_t> by_score;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    if (model.pieces[id].type != PieceType::kNormal) continue;
    normal.emplace(model.pieces[id].text, static_cast<std::int32_t>(id));
    by_score.push_back(static_cast<std::int32_t>(id));
  }
  const auto score = [&model](std::int32_t id) {
    return model.pieces[static_cast<std::size_t>(id)].score;
  };
  std::stable_sort(by_score.begin(), by_score.end(),
                   [&](std::int32_t a, std::int32_t b) { return score(a) > score(b); });
  std::int32_t rank = 0;
  for (std::size_t i = 0; i < by_score.size(); ++i) {
    if (i > 0 && score(by_score[i]) < score(by_score[i - 1])) ++rank;
    const std::string_view text = model.pieces[static_cast<std::size_t>(by_score[i])].text;
    for (std::size_t at = Utf8At(text, 0).bytes; at < text.size(); at += Utf8At(text, at).bytes) {
      const auto left = normal.find(text.substr(0, at));
      const auto right = normal.find(text.substr(at));
      if (left == normal.end() || right == normal.end()) continue;
      vocabulary->merges.push_back({left->second, right->second, by_score[i], rank});
    }
  }
}

// {"32000": {"content": "<|im_start|>", "special": true, ...}}
Status AddTokensOfConfig(std::string_view config, TokenizerJson* out) {
  TRIBUTARY_ASSIGN_OR_RETURN(const json object, ParseJson(config, "tokenizer_config.json"));
  if (!object.is_object() || !object.contains("added_tokens_decoder")) return OkStatus();
  const Status bad =
      InvalidArgumentError("tokenizer_config.json: added_tokens_decoder: must map ids below " +
                           std::to_string(kMaxTokens) + " to tokens");
  if (!object["added_tokens_decoder"].is_object()) return bad;
  const std::size_t pieces = out->texts.size();
  for (const auto& [key, token] : object["added_tokens_decoder"].items()) {
    const bool digits =
        !key.empty() && key.size() < 9 && key.find_first_not_of("0123456789") == std::string::npos;
    if (!digits || std::stol(key) >= kMaxTokens || !token.is_object()) return bad;
    const auto content = token.find("content");
    if (content == token.end() || !content->is_string()) return bad;
    const auto flag = [&token = token](const char* name) {
      const auto it = token.find(name);
      return it != token.end() && it->is_boolean() && it->get<bool>();
    };
    const auto id = static_cast<std::size_t>(std::stol(key));
    if (id < pieces) continue;
    if (out->texts.size() <= id) out->texts.resize(id + 1);
    out->texts[id] = *content;
    out->added.push_back({.id = static_cast<std::int32_t>(id),
                          .content = *content,
                          .single_word = flag("single_word"),
                          .lstrip = flag("lstrip"),
                          .rstrip = flag("rstrip"),
                          .normalized = false,
                          .special = flag("special")});
  }
  return OkStatus();
}

// Those that a configuration names as its bos_token and so on: they are special.
std::set<std::string> NamedTokens(const json& config) {
  std::set<std::string> names;
  const auto add = [&](const json& token) {
    const json content = token.is_object() ? token.value("content", json()) : token;
    if (content.is_string()) names.insert(content.get<std::string>());
  };
  if (!config.is_object()) return names;
  for (const char* key : {"bos_token", "eos_token", "unk_token", "pad_token", "sep_token",
                          "cls_token", "mask_token"}) {
    if (const auto it = config.find(key); it != config.end()) add(*it);
  }
  const auto more = config.find("additional_special_tokens");
  if (more != config.end() && more->is_array()) {
    for (const json& token : *more) add(token);
  }
  return names;
}

// {"<|im_end|>": 32000}, as transformers of before 2023 wrote beside tokenizer.model. A token that
// is named in tokenizer_config.json is described there.
Status AddTokensOfFile(std::string_view text, std::string_view config, TokenizerJson* out) {
  TRIBUTARY_ASSIGN_OR_RETURN(const json named, ParseJson(config, "tokenizer_config.json"));
  const std::set<std::string> special = NamedTokens(named);
  TRIBUTARY_ASSIGN_OR_RETURN(const json object, ParseJson(text, "added_tokens.json"));
  const Status bad = InvalidArgumentError("added_tokens.json: must map tokens to ids below " +
                                          std::to_string(kMaxTokens));
  if (!object.is_object()) return bad;
  for (const auto& [content, value] : object.items()) {
    if (!value.is_number_unsigned() || content.empty()) return bad;
    const auto id = value.get<std::uint64_t>();
    if (id >= static_cast<std::uint64_t>(kMaxTokens)) return bad;
    if (out->texts.size() <= id) out->texts.resize(id + 1);
    if (!out->texts[id].empty()) continue;
    out->texts[id] = content;
    out->added.push_back({.id = static_cast<std::int32_t>(id),
                          .content = content,
                          .special = special.contains(content)});
  }
  return OkStatus();
}

void AddStages(const Model& model, TokenizerJson* out) {
  using Decoder = DecoderStep::Kind;
  const auto replace = [](const char* pattern, const char* content) {
    NormalizerStep step;
    step.kind = NormalizerStep::Kind::kReplace;
    step.pattern = pattern;
    step.content = content;
    return step;
  };
  if (model.dummy_prefix) {
    NormalizerStep prepend;
    prepend.kind = NormalizerStep::Kind::kPrepend;
    prepend.content = kWordMark;
    out->normalizer.push_back(prepend);
  }
  out->normalizer.push_back(replace(" ", kWordMark));
  DecoderStep spaces;
  spaces.kind = Decoder::kReplace;
  spaces.pattern = kWordMark;
  spaces.content = " ";
  DecoderStep bytes;
  bytes.kind = Decoder::kByteFallback;
  DecoderStep fuse;
  fuse.kind = Decoder::kFuse;
  out->decoder = {spaces, bytes, fuse};
  if (!model.dummy_prefix) return;
  DecoderStep strip;
  strip.kind = Decoder::kStrip;
  strip.content = " ";
  strip.start = 1;
  out->decoder.push_back(strip);
}

}  // namespace

Result<TokenizerJson> ReadSentencePieceModel(std::string_view bytes,
                                             std::string_view tokenizer_config_json,
                                             std::string_view added_tokens_json) {
  TRIBUTARY_ASSIGN_OR_RETURN(const Model model, Parse(bytes));
  TRIBUTARY_RETURN_IF_ERROR(CheckSupported(model));
  TokenizerJson out;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    const Piece& piece = model.pieces[id];
    const auto number = static_cast<std::int32_t>(id);
    out.texts.push_back(piece.text);
    if (piece.type == PieceType::kControl) {
      out.added.push_back({.id = number, .content = piece.text, .special = true});
    } else if (piece.type != PieceType::kUnknown) {
      out.vocabulary.ids.emplace(piece.text, number);
    }
  }
  out.vocabulary.byte_fallback = model.byte_fallback;
  out.vocabulary.fuse_unknown = true;
  if (model.unknown >= 0) out.vocabulary.unknown = model.unknown;
  AddMerges(model, &out.vocabulary);
  AddStages(model, &out);
  if (model.bos >= 0) out.before = {model.bos};
  if (model.eos >= 0) out.eos = model.eos;
  TRIBUTARY_RETURN_IF_ERROR(AddTokensOfConfig(tokenizer_config_json, &out));
  TRIBUTARY_RETURN_IF_ERROR(AddTokensOfFile(added_tokens_json, tokenizer_config_json, &out));
  return out;
}

}  // namespace tributary::trainer
