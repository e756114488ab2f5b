#include <gtest/gtest.h>

#include "tests/contract/scheduler_contract.h"
#include "tests/scheduler_adapters/pilot_harness.h"

namespace tributary::scheduler_adapters {
namespace {

INSTANTIATE_TYPED_TEST_SUITE_P(PilotOverLocal, SchedulerContract, PilotHarness);

}  // namespace
}  // namespace tributary::scheduler_adapters
