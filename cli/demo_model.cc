#include "cli/demo_model.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/smollm2.h"
#include "core/files.h"
#include "core/model_files.h"

namespace tributary::cli {
namespace {

using nlohmann::json;

// Of the made-up base. A change here needs another kBaseName.
constexpr std::int64_t kHidden = 128, kLayers = 4, kHeads = 4, kKvHeads = 2, kIntermediate = 384,
                       kVocabulary = 2048;
constexpr std::int64_t kPretrainThreads = 2;

json BaseRecipe(const DemoPlan& plan) {
  const std::int64_t steps = plan.options.base_steps;
  return {{"model",
           {{"hidden_size", kHidden},
            {"layers", kLayers},
            {"heads", kHeads},
            {"kv_heads", kKvHeads},
            {"intermediate_size", kIntermediate},
            {"vocab_size", kVocabulary}}},
          {"training",
           {{"steps", steps},
            {"batch_size", 32},
            {"sequence_length", 96},
            {"learning_rate", 4e-3},
            {"schedule", "cosine"},
            {"warmup_steps", std::min<std::int64_t>(100, steps / 2)},
            {"weight_decay", 0.05},
            {"beta2", 0.95}}},
          {"seed", 1},
          {"data", {plan.data + "/rest.jsonl"}},
          {"threads", kPretrainThreads},
          {"output_path", plan.model_directory}};
}

// As the pretrained model's own will be, but for the vocabulary, which no adapter sees.
std::string BaseConfigJson() {
  return json{{"model_type", "llama"},
              {"architectures", {"LlamaForCausalLM"}},
              {"hidden_size", kHidden},
              {"num_hidden_layers", kLayers},
              {"num_attention_heads", kHeads},
              {"num_key_value_heads", kKvHeads},
              {"intermediate_size", kIntermediate},
              {"vocab_size", kVocabulary},
              {"tie_word_embeddings", true}}
      .dump(2);
}

Status CheckModel(const std::string& directory) {
  const std::string path = JoinPath(directory, "config.json");
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  TRIBUTARY_ASSIGN_OR_RETURN(const ModelShape shape,
                             ModelShape::FromConfigJson(text).Annotate(path));
  return ModelFiles::Open(directory, shape).Annotate(directory).status();
}

bool IsThere(const DemoPlan& plan) {
  return PathExists(JoinPath(plan.model_directory, "config.json"));
}

}  // namespace

Status PrepareModel(DemoOutput& output, DemoPlan* plan) {
  if (plan->model == DemoModel::kMadeUp) return OkStatus();
  if (plan->model == DemoModel::kSmolLm2) {
    output.Say("base model: SmolLM2-135M-Instruct");
    TRIBUTARY_ASSIGN_OR_RETURN(
        plan->model_directory,
        PrepareSmolLm2(JoinPath(plan->directory, "smollm2"), [&output](const std::string& text) {
          output.Progress({text, false});
        }));
  }
  output.Say("base model: " + plan->model_directory);
  return CheckModel(plan->model_directory).Annotate("--model");
}

Result<std::string> ModelShapes(const DemoPlan& plan) {
  if (plan.model != DemoModel::kMadeUp) return plan.model_directory;
  const std::string directory = JoinPath(plan.run, "shapes");
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(directory));
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(JoinPath(directory, "config.json"), BaseConfigJson()));
  return directory;
}

std::string BaseWork(const DemoPlan& plan) { return plan.model_directory + ".pretraining"; }

Status PretrainBase(DemoOutput& output, const DemoPlan& plan, const TrainerPool& pool) {
  const std::string work = BaseWork(plan);
  if (plan.options.fresh_base) {
    TRIBUTARY_RETURN_IF_ERROR(RemoveTree(plan.model_directory));
    TRIBUTARY_RETURN_IF_ERROR(RemoveTree(work));
  }
  if (IsThere(plan)) {
    output.Say("base model: from the cache, " + plan.model_directory);
    return OkStatus();
  }
  output.Say(
      "base model: pretraining a small Llama on everything else in WordNet (about 2 min, once)");
  if (PathExists(work)) {
    output.Say("  going on with what an earlier demonstration began in " + work);
  }
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(work));
  TRIBUTARY_RETURN_IF_ERROR(RemoveFile(JoinPath(work, kProgressFile)));  // of the earlier one
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(work + "/pretrain.json", BaseRecipe(plan).dump(2)));
  TrainerPool one = pool;
  one.parallel = 1;
  const Status status =
      RunTrainers({{"pretraining", "pretrain", work, plan.options.base_steps}}, one);
  // Another demonstration may have made it while this one waited.
  if (!status.ok() && !IsThere(plan)) return status;
  return RemoveTree(work);
}

}  // namespace tributary::cli
