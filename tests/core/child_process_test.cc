#include "core/child_process.h"

#include <gtest/gtest.h>

#include <csignal>

#include "core/files.h"

namespace tributary {
namespace {

class ChildProcessTest : public testing::Test {
 protected:
  ChildProcess Shell(const std::string& text) {
    auto child = ChildProcess::Start({"sh", "-c", text}, scratch_.path() + "/log");
    EXPECT_TRUE(child.ok()) << child.status();
    return *std::move(child);
  }

  TemporaryDirectory scratch_ = std::move(TemporaryDirectory::Create("child-")).value();
};

TEST_F(ChildProcessTest, TellsTheExitCodeAndKeepsTheOutput) {
  ChildProcess child = Shell("echo out; echo err >&2; exit 7");
  child.Await(std::chrono::seconds(30));
  EXPECT_EQ(child.Poll(), 7);
  EXPECT_EQ(*ReadFile(scratch_.path() + "/log"), "out\nerr\n");
}

// As in the background of a shell, or under a runner that blocks signals.
TEST_F(ChildProcessTest, SignalsReachAChildWhoseParentIgnoresOrBlocksThem) {
  for (const int number : {SIGINT, SIGTERM}) {
    sigset_t blocked;
    sigset_t before;
    sigemptyset(&blocked);
    sigaddset(&blocked, number);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    const auto handler = signal(number, SIG_IGN);
    ChildProcess child = Shell("kill -" + std::to_string(number) + " $$; sleep 30; exit 3");
    signal(number, handler);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    child.Await(std::chrono::seconds(60));
    EXPECT_EQ(child.Poll(), 128 + number);
  }
}

TEST_F(ChildProcessTest, OneThatIgnoresTheRequestIsKilled) {
  ChildProcess child = Shell("trap '' TERM; echo ready; exec sleep 60");
  while (*ReadFile(scratch_.path() + "/log") != "ready\n") usleep(1000);
  child.Stop(std::chrono::seconds(0));
  EXPECT_EQ(child.Poll(), 128 + SIGKILL);
}

}  // namespace
}  // namespace tributary
