#include "cli/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/provision.h"
#include "tests/core/test_files.h"

namespace tributary::cli {
namespace {

using testing::HasSubstr;

TEST(SessionTest, OfAServerThatDoesNotAnswerItSaysWhichOneAndWhoSaysSo) {
  const TestDirectory directory;
  ProvisionOptions options;
  options.name = "fed";
  options.directory = directory.path();
  options.hosts = {"127.0.0.1"};
  options.port = 1;
  const auto made = Provision(options);
  ASSERT_TRUE(made.ok()) << made.status();
  auto session = Session::Open({made->lead_profile});
  ASSERT_TRUE(session.ok()) << session.status();
  const auto answer = session->Call(&v1::Control::StubInterface::List, v1::ListRequest());
  EXPECT_EQ(answer.status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(answer.status().message(),
              HasSubstr("server 127.0.0.1:1 (from " + made->lead_profile + "/profile.yaml): "));
  const grpc::Status refused(grpc::StatusCode::PERMISSION_DENIED, "no");
  EXPECT_EQ(session->Outcome(refused).message(), "no");
}

}  // namespace
}  // namespace tributary::cli
