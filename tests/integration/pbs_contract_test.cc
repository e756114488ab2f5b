#include <gtest/gtest.h>

#include "tests/contract/scheduler_contract.h"
#include "tests/integration/pbs_harness.h"

namespace tributary::scheduler_adapters {
namespace {

INSTANTIATE_TYPED_TEST_SUITE_P(PbsStandIn, SchedulerContract, PbsStandInHarness);
INSTANTIATE_TYPED_TEST_SUITE_P(InstalledPbs, SchedulerContract, InstalledPbsHarness);

}  // namespace
}  // namespace tributary::scheduler_adapters
