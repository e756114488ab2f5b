#include "core/task_contract.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/json.h"

namespace tributary {
namespace {

using nlohmann::json;

constexpr std::int64_t kMaxBytes = std::int64_t{1} << 50;
constexpr std::int64_t kMaxCount = std::int64_t{1} << 40;  // counters that only grow

std::string Dump(const json& value, int indent) {
  return value.dump(indent, ' ', false, json::error_handler_t::replace);
}

// What is off by default is left out, for trainers that do not know it.
json TrainingToJson(const TrainingSettings& settings) {
  json object = {{"steps", settings.steps},
                 {"batch_size", settings.batch_size},
                 {"gradient_accumulation", settings.gradient_accumulation},
                 {"sequence_length", settings.sequence_length},
                 {"learning_rate", settings.learning_rate},
                 {"learning_rate_scale", settings.learning_rate_scale},
                 {"schedule", settings.schedule},
                 {"warmup_steps", settings.warmup_steps},
                 {"weight_decay", settings.weight_decay},
                 {"beta1", settings.beta1},
                 {"beta2", settings.beta2},
                 {"epsilon", settings.epsilon},
                 {"max_grad_norm", settings.max_grad_norm},
                 {"optimizer", settings.optimizer},
                 {"momentum", settings.momentum}};
  if (settings.gradient_checkpointing) object["gradient_checkpointing"] = true;
  if (settings.base_precision != "fp32") object["base_precision"] = settings.base_precision;
  return object;
}

// Only what differs from plain training.
json StrategyToJson(const TaskFile& task) {
  json object = json::object();
  if (task.frozen != FrozenFactor::kNone) {
    object["frozen"] = FrozenFactorName(task.frozen);
  }
  if (task.proximal > 0) object["proximal"] = task.proximal;
  if (!task.gradient_offset.empty()) object["gradient_offset"] = task.gradient_offset;
  if (task.keep_optimizer) object["keep_optimizer"] = true;
  if (task.pruning) {
    object["pruning"] = {{"penalty", task.pruning->penalty},
                         {"from", task.pruning->from},
                         {"kept", task.pruning->kept}};
  }
  return object;
}

// A number in [min, max), or in (min, max) when `open`.
double NumberIn(JsonObjectReader& reader, std::string_view key, double fallback, double min,
                double max, bool open) {
  const double value = reader.Number(key, fallback);
  if (!(open ? value > min : value >= min) || !(value < max)) {
    reader.Problem(key, json(value).dump() + " is out of range; must be " +
                            (open ? "above " : "at least ") + json(min).dump() + " and below " +
                            json(max).dump());
  }
  return value;
}

std::string ReadBasePrecision(JsonObjectReader& reader) {
  std::string name = reader.String("base_precision", "fp32");
  if (name != "fp32" && name != "stored" && name != "int8") {
    reader.Problem("base_precision", "\"" + name + "\" is unknown; known: fp32, stored, int8");
  }
  return name;
}

std::vector<DataSource> ReadData(JsonObjectReader& reader, std::vector<std::string>* problems) {
  std::vector<DataSource> sources;
  const json& list = reader.Raw("data");
  if (!list.is_array() || list.empty()) {
    if (reader.Has("data")) reader.Problem("data", "must be a list of at least one {name, path}");
    return sources;
  }
  std::set<std::string> names;
  for (std::size_t i = 0; i < list.size(); ++i) {
    JsonObjectReader item(list[i], std::string(kTaskFile) + ".data[" + std::to_string(i) + "]",
                          problems);
    DataSource source{item.String("name"), item.String("path"), item.String("template", ""),
                      item.Int("max_bad_lines", 0, kMaxCount, 0)};
    item.RejectUnknown();
    if (!names.insert(source.name).second)
      item.Problem("name", "\"" + source.name + "\" is used twice");
    sources.push_back(std::move(source));
  }
  return sources;
}

std::uint64_t ReadSeed(JsonObjectReader& reader) {
  const json& seed = reader.Raw("seed");
  if (seed.is_number_unsigned()) return seed.get<std::uint64_t>();
  if (reader.Has("seed")) reader.Problem("seed", "must be a whole number, at least 0");
  return 0;
}

void CheckSchema(JsonObjectReader& reader) {
  const std::int64_t schema = reader.Int("schema", 0, std::numeric_limits<std::int32_t>::max());
  if (reader.Has("schema") && schema != kTaskSchema) {
    reader.Problem("schema", std::to_string(schema) + " is not supported; this program reads " +
                                 std::to_string(kTaskSchema));
  }
}

PrunedRanks ReadPruning(JsonObjectReader reader) {
  PrunedRanks pruning;
  pruning.penalty = NumberIn(reader, "penalty", 0, 0, 1e6, false);
  pruning.kept = reader.Int("kept", 1, kMaxCount);
  pruning.from = reader.Int("from", 1, kMaxCount);
  if (pruning.from > pruning.kept) {
    reader.Problem("from", std::to_string(pruning.from) + " is more than kept, " +
                               std::to_string(pruning.kept));
  }
  reader.RejectUnknown();
  return pruning;
}

void ReadStrategy(JsonObjectReader& reader, TaskFile* task) {
  const std::string frozen = reader.String("frozen", "none");
  bool known = false;
  for (const auto factor :
       {FrozenFactor::kNone, FrozenFactor::kA, FrozenFactor::kB, FrozenFactor::kBoth}) {
    if (frozen != FrozenFactorName(factor)) continue;
    task->frozen = factor;
    known = true;
  }
  if (!known) {
    reader.Problem("frozen", "\"" + frozen + "\" is unknown; known: none, lora_A, lora_B, both");
  }
  task->proximal = NumberIn(reader, "proximal", 0, 0, 1e6, false);
  task->gradient_offset = reader.String("gradient_offset", "");
  task->keep_optimizer = reader.Bool("keep_optimizer", false);
  if (reader.Has("pruning")) task->pruning = ReadPruning(reader.Object("pruning"));
  reader.RejectUnknown();
}

// Parses `text` as an object, or says why it is none.
Result<json> ParseObject(std::string_view text, std::string_view what) {
  TRIBUTARY_ASSIGN_OR_RETURN(json object, ParseJson(text, what));
  if (!object.is_object()) return InvalidArgumentError(std::string(what) + ": must be an object");
  return object;
}

}  // namespace

std::string_view TaskKindName(TaskKind kind) {
  return kind == TaskKind::kTrain ? "train" : "evaluate";
}

std::string_view CompletionName(Completion completion) {
  switch (completion) {
    case Completion::kComplete:
      return "complete";
    case Completion::kPartial:
      return "partial";
    case Completion::kFailed:
      break;
  }
  return "failed";
}

TrainingSettings TrainingSettings::Read(JsonObjectReader& reader) {
  constexpr double kHuge = 1e6;
  TrainingSettings settings;
  const TrainingSettings defaults;
  settings.steps = reader.Int("steps", 1, 100'000'000);
  settings.batch_size = reader.Int("batch_size", 1, 65'536, defaults.batch_size);
  settings.gradient_accumulation =
      reader.Int("gradient_accumulation", 1, 65'536, defaults.gradient_accumulation);
  settings.sequence_length = reader.Int("sequence_length", 2, 1 << 20, defaults.sequence_length);
  settings.learning_rate =
      NumberIn(reader, "learning_rate", defaults.learning_rate, 0, kHuge, true);
  settings.learning_rate_scale =
      NumberIn(reader, "learning_rate_scale", defaults.learning_rate_scale, 0, kHuge, true);
  settings.schedule = reader.String("schedule", defaults.schedule);
  if (settings.schedule != "constant" && settings.schedule != "cosine") {
    reader.Problem("schedule", "\"" + settings.schedule + "\" is unknown; known: constant, cosine");
  }
  settings.warmup_steps = reader.Int("warmup_steps", 0, 100'000'000, defaults.warmup_steps);
  settings.weight_decay = NumberIn(reader, "weight_decay", defaults.weight_decay, 0, kHuge, false);
  settings.beta1 = NumberIn(reader, "beta1", defaults.beta1, 0, 1, false);
  settings.beta2 = NumberIn(reader, "beta2", defaults.beta2, 0, 1, false);
  settings.epsilon = NumberIn(reader, "epsilon", defaults.epsilon, 0, 1, true);
  settings.max_grad_norm =
      NumberIn(reader, "max_grad_norm", defaults.max_grad_norm, 0, kHuge, false);
  settings.optimizer = reader.String("optimizer", defaults.optimizer);
  if (settings.optimizer != "adamw" && settings.optimizer != "sgd") {
    reader.Problem("optimizer", "\"" + settings.optimizer + "\" is unknown; known: adamw, sgd");
  }
  settings.momentum = NumberIn(reader, "momentum", defaults.momentum, 0, 1, false);
  settings.gradient_checkpointing = reader.Bool("gradient_checkpointing", false);
  settings.base_precision = ReadBasePrecision(reader);
  reader.RejectUnknown();
  return settings;
}

std::string TaskFile::ToJson() const {
  json object = {{"schema", kTaskSchema},
                 {"kind", TaskKindName(kind)},
                 {"task", task},
                 {"campaign", campaign},
                 {"site", site},
                 {"round", round},
                 {"global_version", global_version},
                 {"seed", seed},
                 {"model_path", model_path},
                 {"threads", threads},
                 {"walltime_seconds", walltime_seconds}};
  json sources = json::array();
  for (const DataSource& source : data) {
    json item = {{"name", source.name}, {"path", source.path}};
    if (!source.chat_template.empty()) item["template"] = source.chat_template;
    if (source.max_bad_lines > 0) item["max_bad_lines"] = source.max_bad_lines;
    sources.push_back(std::move(item));
  }
  object["data"] = std::move(sources);
  if (!merged.empty()) object["merged"] = merged;
  if (kind == TaskKind::kTrain) {
    object["training"] = TrainingToJson(training);
    const json strategy = StrategyToJson(*this);
    if (!strategy.empty()) object["strategy"] = strategy;
  } else {
    object["evaluation"] = {{"batch_size", evaluation_batch_size},
                            {"max_examples", evaluation_max_examples}};
    if (evaluation_answer_tokens > 0) {
      object["evaluation"]["answer_tokens"] = evaluation_answer_tokens;
    }
    if (training.base_precision != "fp32") {
      object["evaluation"]["base_precision"] = training.base_precision;
    }
  }
  return Dump(object, 2) + "\n";
}

Result<TaskFile> TaskFile::FromJson(std::string_view text) {
  TRIBUTARY_ASSIGN_OR_RETURN(const json object, ParseObject(text, kTaskFile));
  std::vector<std::string> problems;
  JsonObjectReader reader(object, std::string(kTaskFile), &problems);
  CheckSchema(reader);

  TaskFile task;
  const std::string kind = reader.String("kind");
  if (kind == "evaluate") task.kind = TaskKind::kEvaluate;
  if (reader.Has("kind") && kind != "train" && kind != "evaluate") {
    reader.Problem("kind", "\"" + kind + "\" is unknown; known: train, evaluate");
  }
  task.task = reader.String("task");
  task.campaign = reader.String("campaign");
  task.site = reader.String("site");
  task.round = reader.Int("round", 0, kMaxCount);
  task.global_version = reader.Int("global_version", 0, kMaxCount);
  task.seed = ReadSeed(reader);
  task.model_path = reader.String("model_path");
  task.data = ReadData(reader, &problems);
  task.merged = reader.Strings("merged", {});
  task.threads = reader.Int("threads", 0, 4096, 0);
  task.walltime_seconds = reader.Int("walltime_seconds", 0, kMaxCount, 0);
  if (kind == "train") {
    JsonObjectReader training = reader.Object("training");
    task.training = TrainingSettings::Read(training);
    if (reader.Has("strategy")) {
      JsonObjectReader strategy = reader.Object("strategy");
      ReadStrategy(strategy, &task);
    }
  } else if (kind == "evaluate" && reader.Has("evaluation")) {
    JsonObjectReader evaluation = reader.Object("evaluation");
    task.evaluation_batch_size =
        evaluation.Int("batch_size", 1, 65'536, task.evaluation_batch_size);
    task.evaluation_max_examples = evaluation.Int("max_examples", 0, kMaxCount, 0);
    task.evaluation_answer_tokens = evaluation.Int("answer_tokens", 0, 65'536, 0);
    task.training.base_precision = ReadBasePrecision(evaluation);
    evaluation.RejectUnknown();
  }
  reader.RejectUnknown();
  TRIBUTARY_RETURN_IF_ERROR(ProblemsToStatus(problems));
  return task;
}

std::string TaskResult::ToJson() const {
  json object = {{"schema", kTaskSchema},
                 {"completion", CompletionName(completion)},
                 {"message", message},
                 {"samples", samples},
                 {"tokens", tokens},
                 {"steps", steps},
                 {"learning_rate_sum", learning_rate_sum},
                 {"loss_first", loss_first},
                 {"loss_last", loss_last},
                 {"train_seconds", train_seconds},
                 {"metrics", metrics}};
  if (!device.empty()) object["device"] = device;
  if (peak_memory_bytes > 0) object["peak_memory_bytes"] = peak_memory_bytes;
  return Dump(object, 2) + "\n";
}

Result<TaskResult> TaskResult::FromJson(std::string_view text) {
  TRIBUTARY_ASSIGN_OR_RETURN(const json object, ParseObject(text, kResultFile));
  std::vector<std::string> problems;
  JsonObjectReader reader(object, std::string(kResultFile), &problems);
  CheckSchema(reader);

  TaskResult result;
  const std::string completion = reader.String("completion");
  if (completion == "partial") {
    result.completion = Completion::kPartial;
  } else if (completion == "failed") {
    result.completion = Completion::kFailed;
  } else if (completion != "complete" && reader.Has("completion")) {
    reader.Problem("completion",
                   "\"" + completion + "\" is unknown; known: complete, partial, failed");
  }
  result.message = reader.String("message", "");
  result.samples = reader.Int("samples", 0, kMaxCount, 0);
  result.tokens = reader.Int("tokens", 0, kMaxCount, 0);
  result.steps = reader.Int("steps", 0, kMaxCount, 0);
  result.learning_rate_sum = reader.Number("learning_rate_sum", 0);
  result.loss_first = reader.Number("loss_first", 0);
  result.loss_last = reader.Number("loss_last", 0);
  result.train_seconds = reader.Number("train_seconds", 0);
  result.device = reader.String("device", "");
  result.peak_memory_bytes = reader.Int("peak_memory_bytes", 0, kMaxBytes, 0);
  if (reader.Has("metrics")) {
    JsonObjectReader metrics = reader.Object("metrics");
    for (const auto& [name, value] : object["metrics"].items()) {
      result.metrics[name] = metrics.Number(name);
    }
  }
  reader.RejectUnknown();
  TRIBUTARY_RETURN_IF_ERROR(ProblemsToStatus(problems));
  return result;
}

std::string ProgressLine::ToJson() const {
  return Dump({{"step", step},
               {"steps", steps},
               {"loss", loss},
               {"tokens", tokens},
               {"seconds", seconds}},
              -1) +
         "\n";
}

Result<ProgressLine> ProgressLine::FromJson(std::string_view text) {
  TRIBUTARY_ASSIGN_OR_RETURN(const json object, ParseObject(text, kProgressFile));
  std::vector<std::string> problems;
  JsonObjectReader reader(object, std::string(kProgressFile), &problems);
  ProgressLine line;
  line.step = reader.Int("step", 0, kMaxCount);
  line.steps = reader.Int("steps", 0, kMaxCount);
  line.loss = reader.Number("loss");
  line.tokens = reader.Int("tokens", 0, kMaxCount, 0);
  line.seconds = reader.Number("seconds", 0);
  TRIBUTARY_RETURN_IF_ERROR(ProblemsToStatus(problems));
  return line;
}

}  // namespace tributary
