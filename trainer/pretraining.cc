#include "trainer/pretraining.h"

#include <nlohmann/json.hpp>

#include "core/files.h"
#include "core/json.h"
#include "trainer/adapter.h"
#include "trainer/bpe_training.h"
#include "trainer/llama.h"
#include "trainer/model_directory.h"

namespace tributary::trainer {
namespace {

using nlohmann::json;

constexpr std::int32_t kBos = 0;
constexpr std::int32_t kEos = 1;
constexpr std::uint64_t kWeightsPurpose = 3;

ModelConfig ReadModel(JsonObjectReader& reader) {
  constexpr std::int64_t kMaxWidth = 1 << 16;
  ModelConfig config;
  ModelShape& shape = config.shape;
  shape.hidden_size = reader.Int("hidden_size", 2, kMaxWidth);
  shape.layers = reader.Int("layers", 1, 1024);
  shape.heads = reader.Int("heads", 1, 1024);
  shape.kv_heads = reader.Int("kv_heads", 1, 1024, shape.heads);
  shape.intermediate_size = reader.Int("intermediate_size", 1, kMaxWidth);
  shape.vocab_size = reader.Int("vocab_size", 258, 1 << 20);
  shape.tied_embeddings = reader.Bool("tied_embeddings", true);
  config.norm_eps = reader.Number("rms_norm_eps", 1e-5);
  config.rope_theta = reader.Number("rope_theta", 10000.0);
  config.max_positions = reader.Int("max_positions", 2, 1 << 20, 512);
  reader.RejectUnknown();
  shape.head_dim = shape.hidden_size / shape.heads;
  config.bos_token = kBos;
  config.eos_token = kEos;
  return config;
}

// What config.json may say is also what may be made.
void CheckModel(const ModelConfig& config, std::vector<std::string>* problems) {
  const Status status = ModelConfig::FromJson(config.ToJson()).status();
  if (!status.ok()) problems->push_back("pretrain.json: the model's " + status.message());
  if (config.shape.hidden_size % config.shape.heads != 0) {
    problems->emplace_back("pretrain.json.model.heads: must divide hidden_size");
  }
}

std::vector<DataSource> ReadSources(JsonObjectReader& reader) {
  std::vector<DataSource> sources;
  for (const std::string& path : reader.Strings("data"))
    sources.push_back({.name = path, .path = path});
  if (sources.empty() && reader.Has("data")) reader.Problem("data", "must name at least one file");
  return sources;
}

Result<BpeModel> LearnTokenizer(const std::vector<TextExample>& texts, std::int64_t vocab_size) {
  TRIBUTARY_ASSIGN_OR_RETURN(PreTokenizer pre_tokenizer, PreTokenizer::Create(kGpt2Pattern));
  BpeTrainer trainer(std::move(pre_tokenizer));
  for (const TextExample& text : texts) {
    for (const std::string* part : {&text.text, &text.prompt, &text.input, &text.completion}) {
      TRIBUTARY_RETURN_IF_ERROR(trainer.Add(*part));
    }
    for (const Message& message : text.messages) {
      TRIBUTARY_RETURN_IF_ERROR(trainer.Add(message.content));
    }
  }
  return trainer.Train(vocab_size, {"<s>", "</s>"});
}

std::string TokenizerConfigJson(const ModelConfig& config) {
  return json{{"tokenizer_class", "PreTrainedTokenizerFast"},
              {"bos_token", "<s>"},
              {"eos_token", "</s>"},
              {"pad_token", "</s>"},
              {"clean_up_tokenization_spaces", false},
              {"model_max_length", config.max_positions}}
             .dump(2) +
         "\n";
}

Result<std::vector<TextExample>> ReadAll(const PretrainFile& file, const std::string& directory) {
  std::vector<TextExample> all;
  for (const DataSource& source : file.data) {
    TRIBUTARY_ASSIGN_OR_RETURN(ExampleFile part, ReadExamples(JoinPath(directory, source.path)));
    std::move(part.examples.begin(), part.examples.end(), std::back_inserter(all));
  }
  return all;
}

}  // namespace

Result<PretrainFile> PretrainFile::FromJson(std::string_view text) {
  TRIBUTARY_ASSIGN_OR_RETURN(const json object, ParseJson(text, kPretrainFile));
  if (!object.is_object()) return InvalidArgumentError("pretrain.json: must be an object");
  std::vector<std::string> problems;
  JsonObjectReader reader(object, std::string(kPretrainFile), &problems);
  PretrainFile file;
  JsonObjectReader model = reader.Object("model");
  file.model = ReadModel(model);
  JsonObjectReader training = reader.Object("training");
  file.training = TrainingSettings::Read(training);
  file.seed = static_cast<std::uint64_t>(reader.Int("seed", 0, INT64_MAX, 0));
  file.data = ReadSources(reader);
  file.threads = reader.Int("threads", 0, 4096, 0);
  file.output_path = reader.String("output_path");
  reader.RejectUnknown();
  if (problems.empty()) CheckModel(file.model, &problems);
  TRIBUTARY_RETURN_IF_ERROR(ProblemsToStatus(problems));
  return file;
}

Result<PretrainFile> ReadPretrainFile(const std::string& directory) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string text, ReadFile(JoinPath(directory, kPretrainFile)));
  return PretrainFile::FromJson(text).Annotate(directory);
}

Result<TrainingOutcome> RunPretraining(const std::string& directory, const PretrainFile& file,
                                       const std::function<bool()>& stop) {
  const std::string output = JoinPath(directory, file.output_path);
  if (PathExists(output))
    return AlreadyExistsError(output + " exists; remove it or choose another");
  TRIBUTARY_ASSIGN_OR_RETURN(ProgressWriter progress, ProgressWriter::Open(directory));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<TextExample> texts, ReadAll(file, directory));
  TRIBUTARY_ASSIGN_OR_RETURN(const BpeModel bpe,
                             LearnTokenizer(texts, file.model.shape.vocab_size));
  ModelConfig config = file.model;
  config.shape.vocab_size = static_cast<std::int64_t>(bpe.tokens.size());
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer,
                             TokenizerFromJson(bpe.ToJson(kBos), TokenizerConfigJson(config)));
  TRIBUTARY_RETURN_IF_ERROR(CheckSequenceLength(config, file.training.sequence_length));
  TRIBUTARY_ASSIGN_OR_RETURN(TokenTable table, Tokenize(texts, {.eos = kEos}, tokenizer.get()));
  Dataset dataset;
  dataset.Add(std::make_shared<TokenTable>(std::move(table)), file.training.sequence_length);
  if (dataset.empty()) return InvalidArgumentError("no example of the data carries loss");

  NamedTensors weights = FreshLlamaWeights(config.shape, DeriveSeed(file.seed, kWeightsPurpose));
  RequireGradients(&weights);
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<LanguageModel> model,
                             CreateModel(config, weights));
  const auto optimizer = MakeOptimizer(weights, file.training);
  TRIBUTARY_ASSIGN_OR_RETURN(const TrainingOutcome outcome,
                             RunTraining(*model, weights, dataset, file.training, file.seed,
                                         LocalObjective(), optimizer.get(), {&progress, stop}));
  if (outcome.stopped) return CancelledError("stopped by a signal; no model was written");
  TRIBUTARY_RETURN_IF_ERROR(
      SaveModelDirectory(output, config, weights, bpe.ToJson(kBos), TokenizerConfigJson(config)));
  return outcome;
}

}  // namespace tributary::trainer
