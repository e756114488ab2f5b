// What a tokenizer.json of the Hugging Face tokenizers library says, as far as it is built here.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "trainer/added_tokens.h"
#include "trainer/bpe.h"
#include "trainer/normalizer.h"
#include "trainer/pre_tokenizer_steps.h"
#include "trainer/token_decoder.h"

namespace tributary::trainer {

struct TokenizerJson {
  std::vector<std::string> texts;  // by id, as the file spells them; an unused id is empty
  BpeVocabulary vocabulary;
  std::vector<AddedToken> added;
  std::vector<NormalizerStep> normalizer;
  std::vector<PreTokenizerStep> pre_tokenizer;
  std::vector<DecoderStep> decoder;
  std::vector<std::int32_t> before, after;  // tokens that go around a text
  std::optional<std::int32_t> eos;          // of tokenizer.model; this file names none

  // Names all of what is not supported, and what is.
  static Result<TokenizerJson> Parse(std::string_view text);
};

// The stages, each from its member of the file. Problems are appended to `problems`; a value of
// another type than the format's throws json::exception, which Parse() catches.
std::vector<NormalizerStep> ReadNormalizer(const nlohmann::json& object,
                                           std::vector<std::string>* problems);
std::vector<PreTokenizerStep> ReadPreTokenizer(const nlohmann::json& object, bool* byte_level,
                                               std::vector<std::string>* problems);
std::vector<DecoderStep> ReadDecoder(const nlohmann::json& object,
                                     std::vector<std::string>* problems);
void ReadPostProcessor(const nlohmann::json& object, TokenizerJson* out,
                       std::vector<std::string>* problems);

}  // namespace tributary::trainer
