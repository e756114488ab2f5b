#include "server/fold.h"

#include <algorithm>
#include <utility>

#include "aggregators/team.h"
#include "core/catch_all.h"
#include "core/log.h"
#include "server/caller.h"
#include "server/strategy.h"

namespace tributary::server {
namespace {

// A file that the fold reads.
struct FoldInput {
  std::string what;  // for messages
  std::string task;  // whose update it is; empty: the version, or a state vector
  Digest digest;
};

// What leads and observers read. The log has the whole of it.
std::string ForPeople(const Status& status) { return WithoutDirectories(status.message()); }

std::vector<FoldInput> InputsOf(const FoldWork& work) {
  std::vector<FoldInput> inputs = {{"the version", "", work.base.digest}};
  for (const auto& [name, blob] : work.state) {
    inputs.push_back({"state vector " + name, "", blob.digest});
  }
  for (const auto& [task, digest] : work.accepted) {
    inputs.push_back({"the update of task " + task, task, digest});
  }
  return inputs;
}

// Data loss: not these bytes, or not readable at all. Other errors say nothing about the file.
Status CheckInput(const FoldInput& input, const BlobStore& blobs, const std::atomic<bool>* stop) {
  const auto actual =
      Sha256OfFile(blobs.PathOf(input.digest), [stop] { return stop == nullptr || !*stop; });
  if (actual.ok() && *actual == input.digest) return OkStatus();
  const std::string what = input.what + ", blob " + input.digest.ToHex() + ", ";
  if (actual.ok()) {
    return DataLossError(what + "is damaged on the server's disk: its digest is now " +
                         actual->ToHex());
  }
  switch (actual.status().code()) {
    case StatusCode::kNotFound:
      return DataLossError(what + "is gone from the server's disk");
    case StatusCode::kInternal:  // an input or output error
      return DataLossError(what + "cannot be read: " + actual.status().message());
    default:
      return actual.status().Annotate(input.what);
  }
}

// Damaged updates are set aside, and asked for again; anything else is for a person.
Status CheckInputs(const FoldWork& work, BlobStore& blobs, FoldOutcome* outcome) {
  const std::vector<FoldInput> inputs = InputsOf(work);
  std::vector<Status> found(inputs.size());
  TRIBUTARY_RETURN_IF_ERROR(
      aggregators::RunTeam(work.input.threads, inputs.size(), {}, [&](unsigned, std::size_t item) {
        found[item] = CheckInput(inputs[item], blobs, work.input.stop);
        return OkStatus();
      }));
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (found[i].ok()) continue;
    LogError("engine", "a file of a round is not what it was",
             {{"campaign", work.campaign}, {"round", work.input.number}, {"reason", found[i]}});
    if (inputs[i].task.empty() || found[i].code() != StatusCode::kDataLoss) {
      if (i == 0 && found[i].code() == StatusCode::kDataLoss) {
        outcome->events.emplace_back(
            VersionDamaged{work.campaign, work.base_number, ForPeople(found[i])});
      }
      return found[i];
    }
    if (const Status aside = blobs.Quarantine(inputs[i].digest); !aside.ok()) return aside;
    outcome->events.emplace_back(UpdateDamaged{inputs[i].task, ForPeople(found[i])});
  }
  return OkStatus();
}

Result<BlobRef> Keep(const aggregators::RoundOutput::File& file, BlobStore& blobs, BlobHolds& holds,
                     FoldOutcome* outcome) {
  outcome->held.push_back(holds.Take(file.written.digest));
  TRIBUTARY_RETURN_IF_ERROR(blobs.Adopt(file.path, file.written.digest));
  return BlobRef{file.written.digest, file.written.bytes};
}

Result<VersionPublished> FoldAndKeep(const FoldWork& work, BlobStore& blobs, BlobHolds& holds,
                                     FoldOutcome* outcome) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto aggregator, aggregators::MakeAggregator(work.aggregator));
  TRIBUTARY_ASSIGN_OR_RETURN(
      const aggregators::RoundOutput made,
      aggregators::FoldRound(*aggregator, work.input, blobs.ScratchDirectory(), work.prefix));
  VersionPublished event{work.campaign, work.input.number, {}, 0, work.state, made.numbers, {}};
  TRIBUTARY_ASSIGN_OR_RETURN(const BlobRef next, Keep(made.next, blobs, holds, outcome));
  event.closing = work.closing;
  event.digest = next.digest;
  event.bytes = next.bytes;
  for (const auto& [name, file] : made.state) {
    TRIBUTARY_ASSIGN_OR_RETURN(event.state[name], Keep(file, blobs, holds, outcome));
  }
  if (made.merged) {
    TRIBUTARY_ASSIGN_OR_RETURN(event.merged, Keep(*made.merged, blobs, holds, outcome));
  }
  if (made.dropped_energy > 0) {
    LogInfo("engine", "ranks were truncated",
            {{"campaign", work.campaign},
             {"round", work.input.number},
             {"dropped_energy", made.dropped_energy}});
  }
  return event;
}

}  // namespace

