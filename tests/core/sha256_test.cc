#include "core/sha256.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/test_files.h"

namespace tributary {
namespace {

TEST(Sha256Test, MatchesTheStandardsExamples) {
  EXPECT_EQ(Sha256Of("").ToHex(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Of("abc").ToHex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256Of(std::string(1000000, 'a')).ToHex(),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256Test, PiecesHashLikeTheWhole) {
  const std::string text = "the same bytes in other pieces";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    Sha256 hash;
    hash.Update(text.substr(0, cut));
    Sha256 moved = std::move(hash);
    moved.Update(text.substr(cut));
    EXPECT_EQ(moved.Finish(), Sha256Of(text));
  }
}

TEST(Sha256Test, HashesFilesLargerThanOneRead) {
  const TestDirectory directory;
  const std::string bytes(3000001, 'z');
  ASSERT_TRUE(WriteFileAtomic(directory / "a", bytes).ok());
  EXPECT_EQ(*Sha256OfFile(directory / "a"), Sha256Of(bytes));
  EXPECT_EQ(Sha256OfFile(directory / "b").status().code(), StatusCode::kNotFound);
}

TEST(DigestTest, HexRoundTripsAndIsStrict) {
  const Digest digest = Sha256Of("abc");
  EXPECT_EQ(*Digest::FromHex(digest.ToHex()), digest);
  EXPECT_FALSE(digest.IsZero());
  EXPECT_TRUE(Digest{}.IsZero());
  const std::string hex = digest.ToHex();
  for (const std::string& bad :
       {std::string(), hex.substr(1), hex + "0", "B" + hex.substr(1), "g" + hex.substr(1),
        "/" + hex.substr(1), hex.substr(0, 63) + std::string(1, '\0')}) {
    EXPECT_EQ(Digest::FromHex(bad).status().code(), StatusCode::kInvalidArgument) << bad;
  }
}

}  // namespace
}  // namespace tributary
