#include "trainer/bpe_model.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/byte_alphabet.h"

namespace tributary::trainer {

using nlohmann::json;

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
                           {"add_prefix_space", false},
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
                         {"ignore_merges", false},
                         {"vocab", vocab},
                         {"merges", pairs}}}};
  return object.dump(1) + "\n";
}

}  // namespace tributary::trainer
