#include "cli/profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/core/environment_variable.h"

namespace tributary::cli {
namespace {

using testing::HasSubstr;

TEST(ProfileTest, WithoutAHomeItAsksForADirectoryAndWritesNowhere) {
  const EnvironmentVariable profile("TRIBUTARY_PROFILE", nullptr);
  {
    const EnvironmentVariable home("HOME", "/home/lena");
    EXPECT_EQ(DefaultProfileDirectory(), "/home/lena/.config/tributary");
  }
  for (const char* value : {static_cast<const char*>(nullptr), "", "lena"}) {
    const EnvironmentVariable home("HOME", value);
    EXPECT_EQ(DefaultProfileDirectory(), "");
  }
  EXPECT_FALSE(HasProfile(""));
  EXPECT_EQ(OpenChannel("").status().code(), StatusCode::kNotFound);
  EXPECT_THAT(OpenChannel("").status().message(), HasSubstr("use --profile DIR"));
}

}  // namespace
}  // namespace tributary::cli
