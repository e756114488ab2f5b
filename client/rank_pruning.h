// HetLoRA at a site (arXiv:2401.06432): which ranks of its adapter it still trains. They become
// fewer and never more, and are kept in the site's state/ like all that outlives a task.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "client/egress_guard.h"
#include "core/status.h"
#include "core/task_contract.h"
#include "core/train_directive.h"

namespace tributary::client {

inline constexpr std::string_view kKeptRanksFile = "kept_ranks.json";  // {"kept": 12}

// Of the `rank` ranks that the campaign gives this site; all of them at first.
Result<std::int64_t> KeptRanks(const std::string& state, std::int64_t rank);

// The first of `kept` ranks that carries the penalty; `kept` itself when the site may not give up
// more.
std::int64_t FirstPenalisedRank(const RankPruning& pruning, std::int64_t kept);

// Writes kKeptRanksFile into `next`, after a task that trained with `pruning`: without the
// penalised ranks when sum over modules of |B[:, from:kept]| |A[from:kept]| is less in
// files.trained than it was in files.start. Never more than `state` says.
Status WriteKeptRanks(const UpdateFiles& files, const PrunedRanks& pruning,
                      const std::string& state, const std::string& next);

}  // namespace tributary::client
