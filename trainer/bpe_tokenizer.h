// Byte-level byte-pair encoding, as GPT-2 and Llama 3 use it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/status.h"
#include "trainer/pre_tokenizer.h"
#include "trainer/tokenizer.h"

namespace tributary::trainer {

// What a byte-level BPE tokenizer.json says. Token texts are bytes, not the printable alphabet.
struct BpeModel {
  std::vector<std::string> tokens;  // by id; an unused id is empty
  std::vector<std::pair<std::int32_t, std::int32_t>>
      merges;                         // best first; their joined text is a token
  std::vector<std::int32_t> special;  // ids that text never makes
  std::string pattern;
  bool add_prefix_space = false;
  bool ignore_merges = false;  // a piece that is a token stands as it is

  static Result<BpeModel> FromJson(std::string_view text);
  // A tokenizer.json for the tokenizers library. `pattern` must be kGpt2Pattern. With `bos` at
  // least 0 the library puts that special token before every text.
  std::string ToJson(std::int32_t bos) const;
};

// Not thread-safe.
class BpeTokenizer final : public Tokenizer {
 public:
  static Result<std::unique_ptr<Tokenizer>> Create(BpeModel model);

  Result<std::vector<std::int32_t>> Encode(std::string_view text) override;
  Result<std::string> Decode(const std::vector<std::int32_t>& ids) const override;
  std::int64_t VocabSize() const override {
    return static_cast<std::int64_t>(model_.tokens.size());
  }

 private:
  struct Merge {
    std::int32_t rank;
    std::int32_t result;
  };

  BpeTokenizer(BpeModel model, PreTokenizer pre_tokenizer);
  Status BuildTables();
  const std::vector<std::int32_t>& EncodePiece(std::string_view piece);
  std::vector<std::int32_t> MergePiece(std::string_view piece) const;
  const Merge* FindMerge(std::int32_t left, std::int32_t right) const;

  BpeModel model_;
  PreTokenizer pre_tokenizer_;
  std::vector<std::int32_t> byte_ids_;                       // 256
  std::unordered_map<std::string, std::int32_t> token_ids_;  // without special tokens
  std::unordered_map<std::uint64_t, Merge> merges_;          // by (left << 32 | right)
  std::unordered_map<std::string, std::vector<std::int32_t>> cache_;
};

}  // namespace tributary::trainer
