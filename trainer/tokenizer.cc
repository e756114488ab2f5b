// Reading and writing tokenizer.json.
#include "trainer/tokenizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "core/files.h"
#include "core/json.h"
#include "trainer/bpe_tokenizer.h"
#include "trainer/unicode_bytes.h"

namespace tributary::trainer {
namespace {

using nlohmann::json;

constexpr std::int64_t kMaxTokens = 1 << 24;
using Problems = std::vector<std::string>;
using TokenIds = std::map<std::string, std::int32_t, std::less<>>;  // by bytes

// "ByteLevel" alone uses the pattern of GPT-2; after a "Split" it only maps bytes.
void ReadByteLevel(const json& object, BpeModel* model, bool* use_regex) {
  model->add_prefix_space = object.value("add_prefix_space", false);
  *use_regex = object.value("use_regex", true);
}

bool ReadSplit(const json& object, BpeModel* model) {
  const json& pattern = object.value("pattern", json::object());
  if (object.value("behavior", "") != "Isolated" || object.value("invert", false)) return false;
  if (!pattern.is_object() || !pattern.contains("Regex") || !pattern["Regex"].is_string()) {
    return false;
  }
  model->pattern = pattern["Regex"];
  return true;
}

bool ReadPreTokenizer(const json& object, BpeModel* model) {
  const std::string type = object.value("type", "");
  bool use_regex = false;
  if (type == "ByteLevel") {
    ReadByteLevel(object, model, &use_regex);
    model->pattern = kGpt2Pattern;
    return use_regex;
  }
  const json parts = object.value("pretokenizers", json::array());
  if (type != "Sequence" || parts.size() != 2 || !parts[0].is_object() || !parts[1].is_object()) {
    return false;
  }
  if (parts[0].value("type", "") != "Split" || parts[1].value("type", "") != "ByteLevel")
    return false;
  ReadByteLevel(parts[1], model, &use_regex);
  return !use_regex && ReadSplit(parts[0], model);
}

void PlaceToken(std::string bytes, const json& id, BpeModel* model, Problems* problems) {
  if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= kMaxTokens) {
    problems->push_back("tokenizer.json: token id " + id.dump() + " is out of range");
    return;
  }
  const auto index = id.get<std::size_t>();
  if (model->tokens.size() <= index) model->tokens.resize(index + 1);
  model->tokens[index] = std::move(bytes);
}

TokenIds ReadVocabulary(const json& vocab, BpeModel* model, Problems* problems) {
  TokenIds ids;
  for (const auto& [text, id] : vocab.items()) {
    std::optional<std::string> bytes = AlphabetToBytes(text);
    PlaceToken(bytes.value_or(text), id, model, problems);
    if (bytes && id.is_number_integer()) ids[*std::move(bytes)] = id.get<std::int32_t>();
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

void ReadMerges(const json& merges, const TokenIds& ids, BpeModel* model, Problems* problems) {
  for (std::size_t i = 0; i < merges.size(); ++i) {
    std::string left;
    std::string right;
    const bool split = SplitMerge(merges[i], &left, &right);
    const auto a = split ? ids.find(AlphabetToBytes(left).value_or("")) : ids.end();
    const auto b = split ? ids.find(AlphabetToBytes(right).value_or("")) : ids.end();
    if (a == ids.end() || b == ids.end()) {
      problems->push_back("tokenizer.json: model.merges[" + std::to_string(i) +
                          "]: is no pair of tokens");
      return;
    }
    model->merges.emplace_back(a->second, b->second);
  }
}

void ReadAddedTokens(const json& added, BpeModel* model, Problems* problems) {
  for (const json& token : added) {
    if (!token.is_object() || !token.value("content", json()).is_string()) {
      problems->push_back("tokenizer.json: added_tokens: must be objects with content and id");
      return;
    }
    const json id = token.value("id", json());
    PlaceToken(token["content"], id, model, problems);
    if (id.is_number_unsigned()) model->special.push_back(id.get<std::int32_t>());
  }
}

bool IsOff(const json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() || it->is_null() || *it == json("") || *it == json(false);
}

// May throw json::exception where a member has another type than the format says.
Result<BpeModel> ReadBpeModel(const json& object) {
  BpeModel result;
  Problems problems;
  const json model = object.value("model", json::object());
  if (!model.is_object() || model.value("type", json()) != "BPE") {
    return InvalidArgumentError("tokenizer.json: model.type: supported: BPE");
  }
  for (const char* key :
       {"dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback"}) {
    if (!IsOff(model, key)) {
      problems.push_back(std::string("tokenizer.json: model.") + key + ": is not supported");
    }
  }
  if (!IsOff(object, "normalizer")) {
    problems.push_back("tokenizer.json: normalizer: is not supported; supported: null");
  }
  const json pre_tokenizer = object.value("pre_tokenizer", json());
  if (!pre_tokenizer.is_object() || !ReadPreTokenizer(pre_tokenizer, &result)) {
    problems.push_back(
        "tokenizer.json: pre_tokenizer: supported: ByteLevel with its regex, or a Sequence of an "
        "isolating regex Split and ByteLevel without regex");
  }
  result.ignore_merges = model.value("ignore_merges", false);
  const json vocab = model.value("vocab", json());
  const json merges = model.value("merges", json());
  const json added = object.value("added_tokens", json::array());
  if (!vocab.is_object() || !merges.is_array() || !added.is_array()) {
    return InvalidArgumentError(
        "tokenizer.json: model.vocab must be an object, model.merges and added_tokens lists");
  }
  const TokenIds ids = ReadVocabulary(vocab, &result, &problems);
  ReadMerges(merges, ids, &result, &problems);
  ReadAddedTokens(added, &result, &problems);
  TRIBUTARY_RETURN_IF_ERROR(ProblemsToStatus(problems));
  return result;
}

}  // namespace

Result<BpeModel> BpeModel::FromJson(std::string_view text) {
  TRIBUTARY_ASSIGN_OR_RETURN(const json object, ParseJson(text, "tokenizer.json"));
  if (!object.is_object()) return InvalidArgumentError("tokenizer.json: must be an object");
  try {
    return ReadBpeModel(object);
  } catch (const json::exception& error) {
    return InvalidArgumentError(std::string("tokenizer.json: ") + error.what());
  }
}

std::string BpeModel::ToJson(std::int32_t bos) const {
  json added = json::array();
  json vocab = json::object();
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    const auto number = static_cast<std::int32_t>(id);
    if (std::count(special.begin(), special.end(), number) > 0) {
      vocab[tokens[id]] = id;
      added.push_back({{"id", id},
                       {"content", tokens[id]},
                       {"single_word", false},
                       {"lstrip", false},
                       {"rstrip", false},
                       {"normalized", false},
                       {"special", true}});
    } else {
      vocab[BytesToAlphabet(tokens[id])] = id;
    }
  }
  json pairs = json::array();
  for (const auto& [left, right] : merges) {
    pairs.push_back(BytesToAlphabet(tokens[left]) + " " + BytesToAlphabet(tokens[right]));
  }
  json post_processor = nullptr;
  if (bos >= 0) {
    const json token = {{"SpecialToken", {{"id", tokens[bos]}, {"type_id", 0}}}};
    const auto sequence = [](const char* id, int type) {
      return json{{"Sequence", {{"id", id}, {"type_id", type}}}};
    };
    post_processor = {{"type", "TemplateProcessing"},
                      {"single", json::array({token, sequence("A", 0)})},
                      {"pair", json::array({token, sequence("A", 0), sequence("B", 1)})},
                      {"special_tokens",
                       {{tokens[bos],
                         {{"id", tokens[bos]},
                          {"ids", json::array({bos})},
                          {"tokens", json::array({tokens[bos]})}}}}}};
  }
  const json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", add_prefix_space},
                           {"trim_offsets", true},
                           {"use_regex", true}};
  const json object = {{"version", "1.0"},
                       {"truncation", nullptr},
                       {"padding", nullptr},
                       {"added_tokens", added},
                       {"normalizer", nullptr},
                       {"pre_tokenizer", byte_level},
                       {"post_processor", post_processor},
                       {"decoder", byte_level},
                       {"model",
                        {{"type", "BPE"},
                         {"dropout", nullptr},
                         {"unk_token", nullptr},
                         {"continuing_subword_prefix", nullptr},
                         {"end_of_word_suffix", nullptr},
                         {"fuse_unk", false},
                         {"byte_fallback", false},
                         {"ignore_merges", ignore_merges},
                         {"vocab", vocab},
                         {"merges", pairs}}}};
  return object.dump(1) + "\n";
}

Result<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::string& path) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  TRIBUTARY_ASSIGN_OR_RETURN(BpeModel model, BpeModel::FromJson(text).Annotate(path));
  return BpeTokenizer::Create(std::move(model)).Annotate(path);
}

}  // namespace tributary::trainer
