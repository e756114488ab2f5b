#include "tests/bench/train_benchmark.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <thread>

#include "client/sample_task.h"
#include "core/child_process.h"
#include "core/files.h"
#include "core/safetensors.h"
#include "core/task_contract.h"
#include "core/update_encoding.h"

namespace tributary::bench {
namespace {

using nlohmann::json;

constexpr std::chrono::milliseconds kPoll{20};

struct Run {
  double tokens_per_second = 0;  // all tokens of the sequences
  double peak_mib = 0;
};

client::SampleModel SizeOf(const std::string& name) {
  if (name == "110m") return {768, 2048, 12, 12, 12, 32000, 1024};
  return {288, 768, 6, 6, 6, 32000, 1024};
}

// Texts that are all longer than a sequence: every batch has the same size.
Status WriteTexts(const std::string& path, std::int64_t sequence_length) {
  std::string lines;
  for (int i = 0; i < 64; ++i) {
    std::string text = "Text " + std::to_string(i) + ":";
    while (static_cast<std::int64_t>(text.size()) < sequence_length + 8) text += " and so on";
    lines += json{{"text", text}}.dump() + "\n";
  }
  return WriteFileAtomic(path, lines);
}

// Rounds the weights of a model directory to BF16.
Status StoreAsBf16(const std::string& model) {
  const std::string path = model + "/model.safetensors";
  TRIBUTARY_ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(path));
  Manifest manifest = file.ToManifest();
  for (TensorSpec& spec : manifest) spec.dtype = DType::kBf16;
  TRIBUTARY_ASSIGN_OR_RETURN(SafetensorsWriter writer,
                             SafetensorsWriter::Create(path, manifest, {{"format", "pt"}}));
  std::vector<std::uint16_t> narrow;
  for (const TensorSpec& spec : writer.manifest()) {
    narrow.clear();
    for (const float value : file.Floats(*file.Find(spec.name))) narrow.push_back(ToBf16(value));
    TRIBUTARY_RETURN_IF_ERROR(writer.Append(std::as_bytes(std::span(narrow))));
  }
  return writer.Finish().status();
}

double PeakMib(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::strtod(line.c_str() + 6, nullptr) / 1024;
  }
  return 0;
}

Result<Run> Train(const std::vector<std::string>& program, const std::string& directory,
                  const client::SampleMaterial& material, const TaskFile& task) {
  TRIBUTARY_RETURN_IF_ERROR(RemoveTree(directory));
  TRIBUTARY_RETURN_IF_ERROR(client::StageTask(directory, material, task.ToJson()));
  std::vector<std::string> command = program;
  for (const std::string& word : {std::string("train"), std::string("--task"), directory}) {
    command.push_back(word);
  }
  TRIBUTARY_ASSIGN_OR_RETURN(ChildProcess process,
                             ChildProcess::Start(command, directory + "/log"));
  Run run;
  while (!process.Poll()) {
    run.peak_mib = std::max(run.peak_mib, PeakMib(process.pid()));
    std::this_thread::sleep_for(kPoll);
  }
  const auto text = ReadFile(directory + "/update/result.json");
  const auto log = ReadFileTail(directory + "/log", 1000);
  if (!text.ok()) return InternalError(program[0] + ": " + (log.ok() ? *log : ""));
  TRIBUTARY_ASSIGN_OR_RETURN(const TaskResult result, TaskResult::FromJson(*text));
  if (result.completion != Completion::kComplete) return InternalError(result.message);
  const auto tokens = static_cast<double>(result.samples * task.training.sequence_length);
  run.tokens_per_second = tokens / result.train_seconds;
  return run;
}

json ToJson(const Run& run) {
  return {{"tokens_per_second", run.tokens_per_second}, {"peak_mib", run.peak_mib}};
}

void KeepBetter(const Run& run, Run* best) {
  best->tokens_per_second = std::max(best->tokens_per_second, run.tokens_per_second);
  best->peak_mib = best->peak_mib == 0 ? run.peak_mib : std::min(best->peak_mib, run.peak_mib);
}

}  // namespace

Result<std::string> RunTrainBenchmark(const TrainOptions& options) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto scratch, TemporaryDirectory::Create("tributary-bench-"));
  const std::string model = scratch.path() + "/model";
  TRIBUTARY_RETURN_IF_ERROR(client::MakeModel(model, SizeOf(options.model)));
  if (options.base_precision != "fp32") TRIBUTARY_RETURN_IF_ERROR(StoreAsBf16(model));
  const std::string data = scratch.path() + "/data.jsonl";
  TRIBUTARY_RETURN_IF_ERROR(WriteTexts(data, options.sequence_length));
  AdapterConfig adapter;
  adapter.rank = 8;
  adapter.target_modules = {"q_proj", "k_proj", "v_proj", "o_proj"};
  TRIBUTARY_ASSIGN_OR_RETURN(const auto material,
                             client::MakeMaterial(scratch.path(), model, data, adapter));
  TaskFile task = client::SampleTask(material, TaskKind::kTrain);
  task.training.steps = options.steps;
  task.training.batch_size = options.batch_size;
  task.training.sequence_length = options.sequence_length;
  task.training.gradient_checkpointing = options.gradient_checkpointing;
  task.training.base_precision = options.base_precision;
  task.threads = options.threads;

  Run native;
  Run peft;
  for (int i = 0; i < options.repetitions; ++i) {
    const std::string directory = scratch.path() + "/task";
    TRIBUTARY_ASSIGN_OR_RETURN(const Run ours,
                               Train({options.trainer_program}, directory, material, task));
    KeepBetter(ours, &native);
    if (options.peft_command.empty()) continue;
    TRIBUTARY_ASSIGN_OR_RETURN(const Run theirs,
                               Train(options.peft_command, directory, material, task));
    KeepBetter(theirs, &peft);
  }
  json result = {{"model", options.model},
                 {"threads", options.threads},
                 {"batch_size", options.batch_size},
                 {"sequence_length", options.sequence_length},
                 {"gradient_checkpointing", options.gradient_checkpointing},
                 {"base_precision", options.base_precision},
                 {"native", ToJson(native)}};
  if (!options.peft_command.empty()) {
    result["peft"] = ToJson(peft);
    result["speed_ratio"] = native.tokens_per_second / peft.tokens_per_second;
    result["memory_ratio"] = native.peak_mib / peft.peak_mib;
  }
  return result.dump(2);
}

}  // namespace tributary::bench
