// The equations of the Llama family in plain loops and double precision, straight from a model
// directory; nothing of the trainer's layers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tributary::reference {

using Rows = std::vector<std::vector<double>>;

// Logits at every position of one sequence, [tokens][vocab]. With a non-empty `adapter_directory`
// its LoRA is merged: W + alpha / r * B A. Reads config.json, model.safetensors and the adapter's
// files by itself; aborts on failure.
Rows Logits(const std::string& model_directory, const std::vector<std::int32_t>& ids,
            const std::string& adapter_directory = "");

// Sum of -log softmax(logits[t - 1])[ids[t]] for t from `loss_from` on.
double LossSum(const Rows& logits, const std::vector<std::int32_t>& ids, std::int64_t loss_from);

}  // namespace tributary::reference
