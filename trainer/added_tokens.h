// Tokens that stand beside a vocabulary and are cut out of a text before anything else looks at it:
// "added_tokens" of tokenizer.json.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/tokenizer.h"

namespace tributary::trainer {

struct AddedToken {
  std::int32_t id = 0;
  std::string content;
  bool single_word = false;  // only where no letter or digit touches it
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // ... and behind it
  bool normalized = false;   // is looked for in normalised text
  bool special = false;
};

// Thread-safe.
class AddedTokens {
 public:
  struct Segment {
    std::string_view text;              // into the text that was cut
    std::optional<std::int32_t> token;  // instead of the text
  };

  // Tokens with empty content are left out.
  explicit AddedTokens(std::vector<AddedToken> tokens);

  // The tokens in `text`, leftmost and longest first, and what stands between them. With kPlain a
  // special token is found, and left as text.
  std::vector<Segment> Split(std::string_view text, SpecialText special) const;

 private:
  const AddedToken* LongestAt(std::string_view text, std::size_t at) const;

  std::vector<AddedToken> tokens_;                    // longest first
  std::vector<std::vector<std::size_t>> first_byte_;  // 256: indices of the tokens beginning so
};

}  // namespace tributary::trainer
