// A byte-level BPE vocabulary that was learnt here, and its tokenizer.json.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace tributary::trainer {

struct BpeModel {
  std::vector<std::string> tokens;  // by id, as bytes; not empty
  std::vector<std::pair<std::int32_t, std::int32_t>>
      merges;                         // best first; their joined text is a token
  std::vector<std::int32_t> special;  // ids that text never makes

  // With the pre-tokenizer of GPT-2. With `bos` at least 0 that special token stands before every
  // text.
  std::string ToJson(std::int32_t bos) const;
};

}  // namespace tributary::trainer