FoldWork MakeFoldWork(const Campaign& campaign, const BlobStore& blobs, unsigned threads) {
  const Version& base = campaign.versions.back();
  const Round& round = campaign.rounds.back();
  FoldWork work;
  work.campaign = campaign.id;
  work.aggregator = campaign.file.aggregator;
  work.prefix = campaign.id + "-r" + std::to_string(round.number) + "-";
  work.base = {base.digest, base.bytes};
  work.base_number = base.number;
  work.closing = round.closings;
  work.state = base.state;
  work.input.number = round.number;
  work.input.seed = static_cast<std::uint64_t>(campaign.file.seed);
  work.input.threads = threads;
  for (const auto& [site, answer] : campaign.answers) {
    work.input.registered_sites += answer.kind == SiteAnswer::Kind::kAccepted ? 1 : 0;
  }
  if (campaign.file.adapter.kind == "lora") {
    work.input.lora_scale = campaign.file.ToAdapterConfig().Scale();
  }
  work.input.global_path = blobs.PathOf(base.digest);
  for (const auto& [name, blob] : base.state) work.input.state[name] = blobs.PathOf(blob.digest);
  work.input.numbers = base.numbers;
  for (const Task* task : CountedTasks(campaign, round)) {
    work.accepted[task->id] = task->facts.digest;
    work.input.updates.push_back(
        {ContributionOf(campaign, *task), blobs.PathOf(task->facts.digest)});
  }
  // Of sites that have left what they sent still counts.
  work.input.registered_sites =
      std::max(work.input.registered_sites, static_cast<std::int64_t>(work.input.updates.size()));
  return work;
}

FoldOutcome Fold(const FoldWork& work, BlobStore& blobs, BlobHolds& holds) {
  FoldOutcome outcome;
  const auto fold = [&]() -> Status {
    TRIBUTARY_RETURN_IF_ERROR(CheckInputs(work, blobs, &outcome));
    if (!outcome.events.empty()) return OkStatus();
    auto published = FoldAndKeep(work, blobs, holds, &outcome);
    if (published.ok()) {
      outcome.events.emplace_back(*std::move(published));
    } else if (published.status().code() == StatusCode::kDataLoss) {
      // It failed after it was looked at. Whose it is says another look.
      TRIBUTARY_RETURN_IF_ERROR(CheckInputs(work, blobs, &outcome));
    }
    return outcome.events.empty() ? published.status() : OkStatus();
  };
  const Status status = CatchAll("the fold", fold);
  if (status.ok()) return outcome;
  LogError("engine", "a round could not be aggregated",
           {{"campaign", work.campaign}, {"round", work.input.number}, {"reason", status}});
  std::erase_if(outcome.events,
                [](const Event& event) { return !std::holds_alternative<VersionDamaged>(event); });
  outcome.events.emplace_back(AggregationFailed{
      work.campaign, work.input.number, WithoutDirectories(status.ToString()), work.closing});
  return outcome;
}

}  // namespace tributary::server
