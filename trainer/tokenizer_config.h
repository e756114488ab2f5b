// tokenizer_config.json: which tokens begin and end a text.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "core/status.h"
#include "trainer/tokenizer.h"

namespace tributary::trainer {

// `defaults` is what the tokenizer's own file says; tokenizer_config.json goes before it. `find`
// gives the id of a spelling. An error names a token that the tokenizer does not have.
Result<SpecialTokens> ReadTokenizerConfig(
    std::string_view text, SpecialTokens defaults,
    const std::function<std::optional<std::int32_t>(std::string_view)>& find);

}  // namespace tributary::trainer
