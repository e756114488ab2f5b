// The patterns of tokenizer.json are written for Oniguruma; PCRE2 reads them almost alike.
#pragma once

#include <string>
#include <string_view>

#include "core/status.h"

namespace tributary::trainer {

// The same pattern for PCRE2 with Unicode properties: \s and \w get the sets that Oniguruma gives
// them. Errors name what has another meaning in PCRE2 and is not translated.
Result<std::string> OnigurumaToPcre2(std::string_view pattern);

}  // namespace tributary::trainer
