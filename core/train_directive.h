// What an aggregation strategy asks of a site in one round, beyond plain local training. Made by
// the aggregator on the server, carried in the task, done by the client daemon and the trainer:
// nothing here names a strategy, so a trainer that knows these few things serves all of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "core/tensor.h"
#include "core/update_encoding.h"

namespace tributary {

// Which of a LoRA pair's factors stays as it is, and is not sent. With kBoth only other tensors
// are trained: those between the factors ("<module>.lora_C.weight"), or heads.
enum class FrozenFactor : std::uint8_t { kNone, kA, kB, kBoth };

// "none", "lora_A", "lora_B", "both".
std::string_view FrozenFactorName(FrozenFactor frozen);
// Whether it keeps this tensor as it is.
bool Freezes(FrozenFactor frozen, std::string_view tensor);

// Which of the global adapter's ranks a site with fewer ranks trains.
enum class RankChoice : std::uint8_t {
  kFirst,   // ranks 0..r_k-1: of use when the global factors are ordered
  kSeeded,  // r_k of them, drawn from (task seed)
};

// What is added to the gradient of every trained tensor, kept by the site between its tasks.
enum class GradientOffset : std::uint8_t {
  kNone,
  kControlVariate,  // SCAFFOLD: c - c_k
  kDualGradient,    // FedDyn: -q_k, with `proximal` as alpha
};

// Ranks that a site gives up by itself (HetLoRA): training is paid to empty the last of those that
// the site still trains, and when they shrank it never trains them again. Those it gave up are zero
// in what it trained, as far as the dtype of the update can say so.
struct RankPruning {
  double penalty = 0;      // lambda, on the extra loss; 0: no rank is given up
  double decay = 0.99;     // gamma, in (0, 1): of r ranks those from floor(gamma r) on are the last
  std::int64_t least = 1;  // ranks that a site keeps in any case

  friend bool operator==(const RankPruning&, const RankPruning&) = default;
};

struct TrainDirective {
  double proximal = 0;  // mu: the gradient gets + mu (y - x), x the version the task started from
  GradientOffset offset = GradientOffset::kNone;
  FrozenFactor frozen = FrozenFactor::kNone;
  RankChoice ranks = RankChoice::kFirst;
  bool fold_untrained_ranks = false;  // ranks that the site does not train act in its base weights
  bool keep_b_local = false;          // B stays at the site, for ever: only A travels
  bool keep_optimizer = false;        // moments go on with the site's next task
  RankPruning pruning = {};
  // State vectors of the server (Round::FoldBlocks) that the site needs, by name.
  std::vector<std::string> server_state = {};
  // How the update travels; and whether what rounding takes away is kept at the site and added to
  // its next update.
  UpdateDtype dtype = UpdateDtype::kF32;
  bool error_feedback = false;

  friend bool operator==(const TrainDirective&, const TrainDirective&) = default;
};

// The ranks, ascending, that a site with `site_rank` of `global_rank` ranks trains. The same at the
// site and at the server. `task_seed` matters to kSeeded only.
std::vector<std::int64_t> TrainedRanks(RankChoice choice, std::int64_t global_rank,
                                       std::int64_t site_rank, std::uint64_t task_seed);

// What a site with `site_rank` ranks trains of the global adapter: LoRA factors cut to their ranks,
// everything else whole.
Manifest TrainedManifest(const Manifest& global, std::int64_t site_rank);

// What it sends of that: no frozen factors, nothing that stays local; with a control variate every
// tensor a second time, as "second.<name>", for what the site's own control variate changed by.
Manifest UpdateManifest(const Manifest& trained, const TrainDirective& directive);

inline constexpr std::string_view kSecondPrefix = "second.";

bool IsLoraA(std::string_view tensor);
bool IsLoraB(std::string_view tensor);
// The B of the pair whose A this is.
std::string LoraBOf(std::string_view lora_a);
// Invalid argument unless A is [rank, in] and B [out, rank].
Status CheckLoraPair(const TensorSpec& a, const TensorSpec& b);
// Of every A and its B. Either may be missing.
Status CheckLoraPairs(const Manifest& manifest);
bool IsLoraC(std::string_view tensor);  // a middle matrix, see core/peft_adapter.h

}  // namespace tributary
