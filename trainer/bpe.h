// Byte-pair encoding of one piece of text (arXiv 1508.07909), over bytes (GPT-2, Llama 3) or over
// characters with bytes for those that have no token (SentencePiece; Llama 2, Mistral).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tributary::trainer {

struct BpeVocabulary {
  struct Merge {
    std::int32_t left, right, result;
    std::int32_t rank;  // the smallest is best; leftmost among equals
  };
  std::unordered_map<std::string, std::int32_t> ids;  // by bytes of the text
  std::vector<Merge> merges;                          // the last of equal pairs counts
  bool byte_level = false;              // merging begins with single bytes; else with characters
  bool byte_fallback = false;           // a character without a token becomes its bytes, "<0x0A>"
  std::optional<std::int32_t> unknown;  // what else such a character or byte becomes
  bool fuse_unknown = false;            // one for several in a row
  bool ignore_merges = false;           // a piece that is a token stands as it is
};

// Not thread-safe.
class Bpe {
 public:
  explicit Bpe(BpeVocabulary vocabulary);

  // Appends the ids of `piece`, in time n log n of its length.
  void Encode(std::string_view piece, std::vector<std::int32_t>* ids);

  // Characters of all pieces so far that lost bytes, because the vocabulary lacks these and names
  // nothing for what is unknown.
  std::int64_t dropped() const { return dropped_; }

 private:
  struct Merged {
    std::int32_t rank;
    std::int32_t result;
  };
  struct Encoded {
    std::vector<std::int32_t> ids;
    std::int64_t dropped = 0;
  };

  Encoded EncodeUncached(std::string_view piece) const;
  Encoded Symbols(std::string_view piece) const;
  std::vector<std::int32_t> MergeAll(std::vector<std::int32_t> symbols) const;
  const Merged* FindMerge(std::int32_t left, std::int32_t right) const;
  std::vector<std::int32_t> ByteIds(std::string_view character) const;

  BpeVocabulary vocabulary_;
  std::array<std::int32_t, 256> byte_ids_;            // -1: no token
  std::unordered_map<std::uint64_t, Merged> merges_;  // by (left << 32 | right)
  std::unordered_map<std::string, Encoded> cache_;
  std::int64_t dropped_ = 0;
};

}  // namespace tributary::trainer
