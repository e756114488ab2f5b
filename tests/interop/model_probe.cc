// model_probe MODEL ADAPTER REQUEST OUTPUT: what the trainer computes, for comparison with other
// libraries.
//
// ADAPTER is a directory, or "-" for the model alone. REQUEST is JSON: "sequences", lists of token
// ids; "loss_from", the first token that carries loss; "steps" of AdamW with "learning_rate",
// "weight_decay" and "epsilon", each over all sequences; "adapter_output", a directory for the
// trained adapter. OUTPUT gets safetensors: logits [rows, vocab], loss (a mean over tokens); of the
// first step gradient.<tensor>; after the steps logits_after and trained.<tensor>.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "core/files.h"
#include "core/json.h"
#include "trainer/model_directory.h"
#include "trainer/optimizer.h"

namespace tributary::trainer {
namespace {

using nlohmann::json;

PackedBatch MakeBatch(const json& request) {
  const std::int64_t loss_from = request.at("loss_from").get<std::int64_t>();
  std::vector<std::int64_t> ids;
  std::vector<std::int64_t> rows;
  std::vector<std::int64_t> targets;
  PackedBatch batch;
  batch.starts = {0};
  for (const json& sequence : request.at("sequences")) {
    for (std::size_t t = 0; t < sequence.size(); ++t) {
      ids.push_back(sequence[t].get<std::int64_t>());
      if (static_cast<std::int64_t>(t) < loss_from) continue;
      rows.push_back(static_cast<std::int64_t>(ids.size()) - 2);
      targets.push_back(ids.back());
    }
    batch.starts.push_back(static_cast<std::int64_t>(ids.size()));
    ++batch.examples;
  }
  batch.ids = at::tensor(ids, at::kLong);
  batch.loss_rows = at::tensor(rows, at::kLong);
  batch.targets = at::tensor(targets, at::kLong);
  return batch;
}

at::Tensor MeanLoss(const LanguageModel& model, const PackedBatch& batch) {
  return LossSum(model, batch) / static_cast<double>(batch.targets.numel());
}

at::Tensor LogitsOf(const LanguageModel& model, const PackedBatch& batch) {
  const at::NoGradGuard no_grad;
  return Logits(model, batch);
}

void Train(const LanguageModel& model, const PackedBatch& batch, const json& request,
           const NamedTensors& trained, NamedTensors* output) {
  TrainingSettings settings;
  settings.weight_decay = request.value("weight_decay", 0.0);
  settings.epsilon = request.value("epsilon", settings.epsilon);
  const auto optimizer = MakeOptimizer(trained, settings);
  for (const auto& [name, tensor] : trained) tensor.mutable_grad() = at::Tensor();
  const int steps = request.value("steps", 0);
  for (int step = 0; step < steps; ++step) {
    MeanLoss(model, batch).backward();
    if (step == 0) {
      for (const auto& [name, tensor] : trained) {
        (*output)["gradient." + name] = tensor.grad().clone();
      }
    }
    optimizer->Step(request.value("learning_rate", 1e-3));
  }
  for (const auto& [name, tensor] : trained) (*output)["trained." + name] = tensor;
  (*output)["logits_after"] = LogitsOf(model, batch);
}

Status WriteAdapter(const std::string& directory, const Adapter& adapter) {
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(directory));
  TRIBUTARY_RETURN_IF_ERROR(
      WriteFileAtomic(JoinPath(directory, kAdapterConfigFile), adapter.config.ToPeftJson()));
  return SaveWeights(JoinPath(directory, kAdapterWeightsFile), adapter.tensors);
}

Status Run(const std::string& model_path, const std::string& adapter_path,
           const std::string& request_path, const std::string& output_path) {
  TRIBUTARY_ASSIGN_OR_RETURN(const json request, ReadJsonFile(request_path));
  const PackedBatch batch = MakeBatch(request);
  TRIBUTARY_ASSIGN_OR_RETURN(const ModelConfig config, ReadModelConfig(model_path));
  Adapter adapter;
  if (adapter_path != "-") {
    TRIBUTARY_ASSIGN_OR_RETURN(adapter, LoadAdapter(adapter_path, config.shape));
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const auto model, LoadModel(model_path, config, adapter));
  NamedTensors output;
  output["logits"] = LogitsOf(*model, batch);
  output["loss"] = MeanLoss(*model, batch).detach().reshape({1});
  if (request.value("steps", 0) > 0) {
    const NamedTensors trained = RequireGradients(&adapter.tensors);
    Train(*model, batch, request, trained, &output);
  }
  if (request.contains("adapter_output")) {
    TRIBUTARY_RETURN_IF_ERROR(WriteAdapter(request["adapter_output"].get<std::string>(), adapter));
  }
  return SaveWeights(output_path, output);
}

}  // namespace
}  // namespace tributary::trainer

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "usage: model_probe MODEL ADAPTER REQUEST OUTPUT" << std::endl;
    return 2;
  }
  const tributary::Status status = tributary::trainer::Run(argv[1], argv[2], argv[3], argv[4]);
  if (!status.ok()) std::cerr << status << std::endl;
  return status.ok() ? 0 : 1;
}
