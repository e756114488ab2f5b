#include "server/progress_board.h"

#include <gtest/gtest.h>

namespace tributary::server {
namespace {

v1::TaskProgress Progress(const std::string& task, std::int64_t step = 0) {
  v1::TaskProgress progress;
  progress.set_task(task);
  progress.set_step(step);
  return progress;
}

TEST(ProgressBoardTest, KeepsTheLastWordOfEachSiteOnEachTask) {
  ProgressBoard board;
  EXPECT_FALSE(board.TakeChanged());
  board.Put("a", Progress("c.r1.a.t1", 1));
  board.Put("a", Progress("c.r1.a.t1", 2));
  board.Put("b", Progress("c.r1.a.t1", 9));  // of another's task: its own word only
  board.Put("a", Progress("cc.r1.a.t1"));
  EXPECT_TRUE(board.TakeChanged());
  EXPECT_FALSE(board.TakeChanged());
  auto of = board.Of("c");
  EXPECT_EQ(of.size(), 2u);
  EXPECT_EQ(of.at(ProgressKey("a", "c.r1.a.t1")).step(), 2);
  board.Erase("a", "c.r1.a.t1");
  board.Erase("nobody", "c.r1.a.t1");
  EXPECT_EQ(board.Of("c").size(), 1u);
}

TEST(ProgressBoardTest, ASiteThatFillsItTakesNobodysPlaceButItsOwn) {
  ProgressBoard board;
  board.Put("honest", Progress("c.r1.honest.t1", 5));
  for (int i = 0; i < 200'000; ++i) board.Put("bad", Progress("c.x" + std::to_string(i)));
  EXPECT_LE(board.Of("c").size(), 1001u);
  board.Put("honest", Progress("c.r1.honest.t1", 6));
  board.Put("late", Progress("c.r1.late.t1", 7));
  board.Put("bad", Progress("c.r1.bad.t1", 8));
  const auto of = board.Of("c");
  EXPECT_EQ(of.at(ProgressKey("honest", "c.r1.honest.t1")).step(), 6);
  EXPECT_EQ(of.at(ProgressKey("late", "c.r1.late.t1")).step(), 7);
  EXPECT_EQ(of.at(ProgressKey("bad", "c.r1.bad.t1")).step(), 8);
}

}  // namespace
}  // namespace tributary::server
