#include "core/byte_alphabet.h"

#include <array>
#include <cstdint>
#include <unordered_map>

namespace tributary {
namespace {

// Printable Latin-1 characters stand for themselves; the other bytes take the code points from
// U+0100 on, in order.
bool StandsForItself(int byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

std::string TwoByteUtf8(std::uint32_t code_point) {
  return {static_cast<char>(0xc0 | (code_point >> 6)),
          static_cast<char>(0x80 | (code_point & 0x3f))};
}

struct Alphabet {
  std::array<std::string, 256> text;
  std::unordered_map<std::string, char> byte;

  Alphabet() {
    std::uint32_t next = 0x100;
    for (int b = 0; b < 256; ++b) {
      const std::uint32_t code_point = StandsForItself(b) ? static_cast<std::uint32_t>(b) : next++;
      text[b] = code_point < 0x80 ? std::string(1, static_cast<char>(code_point))
                                  : TwoByteUtf8(code_point);
      byte[text[b]] = static_cast<char>(b);
    }
  }
};

const Alphabet& TheAlphabet() {
  static const Alphabet alphabet;
  return alphabet;
}

}  // namespace

std::string BytesToAlphabet(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) text += TheAlphabet().text[static_cast<unsigned char>(c)];
  return text;
}

std::optional<std::string> AlphabetToBytes(std::string_view text) {
  std::string bytes;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = static_cast<unsigned char>(text[at]) < 0x80 ? 1 : 2;
    const auto it = TheAlphabet().byte.find(std::string(text.substr(at, length)));
    if (it == TheAlphabet().byte.end()) return std::nullopt;
    bytes += it->second;
    at += length;
  }
  return bytes;
}

}  // namespace tributary
