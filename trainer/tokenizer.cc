#include "trainer/tokenizer.h"

#include "core/files.h"
#include "trainer/pipeline_tokenizer.h"
#include "trainer/sentencepiece_model.h"

namespace tributary::trainer {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{256} << 20;

struct TokenizerFiles {
  bool is_json;       // or of the SentencePiece library
  std::string model;  // tokenizer.json or tokenizer.model
  std::string config = "{}";
  std::string added = "{}";  // added_tokens.json, which goes with tokenizer.model
};

Result<TokenizerFiles> ReadTokenizerFiles(const std::string& directory) {
  const std::string json_path = JoinPath(directory, "tokenizer.json");
  const std::string model_path = JoinPath(directory, "tokenizer.model");
  const std::string config_path = JoinPath(directory, "tokenizer_config.json");
  TokenizerFiles files{PathExists(json_path), ""};
  if (!files.is_json && !PathExists(model_path)) {
    const bool slow = PathExists(JoinPath(directory, "vocab.json"));
    return NotFoundError(
        directory + ": has no tokenizer; supported: tokenizer.json, tokenizer.model" +
        (slow ? "; transformers makes tokenizer.json of vocab.json and merges.txt: "
                "AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)"
              : ""));
  }
  TRIBUTARY_ASSIGN_OR_RETURN(files.model,
                             ReadFile(files.is_json ? json_path : model_path, kMaxBytes));
  if (PathExists(config_path)) {
    TRIBUTARY_ASSIGN_OR_RETURN(files.config, ReadFile(config_path));
  }
  const std::string added_path = JoinPath(directory, "added_tokens.json");
  if (!files.is_json && PathExists(added_path)) {
    TRIBUTARY_ASSIGN_OR_RETURN(files.added, ReadFile(added_path));
  }
  return files;
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> TokenizerFromJson(std::string_view tokenizer_json,
                                                     std::string_view tokenizer_config_json) {
  TRIBUTARY_ASSIGN_OR_RETURN(TokenizerJson parts, TokenizerJson::Parse(tokenizer_json));
  return PipelineTokenizer::Create(std::move(parts), tokenizer_config_json);
}

Result<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::string& model_directory) {
  TRIBUTARY_ASSIGN_OR_RETURN(const TokenizerFiles files, ReadTokenizerFiles(model_directory));
  if (files.is_json) return TokenizerFromJson(files.model, files.config).Annotate(model_directory);
  TRIBUTARY_ASSIGN_OR_RETURN(
      TokenizerJson parts,
      ReadSentencePieceModel(files.model, files.config, files.added).Annotate(model_directory));
  return PipelineTokenizer::Create(std::move(parts), files.config).Annotate(model_directory);
}

Result<Digest> TokenizerDigest(const std::string& model_directory) {
  TRIBUTARY_ASSIGN_OR_RETURN(const TokenizerFiles files, ReadTokenizerFiles(model_directory));
  return Sha256Of((files.is_json ? "json " : "model ") + Sha256Of(files.model).ToHex() + " " +
                  Sha256Of(files.config).ToHex() +
                  (files.added == "{}" ? "" : " " + Sha256Of(files.added).ToHex()));
}

}  // namespace tributary::trainer
