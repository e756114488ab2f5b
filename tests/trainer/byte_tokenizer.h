// A tokenizer that a test can check by hand: the special tokens first, then one token for each
// byte.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "trainer/tokenizer.h"

namespace tributary::trainer {

// `special` begins with "<s>" and "</s>". Aborts the test program on failure.
std::unique_ptr<Tokenizer> MakeByteTokenizer(const std::vector<std::string>& special = {"<s>",
                                                                                        "</s>"},
                                             bool with_bos = true);

}  // namespace tributary::trainer
