// Tasks inside jobs that stay: pilots of the site's real scheduler.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "scheduler_adapters/pilot_directory.h"
#include "scheduler_adapters/pilot_policy.h"
#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::scheduler_adapters {

struct PilotOptions {
  std::string directory;             // absolute; on a file system that jobs see; one daemon's
  std::vector<std::string> command;  // what runs RunPilot(); "--dir DIR --name NAME" is appended
  std::chrono::seconds walltime{4 * 3600};  // of a pilot's job; 0: no limit of ours
  std::chrono::seconds idle_timeout{300};
  std::chrono::seconds successor_before{600};
  std::int64_t max_pilots = 1;
  std::chrono::milliseconds poll_interval{2000};  // of the pilots, for requests
  std::chrono::seconds cancel_grace{10};
  // How long the record of a task's end is waited for when its pilot is gone: longer than a network
  // file system hides a new file.
  std::chrono::seconds lost_after{60};
  // Asked before a pilot is submitted; resource exhausted: none now. Null: always.
  std::function<Status(const JobSpec&)> may_submit = {};
  // Whether what an ended pilot cost is on record elsewhere, so that its directory may go. Empty:
  // all stay.
  std::function<bool(const std::string& pilot)> is_settled = {};
  // Pilots are switched off: jobs go to the scheduler, tasks that wait for a pilot end as if they
  // had lost their node, and pilots leave after the tasks that they run.
  bool drain = false;
};

// A task is a request file; pilots, which are jobs of `inner`, take it (see pilot_directory.h).
// Ids of tasks are their names. The object remembers nothing that matters: another one goes on.
// Query, ListLive and Submit keep the pilots alive: they submit one when a task waits that no pilot
// is free for, and a successor while a busy pilot nears its end.
//
// A task whose pilot ended, was put back into the queue, or went on without a record of the task's
// end has lost its node, once `lost_after` is over. While the scheduler cannot be asked, tasks that
// pilots took are unknown. A pilot that runs but stands still (a dead file system) is cancelled. A
// task fails when three pilots that were submitted for it could not start. Ids and names that no
// pilot knows are passed on to `inner`: jobs from before pilots were switched on go on.
class PilotAdapter final : public SchedulerAdapter {
 public:
  static Result<std::unique_ptr<SchedulerAdapter>> Make(const PilotOptions& options,
                                                        std::unique_ptr<SchedulerAdapter> inner,
                                                        const Clock& clock);

  Result<std::string> Submit(const JobSpec& spec) override;
  std::vector<JobStatus> Query(std::span<const std::string> ids) override;
  Status Cancel(const std::string& id) override;
  Result<std::optional<Timestamp>> Estimate(const EstimateTarget& target) override;
  Result<std::optional<std::string>> Find(std::string_view name) override;
  Result<std::vector<NamedJob>> ListLive(std::string_view name_prefix) override;
  Status ForgetEnded(const std::function<bool(std::string_view name)>& unwanted) override;
  Status CheckAccepted(const JobSpec& spec) override;
  std::string Render(const JobSpec& spec) const override;
  Result<std::string> Version() override { return inner_->Version(); }

 private:
  struct Known {
    PilotRecord record;
    JobStatus said;  // the scheduler's last word
    std::optional<PilotState> state;
    std::uint64_t order = 0;  // among the submissions of this process; 0: of an earlier one
    std::optional<std::chrono::microseconds> ended_at = {};  // Clock::Elapsed() when it was seen
  };
  struct Stillness {
    Timestamp beat;
    std::chrono::microseconds since;  // Clock::Elapsed()
  };

  PilotAdapter(PilotOptions options, std::unique_ptr<SchedulerAdapter> inner, const Clock& clock)
      : options_(std::move(options)),
        inner_(std::move(inner)),
        clock_(clock),
        directory_(options_.directory) {}

  Result<bool> IsTask(std::string_view name) const;

  // Pilots.
  Status Refresh();
  Status ForgetPilots();
  Status ResumeSubmission(PilotRecord* record);
  void EndHung(const Known& pilot);
  Status Tend();
  Result<std::vector<PilotRequest>> Waiting();
  Status TendProfile(const std::string& profile, const std::vector<PilotRequest>& waiting);
  Status MaySubmit(const JobSpec& like) const;
  // Its name.
  Result<std::string> SubmitPilot(const JobSpec& like,
                                  std::span<const std::chrono::seconds> waiting);
  std::vector<const Known*> InOrder(const std::string& profile) const;  // of their submission
  std::optional<LivePilot> View(const Known& pilot) const;
  bool IsBackedOff(const std::string& profile) const;
  std::string WhyNoPilotStarts(const PilotRequest& request) const;
  PilotRecord NewPilot(const JobSpec& like, std::span<const std::chrono::seconds> waiting) const;

  // Tasks.
  Result<JobStatus> StatusOf(const std::string& id);
  Result<JobStatus> JudgeClaimed(const std::string& id, const PilotTask& task);
  std::string WhyLost(const std::string& id, const PilotClaim& claim) const;
  // Its end, for a task that no pilot may take any more; what is on record if one has.
  Status EndUnstarted(const std::string& id, JobState state, const std::string& message);
  Status EndLost(const std::string& id, const PilotTask& task, const std::string& why);
  void EndAllWaiting(const std::vector<PilotRequest>& waiting, JobState state,
                     const std::string& message);

  const PilotOptions options_;
  const std::unique_ptr<SchedulerAdapter> inner_;
  const Clock& clock_;
  const PilotDirectory directory_;
  std::uint64_t submissions_ = 0;
  std::map<std::string, Known> pilots_;  // by name; ended ones too: those are read once
  // Tasks without a pilot, by name: Clock::Elapsed().
  std::map<std::string, std::chrono::microseconds> lost_since_;
  std::map<std::string, Stillness> still_;  // pilots, by name
  std::string trouble_;                     // why no pilot could be submitted, for people
};

// What a pilot's job cost so far. Times are the scheduler's once it ended, its own before.
struct PilotUsage {
  std::string name, queue;
  std::int64_t nodes = 1, cpus = 1, gpus = 0;  // of the whole job
  Timestamp submitted;
  std::optional<Timestamp> started, ended;
  std::chrono::microseconds held{0};  // on its nodes
  std::chrono::microseconds busy{0};  // of that, with tasks
  std::chrono::microseconds idle() const { return held - busy; }
};

// Of the pilots on record in this directory, the oldest first, but for those that `skip` names: a
// directory gathers all pilots that ever were. Any thread.
Result<std::vector<PilotUsage>> ReadPilotUsage(
    const std::string& directory, const std::function<bool(const std::string& name)>& skip = {});

}  // namespace tributary::scheduler_adapters
