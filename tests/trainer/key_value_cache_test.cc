#include "trainer/key_value_cache.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "tests/trainer/tiny_model.h"
#include "trainer/device.h"
#include "trainer/model_directory.h"

namespace tributary::trainer {
namespace {

using at::Tensor;

constexpr std::int64_t kTokens = 150;  // more than two blocks of rows

ModelConfig LongConfig(const std::string& type) {
  ModelConfig config = TinyConfigOf(type);
  config.max_positions = kTokens;
  if (config.shape.positions > 0) config.shape.positions = kTokens;
  return config;
}

PackedBatch Tokens(const ModelConfig& config, std::int64_t begin, std::int64_t end) {
  PackedBatch batch;
  batch.ids = at::arange(begin, end, at::kLong).mul_(7).remainder_(config.shape.vocab_size);
  batch.starts = {0, end - begin};
  return batch;
}

// Logits of all tokens, in passes that end at `ends`.
Tensor InPasses(const LanguageModel& model, const ModelConfig& config,
                const std::vector<std::int64_t>& ends) {
  const at::NoGradGuard no_grad;
  KeyValueCache cache(100);  // not enough
  ForwardPass pass;
  pass.cache = &cache;
  std::vector<Tensor> parts;
  std::int64_t begin = 0;
  for (const std::int64_t end : ends) {
    EXPECT_EQ(cache.length(), begin);
    parts.push_back(LogitsOf(model, model.Hidden(Tokens(config, begin, end), pass)));
    begin = end;
  }
  return at::cat(parts, 0);
}

Tensor AtOnce(const LanguageModel& model, const ModelConfig& config) {
  const at::NoGradGuard no_grad;
  return Logits(model, Tokens(config, 0, kTokens));
}

TEST(KeyValueCacheTest, EachArchitectureGivesTheSameLogitsInPieces) {
  for (const char* type : {"llama", "mistral", "qwen2", "qwen3", "gpt2"}) {
    SCOPED_TRACE(type);
    const ModelConfig config = LongConfig(type);
    const auto model = *CreateModel(config, TinyWeights(config, at::kDouble));
    const Tensor expected = AtOnce(*model, config);
    for (const std::vector<std::int64_t>& ends :
         {std::vector<std::int64_t>{kTokens}, {1, 2, 3, 70, 71, kTokens}, {64, 65, 129, kTokens}}) {
      EXPECT_TRUE(at::allclose(InPasses(*model, config, ends), expected, 0, 1e-11));
    }
  }
}

TEST(KeyValueCacheTest, WindowsLongerThanABlockSlide) {
  ModelConfig config = LongConfig("mistral");
  config.windows = {100, 0};
  const auto model = *CreateModel(config, TinyWeights(config, at::kDouble));
  EXPECT_TRUE(at::allclose(InPasses(*model, config, {60, 61, 140, 141, kTokens}),
                           AtOnce(*model, config), 0, 1e-11));
}

TEST(KeyValueCacheTest, KeepsTheDtypeOfTheModel) {
  const ModelConfig config = LongConfig("llama");
  Compute compute;
  compute.dtype = at::kBFloat16;
  const auto model = *CreateModel(config, TinyWeights(config, at::kFloat), compute);
  const Tensor pieces = InPasses(*model, config, {20, 21, kTokens});
  const Tensor whole = AtOnce(*model, config);
  EXPECT_LT((pieces - whole).norm().item<double>(), 0.05 * whole.norm().item<double>());
}

TEST(GrowingRowsTest, KeepsWhatItHasWhenItGrows) {
  GrowingRows rows;
  const Tensor all = at::arange(1000, at::kFloat).view({500, 2});
  for (std::int64_t at = 0; at < 500; at += 5) rows.Append(all.slice(0, at, at + 5), 12);
  EXPECT_EQ(rows.count(), 500);
  EXPECT_TRUE(at::equal(rows.All(), all));
}

}  // namespace
}  // namespace tributary::trainer
