// The printable alphabet of byte-level tokenizers: each of the 256 bytes stands as one Unicode
// character, as GPT-2 chose.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tributary {

// " cat" -> "Ġcat".
std::string BytesToAlphabet(std::string_view bytes);

// The inverse; none when `text` has a character outside the alphabet.
std::optional<std::string> AlphabetToBytes(std::string_view text);

}  // namespace tributary
