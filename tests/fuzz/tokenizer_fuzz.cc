// tokenizer.json and tokenizer_config.json, and text through what they describe.
#include <nlohmann/json.hpp>

#include "tests/fuzz/fuzz_targets.h"
#include "trainer/bpe_training.h"
#include "trainer/tokenizer.h"

namespace tributary {
namespace {

using nlohmann::json;

// The first half of a seed is a tokenizer.json, the rest a tokenizer_config.json.
constexpr char kBorder = '\0';

json SmallTokenizer() {
  auto pattern = trainer::PreTokenizer::Create(trainer::kGpt2Pattern);
  Require(pattern.ok(), "the pattern of GPT-2 compiles");
  const auto model = trainer::BpeTrainer(*std::move(pattern)).Train(257, {"<s>"});
  Require(model.ok(), "a vocabulary of bytes is one");
  return json::parse(model->ToJson(0));
}

}  // namespace

void FuzzTokenizer(std::string_view bytes) {
  const std::size_t border = bytes.find(kBorder);
  const bool has_config = border != std::string_view::npos;
  const auto tokenizer = trainer::TokenizerFromJson(
      bytes.substr(0, border), has_config ? bytes.substr(border + 1) : std::string_view("{}"));
  if (!tokenizer.ok()) {
    Require(!tokenizer.status().message().empty(), "an error says why");
    return;
  }
  for (const std::string_view text :
       {std::string_view("<s> It's\xff e\xcc\x81 12 \xe2\x96\x81"), bytes.substr(0, 200)}) {
    for (const auto special : {trainer::SpecialText::kPlain, trainer::SpecialText::kTokens}) {
      const auto ids = (*tokenizer)->Encode(text, {.special = special});
      if (!ids.ok()) continue;
      Require((*tokenizer)->Decode(*ids).ok(), "what text becomes are tokens");
    }
  }
}

std::vector<std::string> TokenizerSeeds() {
  const std::string config = R"({"bos_token": "<s>", "eos_token": null, "add_bos_token": true})";
  std::vector<std::string> seeds = {"", "{}", R"({"model": {"type": "Unigram"}})"};
  const json plain = SmallTokenizer();
  seeds.push_back(plain.dump() + kBorder + config);
  json staged = plain;
  staged["normalizer"] = {{"type", "NFC"}};
  staged["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "Split"}, {"pattern", {{"Regex", "\\s+|\\w+"}}}, {"behavior", "Isolated"}},
        {{"type", "Digits"}, {"individual_digits", true}},
        {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"use_regex", false}}}}};
  staged["added_tokens"].push_back({{"id", 258}, {"content", "It"}, {"lstrip", true}});
  seeds.push_back(staged.dump());
  json characters = plain;
  characters["normalizer"] = {
      {"type", "Sequence"},
      {"normalizers",
       {{{"type", "Prepend"}, {"prepend", "_"}},
        {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "_"}}}}};
  characters["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "_"}};
  characters["decoder"] = {{"type", "Metaspace"}, {"replacement", "_"}};
  characters["model"]["unk_token"] = "!";
  characters["model"]["fuse_unk"] = true;
  seeds.push_back(characters.dump());
  return seeds;
}

}  // namespace tributary
