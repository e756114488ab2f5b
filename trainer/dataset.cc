#include "trainer/dataset.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

#include "core/files.h"
#include "core/json.h"

namespace tributary::trainer {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxDataBytes = std::size_t{8} << 30;

Result<TextExample> ParseExample(std::string_view line, const std::string& where) {
  TRIBUTARY_ASSIGN_OR_RETURN(const json object, ParseJson(line, where));
  const auto text_of = [&object](const char* key) -> const std::string* {
    const auto it = object.find(key);
    return it == object.end() ? nullptr : it->get_ptr<const json::string_t*>();
  };
  if (object.is_object()) {
    const std::string* text = text_of("text");
    const std::string* prompt = text_of("prompt");
    const std::string* completion = text_of("completion");
    if (text != nullptr && object.size() == 1) return TextExample{"", *text};
    if (prompt != nullptr && completion != nullptr && object.size() == 2) {
      return TextExample{*prompt, *completion};
    }
  }
  return InvalidArgumentError(
      where + R"(: must be {"text": "..."} or {"prompt": "...", "completion": "..."})");
}

at::Tensor ToTensor(const std::vector<std::int64_t>& values) {
  return at::tensor(values, at::TensorOptions().dtype(at::kLong));
}

}  // namespace

Result<std::vector<TextExample>> ReadExamples(const std::string& path) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxDataBytes));
  std::vector<TextExample> examples;
  std::int64_t number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = std::string_view(text).substr(at, end - at);
    ++number;
    at = end + 1;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    TRIBUTARY_ASSIGN_OR_RETURN(TextExample example,
                               ParseExample(line, path + ":" + std::to_string(number)));
    examples.push_back(std::move(example));
  }
  return examples;
}

std::int64_t Dataset::LossTokens() const {
  std::int64_t tokens = 0;
  for (const TokenExample& example : examples) {
    tokens += static_cast<std::int64_t>(example.ids.size()) - example.loss_from;
  }
  return tokens;
}

Result<Dataset> Tokenize(const std::vector<TextExample>& texts, const ModelConfig& config,
                         std::int64_t sequence_length, Tokenizer* tokenizer) {
  if (sequence_length > config.max_positions) {
    return InvalidArgumentError("sequence_length: " + std::to_string(sequence_length) +
                                " is more than the model's max_position_embeddings " +
                                std::to_string(config.max_positions));
  }
  Dataset dataset;
  for (const TextExample& text : texts) {
    TokenExample example;
    if (config.bos_token) example.ids.push_back(static_cast<std::int32_t>(*config.bos_token));
    // Prompt and completion apart, so that the border between them is a token border.
    for (const std::string* part : {&text.prompt, &text.completion}) {
      TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<std::int32_t> ids, tokenizer->Encode(*part));
      if (part == &text.completion)
        example.loss_from = static_cast<std::int64_t>(example.ids.size());
      example.ids.insert(example.ids.end(), ids.begin(), ids.end());
    }
    example.ids.push_back(static_cast<std::int32_t>(config.eos_token));
    example.loss_from = std::max<std::int64_t>(example.loss_from, 1);  // nothing predicts the first
    if (static_cast<std::int64_t>(example.ids.size()) > sequence_length) {
      example.ids.resize(static_cast<std::size_t>(sequence_length));
    }
    if (example.loss_from < static_cast<std::int64_t>(example.ids.size())) {
      dataset.examples.push_back(std::move(example));
    } else {
      ++dataset.cut_off;
    }
  }
  return dataset;
}

Result<Dataset> LoadDataset(const std::vector<DataSource>& sources,
                            const std::string& base_directory, const ModelConfig& config,
                            std::int64_t sequence_length, Tokenizer* tokenizer) {
  Dataset all;
  for (const DataSource& source : sources) {
    const std::string path = JoinPath(base_directory, source.path);
    TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<TextExample> texts, ReadExamples(path));
    TRIBUTARY_ASSIGN_OR_RETURN(Dataset part, Tokenize(texts, config, sequence_length, tokenizer));
    std::move(part.examples.begin(), part.examples.end(), std::back_inserter(all.examples));
    all.cut_off += part.cut_off;
    if (part.examples.empty()) {
      return InvalidArgumentError(path + ": no example carries loss (" +
                                  std::to_string(part.cut_off) + " have prompts longer than " +
                                  std::to_string(sequence_length) + " tokens)");
    }
  }
  return all;
}

PackedBatch Pack(const std::vector<const TokenExample*>& examples) {
  PackedBatch batch;
  std::vector<std::int64_t> ids;
  std::vector<std::int64_t> rows;
  std::vector<std::int64_t> targets;
  batch.starts.push_back(0);
  for (const TokenExample* example : examples) {
    const auto size = static_cast<std::int64_t>(example->ids.size());
    const auto first = static_cast<std::int64_t>(ids.size());
    ids.insert(ids.end(), example->ids.begin(), example->ids.end() - 1);
    for (std::int64_t target = example->loss_from; target < size; ++target) {
      rows.push_back(first + target - 1);
      targets.push_back(example->ids[static_cast<std::size_t>(target)]);
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
