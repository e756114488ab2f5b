// Text to token ids and back. One class per kind of tokenizer file; LoadTokenizer picks.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/sha256.h"
#include "core/status.h"

namespace tributary::trainer {

// What text that spells a special token becomes.
enum class SpecialText : std::uint8_t {
  kPlain,   // tokens of its letters: data cannot forge the end of a turn
  kTokens,  // that token, as Hugging Face's tokenizers do by default
};

// Where a text stands in its sequence. Some tokenizers put a space in front of a text.
enum class TextPlace : std::uint8_t {
  kStart,       // at the beginning
  kAfterToken,  // behind a special token that the caller has placed
  kInside,      // it continues a text: never gets a space in front
};

struct EncodeOptions {
  SpecialText special = SpecialText::kPlain;
  TextPlace place = TextPlace::kStart;
};

// What the files beside a tokenizer say about its special tokens.
struct SpecialTokens {
  std::optional<std::int32_t> bos, eos;
  bool add_bos = false, add_eos = false;  // around a text, as Hugging Face does
  bool has_chat_template = false;
};

// Not thread-safe: implementations cache.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // The ids that Hugging Face's tokenizers give, without the special tokens that are added around a
  // text: the caller places those by id. Text that spells an added token which is not special
  // becomes that token. What becomes of bytes that are no UTF-8: docs/data.md.
  virtual Result<std::vector<std::int32_t>> Encode(std::string_view text,
                                                   EncodeOptions options = {}) = 0;
  // The text of the tokens; special tokens by their spelling. Errors name an id that is out of
  // range.
  virtual Result<std::string> Decode(const std::vector<std::int32_t>& ids) const = 0;
  // One more than the largest id.
  virtual std::int64_t VocabSize() const = 0;
  // The token spelled so in the tokenizer's own files.
  virtual std::optional<std::int32_t> FindToken(std::string_view spelling) const = 0;
  virtual const SpecialTokens& Special() const = 0;
  // Whether kPlain and kTokens differ for it.
  virtual bool SpellsSpecialToken(std::string_view text) const = 0;
  // Of all texts encoded so far: characters that the vocabulary has no token for, nor for their
  // bytes, nor for the unknown. They are left out, as Hugging Face's tokenizers do.
  virtual std::int64_t DroppedCharacters() const = 0;
};

// Reads tokenizer.json, or where there is none tokenizer.model, and tokenizer_config.json if it is
// there. Refuses what is not built here,
// naming what is.
Result<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::string& model_directory);

// Of the files that LoadTokenizer reads: other files, other ids.
Result<Digest> TokenizerDigest(const std::string& model_directory);

// From the texts of tokenizer.json and tokenizer_config.json ("{}": there is none).
Result<std::unique_ptr<Tokenizer>> TokenizerFromJson(std::string_view tokenizer_json,
                                                     std::string_view tokenizer_config_json);

}  // namespace tributary::trainer
