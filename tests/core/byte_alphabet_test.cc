#include "core/byte_alphabet.h"

#include <gtest/gtest.h>

namespace tributary {
namespace {

TEST(ByteAlphabetTest, MapsAsGpt2DoesAndBack) {
  EXPECT_EQ(BytesToAlphabet(" a\n"), "\u0120a\u010a");
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  EXPECT_EQ(AlphabetToBytes(BytesToAlphabet(all)), all);
  EXPECT_EQ(AlphabetToBytes("\u20ac"), std::nullopt);
}

}  // namespace
}  // namespace tributary
