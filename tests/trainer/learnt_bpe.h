// A small byte-pair model for tests, learnt from a few texts.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "trainer/bpe_training.h"

namespace tributary::trainer {

inline BpeModel Learn(const std::vector<std::string>& texts, std::int64_t vocab_size) {
  BpeTrainer trainer(std::move(PreTokenizer::Create(kGpt2Pattern)).value());
  for (const std::string& text : texts) EXPECT_TRUE(trainer.Add(text).ok());
  auto model = trainer.Train(vocab_size, {"<s>", "</s>"});
  EXPECT_TRUE(model.ok()) << model.status();
  return std::move(model).value();
}

}  // namespace tributary::trainer
