// Text to token ids and back. One class per tokenizer family; LoadTokenizer picks by
// tokenizer.json.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace tributary::trainer {

// Not thread-safe: implementations cache.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // Text never makes special tokens, whatever it spells, and none are added; the caller places
  // those by id.
  virtual Result<std::vector<std::int32_t>> Encode(std::string_view text) = 0;
  // The bytes of the tokens; special tokens by their spelling. Errors name an id that is out of
  // range.
  virtual Result<std::string> Decode(const std::vector<std::int32_t>& ids) const = 0;
  // One more than the largest id.
  virtual std::int64_t VocabSize() const = 0;
};

// Reads a tokenizer.json of the Hugging Face tokenizers library. Refuses what is not built here,
// naming what is.
Result<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::string& path);

}  // namespace tributary::trainer
