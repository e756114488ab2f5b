// A batch system behind the adapter's interface: submits once, remembers, and never takes silence
// for an end.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "scheduler_adapters/batch_system.h"
#include "scheduler_adapters/job_book.h"
#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::scheduler_adapters {

// How a job is submitted once, whatever dies and when: its name is booked before the submission and
// its id after it. A name that is booked without an id is looked for, by name at the scheduler and
// by its script's marks, for `settle` after the scheduler first answered that it has no such job (a
// command that was killed at its time limit may still have submitted); then it is submitted again.
// Should both run, the script lets only one of them work.
//
// An id is believed, and a job is cancelled, when the scheduler says of that id alone that it is
// this user's job of the name that was submitted: what wrappers and other users print proves
// nothing.
//
// A job that the scheduler does not know any more ended as its marks say; without marks of an end
// it has lost its node, after it was missing for `kMissingFor`.
//
// A job is charged with all its runs: some schedulers report the last one only, so each is noted
// while it is watched.
class BatchAdapter final : public SchedulerAdapter {
 public:
  static Result<std::unique_ptr<SchedulerAdapter>> Make(const SchedulerOptions& options,
                                                        std::unique_ptr<BatchSystem> system,
                                                        const Clock& clock);

  Result<std::string> Submit(const JobSpec& spec) override;
  std::vector<JobStatus> Query(std::span<const std::string> ids) override;
  Status Cancel(const std::string& id) override;
  Result<std::optional<Timestamp>> Estimate(const EstimateTarget& target) override;
  Result<std::optional<std::string>> Find(std::string_view name) override;
  Result<std::vector<NamedJob>> ListLive(std::string_view name_prefix) override;
  Status ForgetEnded(const std::function<bool(std::string_view name)>& unwanted) override;
  Status CheckAccepted(const JobSpec& spec) override;
  std::string Render(const JobSpec& spec) const override {
    return RenderJobScript(spec, system_->HeadFor(spec));
  }
  Result<std::string> Version() override { return system_->Version(); }

 private:
  BatchAdapter(const SchedulerOptions& options, std::unique_ptr<BatchSystem> system,
               const Clock& clock, JobBook book)
      : options_(options), system_(std::move(system)), clock_(clock), book_(std::move(book)) {}

  std::chrono::microseconds MissingFor(const std::string& key);
  void NotMissing(const std::string& key);
  Result<std::optional<std::string>> LookFor(BookedJob& job);
  Result<std::string> SubmitNew(const JobSpec& spec);
  Result<std::string> TheOneCalled(std::string_view name, const std::vector<std::string>& ids);
  Status CancelIfCalled(const std::string& id, std::string_view name);
  struct Watched {
    BookedRun run;
    bool was_suspended = false;
    std::chrono::microseconds noted{0};  // Clock::Elapsed()
  };
  // Notes the run that is under way, or that has just ended in the queue.
  void Watch(const BookedJob& job, const JobStatus& said);
  Status NoteRun(const BookedJob& job, Watched& watched);
  Status CountRuns(const BookedJob& job, JobStatus* end);
  Result<JobStatus> Judge(const std::string& id, const std::string& runs_as,
                          std::optional<BookedJob> job, const JobStatus* said);

  const SchedulerOptions options_;
  const std::unique_ptr<BatchSystem> system_;
  const Clock& clock_;
  JobBook book_;
  // Clock::Elapsed() by id, or by name for one without an id; as the book has it, too.
  std::map<std::string, std::chrono::microseconds> missing_since_;
  std::map<std::string, Watched> running_;  // by id
};

}  // namespace tributary::scheduler_adapters
