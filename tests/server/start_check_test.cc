#include "server/start_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tributary::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(StartCheckTest, AnEmptyJournalWhereThereWasOneIsNotServed) {
  State state;
  EXPECT_TRUE(CheckNotEmptied(state, {"data"}).ok()) << "a federation that begins";
  EXPECT_EQ(CheckNotEmptied(state, {"data", 3}).code(), StatusCode::kDataLoss);
  const Status joined = CheckNotEmptied(state, {"data", 0, {"chem"}});
  EXPECT_EQ(joined.code(), StatusCode::kDataLoss);
  EXPECT_THAT(joined.message(), HasSubstr("data: the journal is empty"));
  EXPECT_THAT(joined.message(), HasSubstr("journal.db-wal"));
  state.sites["chem"].name = "chem";
  EXPECT_TRUE(CheckNotEmptied(state, {"data", 3, {"chem"}}).ok());
}

TEST(StartCheckTest, SitesThatJoinedHereAndAreUnknownAreNamed) {
  State state;
  state.sites["chem"].name = "chem";
  EXPECT_THAT(UnknownSites(state, {"data", 0, {"bio", "chem"}}), ElementsAre("bio"));
}

}  // namespace
}  // namespace tributary::server
