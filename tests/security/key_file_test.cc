#include "security/key_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/files.h"

namespace tributary::security {
namespace {

class KeyFileTest : public testing::Test {
 protected:
  TemporaryDirectory directory_ = *TemporaryDirectory::Create("key");
  std::string path_ = JoinPath(directory_.path(), "site.key");
};

TEST_F(KeyFileTest, WritesForTheOwnerAloneAndReadsBack) {
  const PrivateKey key = *PrivateKey::Generate();
  ASSERT_TRUE(WriteKeyFile(path_, key).ok());
  struct stat info {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  EXPECT_EQ(*ReadKeyFile(path_)->ToPem(), *key.ToPem());
}

TEST_F(KeyFileTest, RefusesLoosePermissionsWithTheRemedy) {
  ASSERT_TRUE(WriteKeyFile(path_, *PrivateKey::Generate()).ok());
  for (const mode_t mode : {0640, 0604, 0660, 0610, 0644}) {
    ASSERT_EQ(chmod(path_.c_str(), mode), 0);
    EXPECT_EQ(ReadKeyFile(path_).status().code(), StatusCode::kPermissionDenied) << mode;
  }
  EXPECT_EQ(ReadKeyFile(path_).status().message(),
            path_ + ": mode 0644 lets others access a private key; run: chmod 600 " + path_);
  ASSERT_EQ(chmod(path_.c_str(), 0400), 0);
  EXPECT_TRUE(ReadKeyFile(path_).ok());
}

TEST_F(KeyFileTest, RefusesAnotherOwner) {
  ASSERT_TRUE(WriteKeyFile(path_, *PrivateKey::Generate()).ok());
  if (chown(path_.c_str(), 12345, static_cast<gid_t>(-1)) != 0) GTEST_SKIP() << "needs root";
  const Status status = ReadKeyFile(path_).status();
  EXPECT_EQ(status.code(), StatusCode::kPermissionDenied);
  EXPECT_NE(status.message().find("belongs to user 12345"), std::string::npos) << status;
}

TEST_F(KeyFileTest, NamesTheFileInEveryError) {
  EXPECT_EQ(ReadKeyFile(path_).status().code(), StatusCode::kNotFound);
  ASSERT_TRUE(WriteFileAtomic(path_, "not a key", 0600).ok());
  const Status status = ReadKeyFile(path_).status();
  EXPECT_EQ(status.message().find(path_ + ": not a PEM private key"), 0u) << status;
  EXPECT_FALSE(ReadKeyFile(directory_.path()).ok());
  EXPECT_FALSE(ReadKeyFile("/dev/null").ok());
  EXPECT_EQ(ReadCertificateFile(directory_.path() + "/none").status().code(),
            StatusCode::kNotFound);
  EXPECT_EQ(ReadCertificateFile(path_).status().message().find(path_ + ": not a PEM certificate"),
            0u);
}

}  // namespace
}  // namespace tributary::security
