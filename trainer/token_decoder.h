// Tokens to text: the "decoder" of tokenizer.json, as a list of steps.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tributary::trainer {

struct DecoderStep {
  enum class Kind : std::uint8_t {
    kByteLevel,     // the printable alphabet of core/byte_alphabet.h to bytes
    kByteFallback,  // "<0x41>" to bytes; U+FFFD for each of a run that is no UTF-8
    kReplace,       // `pattern` by `content`
    kMetaspace,     // `pattern` by a space; nothing in the first token when `strip_first`
    kFuse,          // all tokens to one
    kStrip,         // up to `start` and `stop` times `content` from the ends
  } kind = Kind::kByteLevel;
  std::string pattern, content;
  bool strip_first = false;
  std::int64_t start = 0, stop = 0;
};

std::string DecodeTokens(std::vector<std::string> tokens, const std::vector<DecoderStep>& steps);

}  // namespace tributary::trainer
