// The trainable tensors of a task and their place in a model.
#pragma once

#include <string>

#include "core/peft_adapter.h"
#include "core/status.h"
#include "core/train_directive.h"
#include "trainer/language_model.h"
#include "trainer/weights.h"

namespace tributary::trainer {

struct Adapter {
  AdapterConfig config;
  std::string config_text;  // adapter_config.json as it was read
  AdapterLayout layout;
  NamedTensors tensors;  // float, private copies; the names of core/peft_adapter.h
};

// Reads a directory as PEFT writes it and checks that it has exactly the tensors that `shape` and
// its configuration imply; embeddings and head may stand beside them, as PEFT saves those of
// resized models, and then count as whole modules.
Result<Adapter> LoadAdapter(const std::string& directory, const ModelShape& shape,
                            at::ScalarType dtype = at::kFloat);

// Puts what `adapter` holds of whole modules (modules_to_save) in the place of the base's weights,
// sharing the tensors. A tied head keeps the base's embedding unless it is among them. The adapter
// fits `shape`.
void ReplaceSavedModules(const Adapter& adapter, const ModelShape& shape, NamedTensors* base);

// Hangs the LoRA pairs of `adapter` on the linear layers of `model`, sharing the tensors. The
// adapter fits the model.
void AttachLora(const Adapter& adapter, LanguageModel* model);

// The tensors that are trained, without a frozen factor: gradients flow to them, all others stay
// without.
NamedTensors RequireGradients(NamedTensors* tensors, FrozenFactor frozen = FrozenFactor::kNone);

}  // namespace tributary::trainer
