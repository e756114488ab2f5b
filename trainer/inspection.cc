#include "trainer/inspection.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/adapter_files.h"
#include "core/files.h"
#include "core/model_files.h"
#include "core/text.h"
#include "core/version.h"
#include "trainer/adapter.h"
#include "trainer/examples.h"
#include "trainer/model_directory.h"
#include "trainer/tokenized_examples.h"

namespace tributary::trainer {
namespace {

using nlohmann::json;
using Outcome = Finding::Outcome;

constexpr std::size_t kPiece = std::size_t{4} << 20;  // of a data file that is read at once
constexpr std::size_t kLongestLine = std::size_t{256} << 20;
constexpr std::size_t kTokenized = 2000;  // examples of a file that are made tokens
constexpr std::size_t kMaxFound = 2000;   // bytes

using SteadyTime = std::chrono::steady_clock::time_point;

Finding Ok(std::string what, std::string path, std::string found) {
  return {std::move(what), std::move(path), Outcome::kOk, std::move(found)};
}
Finding Bad(std::string what, std::string path, const Status& status) {
  return {std::move(what), std::move(path), Outcome::kFailed, status.message()};
}

std::string Count(std::uint64_t number, const char* one, const char* more) {
  return std::to_string(number) + " " + (number == 1 ? one : more);
}

Finding InspectWeights(const std::string& directory, const ModelConfig& config) {
  const auto files = ModelFiles::Open(directory, config.shape);
  if (!files.ok()) return Bad("model", directory, files.status());
  std::uint64_t parameters = 0;
  for (const ModelWeight& weight : files->weights()) parameters += weight.spec.ElementCount();
  return Ok("model", directory,
            config.shape.model_type + ", " + Count(files->weights().size(), "tensor", "tensors") +
                ", " + Count(parameters, "parameter", "parameters"));
}

// With its weights where they are there; a campaign's offer has the configuration alone.
Finding InspectAdapter(const std::string& directory, const ModelShape& shape) {
  const auto text = ReadFile(JoinPath(directory, kAdapterConfigFile));
  if (!text.ok()) return Bad("adapter", directory, text.status());
  const auto config = AdapterConfig::FromPeftJson(*text);
  if (!config.ok()) return Bad("adapter", directory, config.status());
  const auto manifest = AdapterManifest(*config, shape);
  if (!manifest.ok()) return Bad("adapter", directory, manifest.status());
  if (PathExists(JoinPath(directory, kAdapterWeightsFile)) ||
      PathExists(JoinPath(directory, kAdapterPickleFile))) {
    const auto adapter = LoadAdapter(directory, shape);
    if (!adapter.ok()) return Bad("adapter", directory, adapter.status());
  }
  return Ok("adapter", directory, Count(manifest->size(), "tensor", "tensors"));
}

// A data file, piece by piece, as long as there is time.
class DataInspection {
 public:
  DataInspection(const std::string& path, const InspectOptions& options, const ModelConfig* config,
                 Tokenizer* tokenizer, SteadyTime until)
      : path_(path), options_(options), config_(config), tokenizer_(tokenizer), until_(until) {}

  Finding Run() {
    const Status status = Read();
    if (!status.ok()) return Bad("data", path_, status);
    std::string found = Count(examples_, "example", "examples");
    if (!whole_) found += " in the first " + std::to_string(read_) + " bytes, the rest is not read";
    if (bad_.count > 0) {
      const Status bad = CheckBadLines(path_, bad_, 0);
      return {"data", path_, examples_ == 0 ? Outcome::kFailed : Outcome::kWarning, bad.message()};
    }
    if (examples_ == 0) return Bad("data", path_, InvalidArgumentError("has no examples"));
    if (!doubt_.empty()) return {"data", path_, Outcome::kWarning, found + "; " + doubt_};
    return Ok("data", path_, found);
  }

