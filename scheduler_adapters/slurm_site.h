// What Slurm says of its partitions, and of the accounts that its user may name. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "scheduler_adapters/queue_survey.h"

namespace tributary::scheduler_adapters {

// The argument of `sinfo -h -o`.
inline constexpr std::string_view kSinfoColumns = "%P|%a|%l|%D|%c|%G";

// One offer for each partition: sinfo prints a line for each kind of node in it. Other lines are
// left out.
std::vector<QueueOffer> ParsePartitions(std::string_view sinfo);

// Of `sacctmgr -nP show assoc user=... format=Account`: each once, in order.
std::vector<std::string> ParseAccounts(std::string_view sacctmgr);

}  // namespace tributary::scheduler_adapters
