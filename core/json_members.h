// The members of a JSON object that somebody reads, out of text as Python's json module writes it:
// with NaN, Infinity, repeated keys, escaped surrogates that stand alone, any depth. What nobody
// reads does no harm.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "core/status.h"

namespace tributary::trainer {

// The text of a key, with its quotes, and of its value.
using JsonMember = std::pair<std::string_view, std::string_view>;

// The members of the object that `text` is, in order, and the elements of the array. Nothing below
// them is checked but that strings end and brackets close. Views into `text`; invalid argument when
// it is nothing of the kind.
Result<std::vector<JsonMember>> MembersOf(std::string_view text);
Result<std::vector<std::string_view>> ElementsOf(std::string_view text);

}  // namespace tributary::trainer
