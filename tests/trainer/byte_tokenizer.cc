#include "tests/trainer/byte_tokenizer.h"

#include <cstdlib>
#include <iostream>

#include "trainer/bpe_training.h"

namespace tributary::trainer {

std::unique_ptr<Tokenizer> MakeByteTokenizer(const std::vector<std::string>& special,
                                             bool with_bos) {
  auto pattern = PreTokenizer::Create(kGpt2Pattern);
  auto model = BpeTrainer(*std::move(pattern))
                   .Train(256 + static_cast<std::int64_t>(special.size()), special);
  auto tokenizer = TokenizerFromJson(model->ToJson(with_bos ? 0 : -1),
                                     R"({"bos_token": "<s>", "eos_token": "</s>"})");
  if (!tokenizer.ok()) {
    std::cerr << tokenizer.status() << std::endl;
    std::abort();
  }
  return *std::move(tokenizer);
}

}  // namespace tributary::trainer
