// Text from outside, made safe to show.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tributary {

// Well-formed UTF-8: shortest forms only, no surrogates, at most U+10FFFF.
bool IsUtf8(std::string_view text);

// One printable line: control characters, marks that turn the direction of text or cannot be seen,
// backslashes and bytes that are no UTF-8 are written as \n, \t, \\ or \x1b.
std::string EscapeControl(std::string_view text);

// EscapeControl(text) but for backslashes: what is printable already stays as it is, so that a text
// that goes through many hands is escaped once. At most `max_bytes`, ended with "..." when longer.
std::string Excerpt(std::string_view text, std::size_t max_bytes = 80);

// The same, longer, for what goes to a person's terminal, where text may come from a peer. Both cut
// at a character.
std::string Printable(std::string_view text, std::size_t max_bytes = 4000);
// The same with line breaks left in. For texts of several lines.
std::string PrintableLines(std::string_view text, std::size_t max_bytes = std::size_t{1} << 20);

// Without blanks, tabs and line ends around it; the words between them.
std::string Trimmed(std::string_view text);
std::vector<std::string> SplitWords(std::string_view text);

// The candidate closest to `word` by edit distance (a swap of neighbours counts one), if it is
// close enough to be a probable misspelling; the first of equally close ones.
std::optional<std::string> NearestName(std::string_view word,
                                       std::span<const std::string> candidates);

}  // namespace tributary