 private:
  Status Read() {
    TRIBUTARY_ASSIGN_OR_RETURN(const FileDescriptor file, OpenFile(path_, O_RDONLY));
    TRIBUTARY_ASSIGN_OR_RETURN(const std::uint64_t size, FileSize(path_));
    TRIBUTARY_RETURN_IF_ERROR(CheckDataSize(path_, size));
    std::string text;
    std::string piece(kPiece, '\0');
    bool first = true;
    while (true) {
      const ssize_t got = read(file.get(), piece.data(), piece.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return ErrnoError("read " + path_, errno);
      text.append(piece, 0, static_cast<std::size_t>(got));
      if (first) TRIBUTARY_RETURN_IF_ERROR(CheckDataKind(path_, text));
      const std::size_t end = got == 0 ? text.size() : text.rfind('\n') + 1;  // npos + 1 is 0
      TRIBUTARY_RETURN_IF_ERROR(Take(std::string_view(text).substr(0, end), first));
      read_ += end;
      text.erase(0, end);
      first = first && end == 0;
      if (got == 0) return OkStatus();
      if (text.size() > kLongestLine || std::chrono::steady_clock::now() > until_) {
        whole_ = false;
        return OkStatus();
      }
    }
  }

  Status Take(std::string_view lines, bool first) {
    if (lines.empty()) return OkStatus();
    ExampleFile parsed = ParseExamples(lines, lines_ + 1);
    lines_ += std::count(lines.begin(), lines.end(), '\n');
    examples_ += parsed.examples.size();
    bad_.count += parsed.bad.count;
    for (std::string& line : parsed.bad.first) {
      if (bad_.first.size() < 10) bad_.first.push_back(std::move(line));
    }
    return first ? MakeTokens(std::move(parsed.examples)) : OkStatus();
  }

  Status MakeTokens(std::vector<TextExample> examples) {
    if (tokenizer_ == nullptr || config_ == nullptr || examples.empty()) return OkStatus();
    if (examples.size() > kTokenized) examples.resize(kTokenized);
    TokenizeOptions how{.eos = static_cast<std::int32_t>(config_->eos_token)};
    if (!options_.chat_template.empty()) {
      TRIBUTARY_ASSIGN_OR_RETURN(how.chat, FindChatTemplate(options_.chat_template));
    }
    auto table = Tokenize(examples, how, tokenizer_);
    const bool conversations = std::any_of(
        examples.begin(), examples.end(),
        [](const TextExample& example) { return example.kind == ExampleKind::kMessages; });
    if (!table.ok() && conversations && how.chat == nullptr) {  // a campaign may name one
      doubt_ = table.status().message();
      return OkStatus();
    }
    if (!table.ok()) return table.status().Annotate(path_);
    TRIBUTARY_RETURN_IF_ERROR(
        CheckTokens(table->Arrays().ids, config_->shape.vocab_size, *tokenizer_).Annotate(path_));
    Dataset dataset;
    dataset.Add(std::make_shared<TokenTable>(*std::move(table)), config_->max_positions);
    if (dataset.empty()) doubt_ = "none of the first carries loss";
    return OkStatus();
  }

  const std::string& path_;
  const InspectOptions& options_;
  const ModelConfig* config_;
  Tokenizer* tokenizer_;
  const SteadyTime until_;
  BadLines bad_;
  std::string doubt_;
  std::uint64_t examples_ = 0, read_ = 0;
  std::int64_t lines_ = 0;
  bool whole_ = true;
};

std::string_view OutcomeName(Outcome outcome) {
  return outcome == Outcome::kOk ? "ok" : outcome == Outcome::kWarning ? "warning" : "failed";
}

}  // namespace

const std::vector<std::string>& Abilities() {
  static const std::vector<std::string> abilities = {"evaluate",
                                                     "frozen",
                                                     "middle",
                                                     "pruning",
                                                     "proximal",
                                                     "gradient_offset",
                                                     "keep_optimizer",
                                                     "merged",
                                                     "answers",
                                                     "base_precision.stored",
                                                     "base_precision.int8",
                                                     "gradient_checkpointing"};
  return abilities;
}

std::vector<Finding> Inspect(const InspectOptions& options) {
  std::vector<Finding> findings;
  const auto config = ReadModelConfig(options.model);
  findings.push_back(config.ok() ? InspectWeights(options.model, *config)
                                 : Bad("model", options.model, config.status()));
  const auto tokenizer = LoadTokenizer(options.model);
  findings.push_back(
      tokenizer.ok()
          ? Ok("tokenizer", options.model,
               Count(static_cast<std::uint64_t>((*tokenizer)->VocabSize()), "token", "tokens"))
          : Bad("tokenizer", options.model, tokenizer.status()));
  if (!options.adapter.empty() && config.ok()) {
    findings.push_back(InspectAdapter(options.adapter, config->shape));
  }
  const auto now = std::chrono::steady_clock::now();
  const auto files = static_cast<std::int64_t>(options.data.size());
  const auto each = options.patience / std::max<std::int64_t>(1, files);
  for (std::size_t i = 0; i < options.data.size(); ++i) {
    findings.push_back(DataInspection(options.data[i], options, config.ok() ? &*config : nullptr,
                                      tokenizer.ok() ? tokenizer->get() : nullptr,
                                      now + static_cast<std::int64_t>(i + 1) * each)
                           .Run());
  }
  return findings;
}

bool RunInspect(const InspectOptions& options, std::ostream& out) {
  const std::vector<Finding> findings = Inspect(options);
  json list = json::array();
  bool good = true;
  for (const Finding& finding : findings) {
    good = good && finding.outcome != Outcome::kFailed;
    const std::string found = Printable(finding.found, kMaxFound);
    const std::string outcome(OutcomeName(finding.outcome));
    list.push_back(
        {{"what", finding.what}, {"path", finding.path}, {"outcome", outcome}, {"found", found}});
    if (!options.json) {
      out << outcome << " " << finding.what << " " << Printable(finding.path) << ": " << found
          << "\n";
    }
  }
  if (options.json) {
    const json all = {{"schema", 1},
                      {"trainer", std::string("tributary-trainer ") + kVersion},
                      {"abilities", Abilities()},
                      {"checks", std::move(list)}};
    out << all.dump(-1, ' ', true, json::error_handler_t::replace) << "\n";
  }
  return good;
}

}  // namespace tributary::trainer
