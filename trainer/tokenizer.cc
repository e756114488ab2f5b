#include "trainer/tokenizer.h"

#include "core/files.h"
#include "trainer/pipeline_tokenizer.h"
#include "trainer/sentencepiece_model.h"

namespace tributary::trainer {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{256} << 20;

}  // namespace

Result<std::unique_ptr<Tokenizer>> TokenizerFromJson(std::string_view tokenizer_json,
                                                     std::string_view tokenizer_config_json) {
  TRIBUTARY_ASSIGN_OR_RETURN(TokenizerJson parts, TokenizerJson::Parse(tokenizer_json));
  return PipelineTokenizer::Create(std::move(parts), tokenizer_config_json);
}

Result<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::string& model_directory) {
  const std::string json_path = JoinPath(model_directory, "tokenizer.json");
  const std::string model_path = JoinPath(model_directory, "tokenizer.model");
  const std::string config_path = JoinPath(model_directory, "tokenizer_config.json");
  std::string config = "{}";
  if (PathExists(config_path)) {
    TRIBUTARY_ASSIGN_OR_RETURN(config, ReadFile(config_path));
  }
  if (PathExists(json_path)) {
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string text, ReadFile(json_path, kMaxBytes));
    return TokenizerFromJson(text, config).Annotate(model_directory);
  }
  if (PathExists(model_path)) {
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(model_path, kMaxBytes));
    TRIBUTARY_ASSIGN_OR_RETURN(TokenizerJson parts,
                               ReadSentencePieceModel(bytes, config).Annotate(model_directory));
    return PipelineTokenizer::Create(std::move(parts), config).Annotate(model_directory);
  }
  return NotFoundError(model_directory +
                       ": has no tokenizer; supported: tokenizer.json, "
                       "tokenizer.model");
}

}  // namespace tributary::trainer
