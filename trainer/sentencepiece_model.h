// tokenizer.model: a model of the SentencePiece library, where a model directory has no
// tokenizer.json.
#pragma once

#include <string_view>

#include "core/status.h"
#include "trainer/tokenizer_json.h"

namespace tributary::trainer {

// The stages that do what the library does, for BPE models that leave the text as it is but for its
// spaces (Llama 2, Mistral). Other models are refused, naming what is supported. Tokens that
// `tokenizer_config_json` adds beyond the pieces ("added_tokens_decoder") are known too, and those
// of `added_tokens_json`, where earlier versions of transformers wrote them. BOS stands before a
// text, as the tokenizers of Llama 2 do it.
Result<TokenizerJson> ReadSentencePieceModel(std::string_view bytes,
                                             std::string_view tokenizer_config_json,
                                             std::string_view added_tokens_json = "{}");

}  // namespace tributary::trainer
