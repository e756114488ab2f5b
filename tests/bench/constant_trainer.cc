#include "tests/bench/constant_trainer.h"

#include <algorithm>
#include <cstdio>
#include <span>
#include <vector>

#include "core/files.h"
#include "core/peft_adapter.h"
#include "core/safetensors.h"
#include "core/task_contract.h"

namespace tributary::bench {
namespace {

constexpr std::size_t kBlock = std::size_t{64} << 10;

// Between 1e-4 and 2e-4.
float ConstantFor(const TaskFile& task) {
  const Digest digest = Sha256Of(task.site + "/" + std::to_string(task.seed));
  return 1e-4F + 1e-4F * static_cast<float>(digest.bytes[0] * 256 + digest.bytes[1]) / 65536.0F;
}

// That element `i` of a LoRA factor belongs to; -1 in other tensors.
std::int64_t RankOf(const TensorSpec& spec, std::int64_t i) {
  if (IsLoraA(spec.name)) return i / spec.shape[1];
  return IsLoraB(spec.name) ? i % spec.shape[1] : -1;
}

Status WriteTrained(const TaskFile& task, const std::string& directory, const std::string& update) {
  TRIBUTARY_ASSIGN_OR_RETURN(
      const auto global,
      SafetensorsFile::Open(directory + "/global/" + std::string(kAdapterWeightsFile)));
  TRIBUTARY_ASSIGN_OR_RETURN(
      SafetensorsWriter writer,
      SafetensorsWriter::Create(JoinPath(update, kAdapterWeightsFile), global.ToManifest(), {},
                                /*durable=*/false));
  const float change = ConstantFor(task);
  std::vector<float> block(kBlock);
  for (const SafetensorsEntry& entry : global.header().tensors) {
    const std::span<const float> values = global.Floats(entry);
    const float constant = Freezes(task.frozen, entry.spec.name) ? 0 : change;
    const auto train = [&](std::size_t i) {
      if (task.pruning) {
        const std::int64_t rank = RankOf(entry.spec, static_cast<std::int64_t>(i));
        if (rank >= task.pruning->kept) return 0.0F;
        if (rank >= task.pruning->from) return values[i] / 2;
      }
      return values[i] + constant;
    };
    for (std::size_t at = 0; at < values.size(); at += kBlock) {
      const std::size_t count = std::min(kBlock, values.size() - at);
      for (std::size_t i = 0; i < count; ++i) block[i] = train(at + i);
      TRIBUTARY_RETURN_IF_ERROR(writer.Append(std::as_bytes(std::span(block.data(), count))));
    }
  }
  return writer.Finish().status();
}

}  // namespace

Status TrainConstant(const std::string& directory) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string text, ReadFile(JoinPath(directory, kTaskFile)));
  TRIBUTARY_ASSIGN_OR_RETURN(const TaskFile task, TaskFile::FromJson(text));
  if (PathExists(JoinPath(directory, kUpdateDirectory))) return OkStatus();  // of an earlier life
  const std::string partial = JoinPath(directory, "update.tmp");
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(partial));
  TaskResult result;
  if (task.kind == TaskKind::kTrain) {
    TRIBUTARY_RETURN_IF_ERROR(WriteTrained(task, directory, partial));
    result.samples = result.tokens = result.steps = task.training.steps;
    result.learning_rate_sum = task.training.learning_rate * static_cast<double>(result.steps);
    result.loss_first = result.loss_last = 1;
  } else {
    for (const DataSource& data : task.data) result.metrics["loss/" + data.name] = 1;
  }
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(JoinPath(partial, kResultFile), result.ToJson()));
  return RenameDurably(partial, JoinPath(directory, kUpdateDirectory));
}

int RunConstantTrainer(const scheduler_adapters::JobSpec& job) {
  const Status status = TrainConstant(job.working_directory);
  if (!status.ok()) std::fprintf(stderr, "constant trainer: %s\n", status.message().c_str());
  return status.ok() ? 0 : 1;
}

}  // namespace tributary::bench
