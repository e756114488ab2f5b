#include "trainer/dataset.h"

#include <ATen/ATen.h>

#include <cstdlib>
#include <numeric>
#include <utility>

#include "core/files.h"
#include "trainer/chat_template.h"

namespace tributary::trainer {
namespace {

at::Tensor ToTensor(const std::vector<std::int64_t>& values) {
  return at::tensor(values, at::TensorOptions().dtype(at::kLong));
}

}  // namespace

Status CheckSequenceLength(const ModelConfig& config, std::int64_t sequence_length) {
  if (sequence_length <= config.max_positions) return OkStatus();
  return InvalidArgumentError("sequence_length: " + std::to_string(sequence_length) +
                              " is more than the model's max_position_embeddings " +
                              std::to_string(config.max_positions));
}

Result<TokenCache> OpenTokenCache(const std::string& task_directory,
                                  const std::string& model_directory) {
  TRIBUTARY_ASSIGN_OR_RETURN(const Digest tokenizer, TokenizerDigest(model_directory));
  const std::string directory =
      TokenDirectory(getenv("TRIBUTARY_TOKEN_CACHE"), JoinPath(task_directory, kStateDirectory));
  return TokenCache({.directory = directory}, tokenizer);
}

Result<Dataset> LoadDataset(const std::vector<DataSource>& sources,
                            const std::string& base_directory, const ModelConfig& config,
                            std::int64_t sequence_length, Tokenizer* tokenizer, TokenCache* cache) {
  TRIBUTARY_RETURN_IF_ERROR(CheckSequenceLength(config, sequence_length));
  Dataset all;
  for (const DataSource& source : sources) {
    const std::string path = JoinPath(base_directory, source.path);
    TokenizeOptions options{nullptr, static_cast<std::int32_t>(config.eos_token)};
    if (!source.chat_template.empty()) {
      TRIBUTARY_ASSIGN_OR_RETURN(options.chat,
                                 FindChatTemplate(source.chat_template).Annotate(source.name));
    }
    TRIBUTARY_ASSIGN_OR_RETURN(const TokenFile file,
                               cache->Load(path, options, source.max_bad_lines, tokenizer));
    TRIBUTARY_RETURN_IF_ERROR(
        CheckTokens(file.table->Arrays().ids, config.shape.vocab_size, *tokenizer).Annotate(path));
    all.bad_lines += file.bad.count;
    const std::int64_t cut_off = all.cut_off;
    if (all.Add(file.table, sequence_length) == 0) {
      return InvalidArgumentError(
          path + ": no example carries loss (" + std::to_string(all.cut_off - cut_off) +
          " have prompts longer than " + std::to_string(sequence_length) + " tokens)");
    }
  }
  return all;
}

PackedBatch Pack(const std::vector<TokenExample>& examples) {
  PackedBatch batch;
  std::vector<std::int64_t> ids;
  std::vector<std::int64_t> rows;
  std::vector<std::int64_t> targets;
  batch.starts.push_back(0);
  for (const TokenExample& example : examples) {
    const auto first = static_cast<std::int64_t>(ids.size());
    ids.insert(ids.end(), example.ids.begin(), example.ids.end() - 1);
    for (const TokenExample::Span& span : example.loss) {
      for (std::int64_t target = span.begin; target < span.end; ++target) {
        rows.push_back(first + target - 1);
        targets.push_back(example.ids[static_cast<std::size_t>(target)]);
      }
    }
    batch.starts.push_back(static_cast<std::int64_t>(ids.size()));
  }
  batch.ids = ToTensor(ids);
  batch.loss_rows = ToTensor(rows);
  batch.targets = ToTensor(targets);
  batch.examples = static_cast<std::int64_t>(examples.size());
  return batch;
}

ShuffledIndices::ShuffledIndices(std::size_t count, std::uint64_t seed)
    : random_(seed), order_(count), at_(count) {
  std::iota(order_.begin(), order_.end(), std::size_t{0});
}

std::size_t ShuffledIndices::Next() {
  if (at_ == order_.size()) {
    for (std::size_t i = order_.size(); i > 1; --i) {
      std::swap(order_[i - 1], order_[random_.Below(i)]);
    }
    at_ = 0;
  }
  return order_[at_++];
}

}  // namespace tributary::trainer
