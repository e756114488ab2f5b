// A tokenizer made of the stages that tokenizer.json describes: added tokens, normaliser,
// pre-tokenizer, byte-pair encoding, decoder.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "trainer/tokenizer.h"
#include "trainer/tokenizer_json.h"

namespace tributary::trainer {

// Not thread-safe.
class PipelineTokenizer final : public Tokenizer {
 public:
  static Result<std::unique_ptr<Tokenizer>> Create(TokenizerJson parts,
                                                   std::string_view tokenizer_config_json);

  Result<std::vector<std::int32_t>> Encode(std::string_view text, EncodeOptions options) override;
  Result<std::string> Decode(const std::vector<std::int32_t>& ids) const override;
  std::int64_t VocabSize() const override { return static_cast<std::int64_t>(parts_.texts.size()); }
  std::optional<std::int32_t> FindToken(std::string_view spelling) const override;
  const SpecialTokens& Special() const override { return special_; }
  bool SpellsSpecialToken(std::string_view text) const override;
  std::int64_t DroppedCharacters() const override { return bpe_.dropped(); }

 private:
  PipelineTokenizer(TokenizerJson parts, Bpe bpe);
  Status EncodeText(std::string_view text, EncodeOptions options, std::vector<std::int32_t>* ids);

  TokenizerJson parts_;  // without the vocabulary, which is in bpe_
  Bpe bpe_;
  AddedTokens raw_;         // looked for in the text as it is
  AddedTokens normalized_;  // ... after the normaliser
  std::unordered_map<std::string, std::int32_t> ids_;
  SpecialTokens special_;
};

}  // namespace tributary::trainer
