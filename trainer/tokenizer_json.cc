#include "trainer/tokenizer_json.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>

#include "core/byte_alphabet.h"
#include "core/json.h"
#include "core/text.h"

namespace tributary::trainer {
namespace {

using nlohmann::json;

constexpr std::int64_t kMaxTokens = 1 << 24;
using Problems = std::vector<std::string>;
using Vocabulary = std::unordered_map<std::string, std::int32_t>;  // as the file spells them

// False for an id that is none.
bool PlaceToken(const std::string& text, const json& id, TokenizerJson* out, Problems* problems) {
  if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= kMaxTokens) {
    problems->push_back("token \"" + Excerpt(text) + "\": id " + id.dump() + " must be 0.." +
                        std::to_string(kMaxTokens - 1));
    return false;
  }
  const auto index = id.get<std::size_t>();
  if (out->texts.size() <= index) out->texts.resize(index + 1);
  out->texts[index] = text;
  return true;
}

Vocabulary ReadVocabulary(const json& vocab, TokenizerJson* out, Problems* problems) {
  Vocabulary ids;
  for (const auto& [text, id] : vocab.items()) {
    if (!PlaceToken(text, id, out, problems)) break;
    ids.emplace(text, id.get<std::int32_t>());
  }
  return ids;
}

// A merge is "a b" in older files, ["a", "b"] in newer ones.
bool SplitMerge(const json& merge, std::string* left, std::string* right) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    *left = merge[0];
    *right = merge[1];
    return true;
  }
  if (!merge.is_string()) return false;
  const std::string text = merge;
  const std::size_t space = text.find(' ');
  if (space == std::string::npos) return false;
  *left = text.substr(0, space);
  *right = text.substr(space + 1);
  return true;
}

void ReadMerges(const json& merges, const Vocabulary& ids, TokenizerJson* out, Problems* problems) {
  for (std::size_t i = 0; i < merges.size(); ++i) {
    std::string left;
    std::string right;
    const bool split = SplitMerge(merges[i], &left, &right);
    const auto a = split ? ids.find(left) : ids.end();
    const auto b = split ? ids.find(right) : ids.end();
    const auto joined = split ? ids.find(left + right) : ids.end();
    if (a == ids.end() || b == ids.end() || joined == ids.end()) {
      problems->push_back("model.merges[" + std::to_string(i) +
                          "]: is no pair of tokens that makes a token");
      return;
    }
    out->vocabulary.merges.push_back(
        {a->second, b->second, joined->second, static_cast<std::int32_t>(i)});
  }
}

void ReadAddedTokens(const json& added, TokenizerJson* out, Problems* problems) {
  for (const json& object : added) {
    if (!object.is_object() || !object.value("content", json()).is_string()) {
      problems->emplace_back("added_tokens: must be objects with content and id");
      return;
    }
    AddedToken token;
    token.content = object["content"];
    if (!PlaceToken(token.content, object.value("id", json()), out, problems)) return;
    token.id = object["id"];
    token.single_word = object.value("single_word", false);
    token.lstrip = object.value("lstrip", false);
    token.rstrip = object.value("rstrip", false);
    token.special = object.value("special", false);
    token.normalized = object.value("normalized", !token.special);
    out->added.push_back(std::move(token));
  }
}

bool IsOff(const json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() || it->is_null() || *it == json("") || *it == json(false) ||
         *it == json(0.0);
}

// The texts that pieces are looked up by: bytes.
void MakeLookUp(Vocabulary spelled, TokenizerJson* out) {
  BpeVocabulary& vocabulary = out->vocabulary;
  if (vocabulary.byte_level) {
    for (const auto& [text, id] : spelled) {
      if (std::optional<std::string> bytes = AlphabetToBytes(text)) {
        vocabulary.ids.emplace(*std::move(bytes), id);
      }
    }
  } else {
    vocabulary.ids = std::move(spelled);
  }
  for (const AddedToken& token : out->added) {
    if (token.special) vocabulary.ids.erase(token.content);  // text never makes them
  }
}

void ReadModel(const json& model, TokenizerJson* out, Problems* problems) {
  for (const char* key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!IsOff(model, key)) {
      problems->push_back(std::string("model.") + key + ": is not supported; supported: null");
    }
  }
  BpeVocabulary& vocabulary = out->vocabulary;
  vocabulary.byte_fallback = model.value("byte_fallback", false);
  vocabulary.fuse_unknown = model.value("fuse_unk", false);
  vocabulary.ignore_merges = model.value("ignore_merges", false);
  const json vocab = model.value("vocab", json());
  const json merges = model.value("merges", json());
  if (!vocab.is_object() || !merges.is_array()) {
    problems->emplace_back("model: vocab must be an object and merges a list");
    return;
  }
  Vocabulary spelled = ReadVocabulary(vocab, out, problems);
  ReadMerges(merges, spelled, out, problems);
  if (!IsOff(model, "unk_token")) {
    const auto unknown = spelled.find(model["unk_token"].get<std::string>());
    if (unknown == spelled.end()) {
      problems->emplace_back("model.unk_token: is no token of model.vocab");
    } else {
      vocabulary.unknown = unknown->second;
    }
  }
  MakeLookUp(std::move(spelled), out);
}

// May throw json::exception where a member has another type than the format says.
Result<TokenizerJson> ReadParts(const json& object) {
  const json model = object.value("model", json::object());
  if (!model.is_object() || model.value("type", json("BPE")) != "BPE" || model.empty()) {
    const json type = model.is_object() ? model.value("type", json()) : json();
    return InvalidArgumentError("tokenizer.json: model.type: " + Excerpt(type.dump()) +
                                " is not supported; supported: BPE");
  }
  TokenizerJson out;
  Problems problems;
  const json added = object.value("added_tokens", json::array());
  if (!added.is_array()) {
    problems.emplace_back("added_tokens: must be a list");
  } else {
    ReadAddedTokens(added, &out, &problems);
  }
  out.normalizer = ReadNormalizer(object.value("normalizer", json()), &problems);
  out.pre_tokenizer = ReadPreTokenizer(object.value("pre_tokenizer", json()),
                                       &out.vocabulary.byte_level, &problems);
  out.decoder = ReadDecoder(object.value("decoder", json()), &problems);
  ReadModel(model, &out, &problems);
  ReadPostProcessor(object.value("post_processor", json()), &out, &problems);
  for (std::string& problem : problems) problem.insert(0, "tokenizer.json: ");
  TRIBUTARY_RETURN_IF_ERROR(ProblemsToStatus(problems));
  return out;
}

}  // namespace

Result<TokenizerJson> TokenizerJson::Parse(std::string_view text) {
  TRIBUTARY_ASSIGN_OR_RETURN(const json object, ParseJson(text, "tokenizer.json"));
  if (!object.is_object()) return InvalidArgumentError("tokenizer.json: must be an object");
  try {
    return ReadParts(object);
  } catch (const json::exception& error) {
    return InvalidArgumentError(std::string("tokenizer.json: ") + error.what());
  }
}

}  // namespace tributary::trainer
