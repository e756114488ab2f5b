#include "trainer/pretraining.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/files.h"
#include "core/json.h"
#include "core/sha256.h"
#include "trainer/adapter.h"
#include "trainer/bpe_training.h"
#include "trainer/llama.h"
#include "trainer/model_directory.h"
#include "trainer/say.h"

namespace tributary::trainer {
namespace {

using nlohmann::json;

constexpr std::int32_t kBos = 0;
constexpr std::int32_t kEos = 1;
constexpr std::uint64_t kWeightsPurpose = 3;
constexpr std::chrono::seconds kCheckpointEvery{10};  // a person may be waiting for it

ModelConfig ReadNewModel(JsonObjectReader& reader) {
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

// The recipe and the data's content: who has the same goes the same way.
Result<std::string> WorkName(const PretrainFile& file, const std::string& directory) {
  std::string parts = file.recipe;
  for (const DataSource& source : file.data) {
    TRIBUTARY_ASSIGN_OR_RETURN(const Digest data, Sha256OfFile(JoinPath(directory, source.path)));
    parts += "\n" + data.ToHex();
  }
  return "pretrain " + Sha256Of(parts).ToHex();
}

// A predecessor that was told to end may be writing its checkpoint still.
Result<FileDescriptor> LockWork(const std::string& directory,
                                const std::function<Status(const std::string&)>& note,
                                const std::function<bool()>& stop) {
  constexpr std::chrono::milliseconds kPollInterval{100};
  const std::string path = JoinPath(directory, kPretrainLock);
  TRIBUTARY_ASSIGN_OR_RETURN(FileDescriptor lock, OpenFile(path, O_RDWR | O_CREAT));
  const auto until = std::chrono::steady_clock::now() + kPretrainPatience;
  for (bool said = false; flock(lock.get(), LOCK_EX | LOCK_NB) != 0; said = true) {
    if (errno != EWOULDBLOCK && errno != EINTR) return ErrnoError("flock " + path, errno);
    if (stop()) return CancelledError("stopped by a signal");
    if (std::chrono::steady_clock::now() > until) {
      return UnavailableError("another process pretrains in " + directory + ", " + path +
                              " is locked; wait for its end, or choose another directory");
    }
    if (!said) TRIBUTARY_RETURN_IF_ERROR(note("waiting for another process in " + directory));
    std::this_thread::sleep_for(kPollInterval);
  }
  return lock;
}

}  // namespace

Result<PretrainFile> PretrainFile::FromJson(std::string_view text) {
  TRIBUTARY_ASSIGN_OR_RETURN(const json object, ParseJson(text, kPretrainFile));
  if (!object.is_object()) return InvalidArgumentError("pretrain.json: must be an object");
  std::vector<std::string> problems;
  JsonObjectReader reader(object, std::string(kPretrainFile), &problems);
  PretrainFile file;
  JsonObjectReader model = reader.Object("model");
  file.model = ReadNewModel(model);
  JsonObjectReader training = reader.Object("training");
  file.training = TrainingSettings::Read(training);
  file.seed = static_cast<std::uint64_t>(reader.Int("seed", 0, INT64_MAX, 0));
  file.data = ReadSources(reader);
  file.threads = reader.Int("threads", 0, 4096, 0);
  file.output_path = reader.String("output_path");
  reader.RejectUnknown();
  if (problems.empty()) CheckModel(file.model, &problems);
  TRIBUTARY_RETURN_IF_ERROR(ProblemsToStatus(problems));
  json recipe = object;
  for (const char* other : {"data", "threads", "output_path"}) recipe.erase(other);
  file.recipe = recipe.dump(-1, ' ', false, json::error_handler_t::replace);
  return file;
}

Result<PretrainFile> ReadPretrainFile(const std::string& directory) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string text, ReadFile(JoinPath(directory, kPretrainFile)));
  return PretrainFile::FromJson(text).Annotate(directory);
}

Result<TrainingOutcome> RunPretraining(const std::string& directory, const PretrainFile& file,
                                       const std::function<bool()>& stop) {
  TRIBUTARY_ASSIGN_OR_RETURN(ProgressWriter progress, ProgressWriter::Open(directory));
  const auto note = [&](const std::string& text) {
    Say(text);
    return progress.Note(file.training.steps, text);
  };
  TRIBUTARY_ASSIGN_OR_RETURN(const FileDescriptor lock, LockWork(directory, note, stop));
  const std::string output = JoinPath(directory, file.output_path);
  if (PathExists(output))
    return AlreadyExistsError(output + " exists; remove it or choose another");
  TRIBUTARY_RETURN_IF_ERROR(note("reading the text"));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string work, WorkName(file, directory));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<TextExample> texts, ReadAll(file, directory));
  const std::string count = std::to_string(texts.size()) + " texts";
  TRIBUTARY_RETURN_IF_ERROR(note("learning a tokenizer from " + count));
  TRIBUTARY_ASSIGN_OR_RETURN(const BpeModel bpe,
                             LearnTokenizer(texts, file.model.shape.vocab_size));
  ModelConfig config = file.model;
  config.shape.vocab_size = static_cast<std::int64_t>(bpe.tokens.size());
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer,
                             TokenizerFromJson(bpe.ToJson(kBos), TokenizerConfigJson(config)));
  TRIBUTARY_RETURN_IF_ERROR(CheckSequenceLength(config, file.training.sequence_length));
  TRIBUTARY_RETURN_IF_ERROR(note("tokenizing " + count));
  TRIBUTARY_ASSIGN_OR_RETURN(TokenTable table, Tokenize(texts, {.eos = kEos}, tokenizer.get()));
  Dataset dataset;
  dataset.Add(std::make_shared<TokenTable>(std::move(table)), file.training.sequence_length);
  if (dataset.empty()) return InvalidArgumentError("no example of the data carries loss");

  NamedTensors weights = FreshLlamaWeights(config.shape, DeriveSeed(file.seed, kWeightsPurpose));
  RequireGradients(&weights);
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<LanguageModel> model,
                             CreateModel(config, weights));
  const auto optimizer = MakeOptimizer(weights, file.training);
  TRIBUTARY_ASSIGN_OR_RETURN(Checkpoint checkpoint,
                             Checkpoint::Open(directory, work, kCheckpointEvery));
  TRIBUTARY_ASSIGN_OR_RETURN(
      const TrainingOutcome outcome,
      RunTraining(*model, weights, dataset, file.training, file.seed, LocalObjective(),
                  optimizer.get(), {&progress, stop, &checkpoint, nullptr, true}));
  if (outcome.stopped) {
    return CancelledError("stopped by a signal after step " + std::to_string(outcome.steps) +
                          " of " + std::to_string(file.training.steps) +
                          "; the same command goes on from there");
  }
  TRIBUTARY_RETURN_IF_ERROR(
      SaveModelDirectory(output, config, weights, bpe.ToJson(kBos), TokenizerConfigJson(config)));
  TRIBUTARY_RETURN_IF_ERROR(checkpoint.Remove());
  return outcome;
}

}  // namespace tributary::trainer
