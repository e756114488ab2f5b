#include "core/user.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "core/files.h"
#include "tests/core/test_files.h"

namespace tributary {
namespace {

TEST(UserTest, IsFoundByTheNumberInItsLine) {
  const TestDirectory directory;
  const std::string path = directory / "passwd";
  ASSERT_TRUE(WriteFileAtomic(path,
                              "root:x:0:0:root:/root:/bin/bash\n"
                              "\n# none\nshort:x:12\n"
                              "site:x:1207:100:A site, of a center:/home/site:/bin/zsh\n"
                              "last:x:1208:100::/home/last:")
                  .ok());
  const auto site = FindUser(1207, path);
  ASSERT_TRUE(site);
  EXPECT_EQ(site->name, "site");
  EXPECT_EQ(site->home, "/home/site");
  EXPECT_EQ(site->shell, "/bin/zsh");
  EXPECT_EQ(FindUser(12, path)->home, "");
  EXPECT_EQ(FindUser(1208, path)->name, "last");
  EXPECT_FALSE(FindUser(120, path));
  EXPECT_FALSE(FindUser(1207, directory / "none"));
}

// A user of a directory service: no file has a line for it.
TEST(UserTest, WithoutALineTheEnvironmentSays) {
  if (geteuid() != 0) GTEST_SKIP() << "only root becomes a user that does not exist";
  EXPECT_EXIT(
      {
        setenv("USER", "someone", 1);
        setenv("HOME", "/somewhere", 1);
        unsetenv("SHELL");
        if (setuid(1999999999) != 0) std::exit(1);
        const UserRecord user = CurrentUser();
        const bool right =
            user.name == "someone" && user.home == "/somewhere" && user.shell.empty();
        unsetenv("USER");
        setenv("LOGNAME", "other", 1);
        std::exit(right && CurrentUser().name == "other" ? 0 : 2);
      },
      testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace tributary
