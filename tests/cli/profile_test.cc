#include "cli/profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace tributary::cli {
namespace {

using testing::HasSubstr;

// A variable for the time of one test.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    value == nullptr ? unsetenv(name) : setenv(name, value, 1);
  }
  ~Variable() { old_.empty() ? unsetenv(name_) : setenv(name_, old_.c_str(), 1); }

 private:
  const char* name_;
  std::string old_;
};

TEST(ProfileTest, WithoutAHomeItAsksForADirectoryAndWritesNowhere) {
  const Variable profile("TRIBUTARY_PROFILE", nullptr);
  {
    const Variable home("HOME", "/home/lena");
    EXPECT_EQ(DefaultProfileDirectory(), "/home/lena/.config/tributary");
  }
  for (const char* value : {static_cast<const char*>(nullptr), "", "lena"}) {
    const Variable home("HOME", value);
    EXPECT_EQ(DefaultProfileDirectory(), "");
  }
  EXPECT_FALSE(HasProfile(""));
  EXPECT_EQ(OpenChannel("").status().code(), StatusCode::kNotFound);
  EXPECT_THAT(OpenChannel("").status().message(), HasSubstr("use --profile DIR"));
}

}  // namespace
}  // namespace tributary::cli
