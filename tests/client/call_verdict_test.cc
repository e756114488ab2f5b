#include "client/call_verdict.h"

#include <gtest/gtest.h>

#include <string>

namespace tributary::client {
namespace {

// One letter for each status code, 0 to 16: done, transient, refused, permanent.
std::string Row(Call call) {
  static constexpr char kLetters[] = "dtrp";
  std::string row;
  for (int code = 0; code <= 16; ++code) {
    row += kLetters[static_cast<int>(VerdictOn(call, static_cast<StatusCode>(code)))];
  }
  return row;
}

TEST(CallVerdictTest, EveryCodeOfEveryCallHasItsMeaning) {
  //                                 OK
  //                                 |CANCELLED
  //                                 ||UNKNOWN
  //                                 |||INVALID_ARGUMENT
  //                                 ||||DEADLINE_EXCEEDED
  //                                 |||||NOT_FOUND
  //                                 ||||||ALREADY_EXISTS
  //                                 |||||||PERMISSION_DENIED
  //                                 ||||||||RESOURCE_EXHAUSTED
  //                                 |||||||||FAILED_PRECONDITION
  //                                 ||||||||||ABORTED
  //                                 |||||||||||OUT_OF_RANGE
  //                                 ||||||||||||UNIMPLEMENTED
  //                                 |||||||||||||INTERNAL
  //                                 ||||||||||||||UNAVAILABLE
  //                                 |||||||||||||||DATA_LOSS
  //                                 ||||||||||||||||UNAUTHENTICATED
  EXPECT_EQ(Row(Call::kConnect), "dttptprrtrtpptttp");
  EXPECT_EQ(Row(Call::kUploadStatus), "dttrtrrrtrtrptttp");
  EXPECT_EQ(Row(Call::kUpload), "dttrtrrrtrtrpttrp");
  EXPECT_EQ(Row(Call::kDownload), "dttrttrrtrtrptttp");
}

TEST(CallVerdictTest, ACodeOfALaterProtocolPasses) {
  EXPECT_EQ(VerdictOn(Call::kUpload, static_cast<StatusCode>(99)), Verdict::kTransient);
}

}  // namespace
}  // namespace tributary::client
