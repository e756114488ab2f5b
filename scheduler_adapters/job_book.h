// What an adapter must remember about the jobs it submitted, because batch systems forget: durable,
// one row for each name.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/sqlite.h"
#include "core/status.h"
#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::scheduler_adapters {

struct BookedJob {
  std::string name;
  std::string id;  // empty: submitted, perhaps; the answer was not noted
  std::string working_directory;
  Timestamp submitted;
  bool cancel_requested = false;
  std::optional<JobStatus> end;  // once seen, the end never changes
};

// One run of a job on its nodes, as far as it was watched. A scheduler may put the job back into
// its queue, and then report the last run only.
struct BookedRun {
  Timestamp started, seen;  // it ran from the one to the other, at least
};

// One thread at a time. Every write is durable when it returns.
class JobBook {
 public:
  static Result<JobBook> Open(const std::string& path);

  Status Put(const BookedJob& job);
  Status Remove(std::string_view name);
  Result<std::optional<BookedJob>> ByName(std::string_view name);
  Result<std::optional<BookedJob>> ById(std::string_view id);
  Status PutRun(std::string_view name, const BookedRun& run);  // one for each start
  Result<std::vector<BookedRun>> Runs(std::string_view name);
  Result<std::vector<std::string>> Ended();  // names of jobs whose end is booked
  // Since when the scheduler's answers do not have a job, by its id or its name. At most one
  // process asks, and it may ask for a short while only: the next one goes on counting.
  Result<std::map<std::string, Timestamp>> Missing();
  Status PutMissing(const std::string& key, Timestamp since);
  Status RemoveMissing(const std::string& key);

 private:
  explicit JobBook(Database database) : database_(std::move(database)) {}
  Result<std::optional<BookedJob>> Get(std::string_view column, std::string_view key);

  Database database_;
};

}  // namespace tributary::scheduler_adapters
