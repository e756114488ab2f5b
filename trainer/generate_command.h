// `tributary-trainer generate`: what a model says, before and after training.
#pragma once

#include <functional>
#include <istream>
#include <ostream>
#include <string>

#include "core/status.h"
#include "trainer/generation.h"

namespace tributary::trainer {

struct GenerateOptions {
  std::string model;                    // directory
  std::string adapter;                  // directory; empty: the model as it is
  std::string prompt;                   // is continued, without `chat`
  bool chat = false;                    // each line of standard input is a user's message
  std::string chat_template;            // empty: the tokenizer's
  std::string base_precision = "fp32";  // base_weights.h
  std::string device = "auto";          // device.h, these two
  std::string compute = "fp32";
  GenerationSettings settings;
};

// Writes the continuation, or the answers, one line each at least.
Status RunGenerate(const GenerateOptions& options, std::istream& in, std::ostream& out,
                   const std::function<bool()>& stop);

}  // namespace tributary::trainer
