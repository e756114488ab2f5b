// What a client must not forget: accepted campaigns, tasks and how far they came, reports not yet
// acknowledged.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/mutex.h"
#include "core/sqlite.h"
#include "core/status.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::client {

enum class Phase : std::uint8_t {
  kReceived,    // journaled; nothing else
  kSubmitting,  // staged; the scheduler may or may not have the job
  kSubmitted,   // the scheduler has the job
  kReady,       // the report is signed and the update file durable: the outbox
};

// Since when a running job wrote nothing, and what it had written by then.
struct Quiet {
  Timestamp since;
  std::uint64_t progress_bytes = 0;
};

struct TaskRecord {
  v1::TaskAssignment assignment;
  Phase phase = Phase::kReceived;
  std::int64_t attempt = 1;  // jobs of this task, this one included
  std::string job_name;      // from kSubmitting on: of this attempt
  std::string job;           // from kSubmitted on: the scheduler's id
  Timestamp submitted_at;
  double queue_seconds = 0;  // of the attempts that ended
  double node_seconds = 0;   // likewise
  double download_seconds = 0;
  // Of the record's job, noted when the daemon leaves it: a site that only visits waits no longer
  // for a stalled or a lost job than one that stays.
  std::optional<Quiet> quiet;
  std::optional<Timestamp> lost_since;
  v1::TaskReport report;  // from kReady on
};

// Thread-safe; every write is durable when it returns.
class ClientJournal {
 public:
  static Result<std::unique_ptr<ClientJournal>> Open(const std::string& path);

  Status SaveTask(const TaskRecord& record);
  Status RemoveTask(const std::string& task);
  Result<std::vector<TaskRecord>> LoadTasks();  // oldest first

  Status SaveOffer(const v1::CampaignOffer& offer);
  Status RemoveOffer(const std::string& campaign);
  Result<std::map<std::string, v1::CampaignOffer>> LoadOffers();

  // Of a site that only visits: drawn once, so that the server knows it again.
  Result<std::string> Instance(const std::string& drawn);
  // Notes a visit that begins now; returns how far apart the last ones were at most, an hour before
  // there are two.
  Result<std::chrono::seconds> NoteVisit(Timestamp now);

 private:
  explicit ClientJournal(Database database) : database_(std::move(database)) {}

  Mutex mutex_;
  Database database_ TRIBUTARY_GUARDED_BY(mutex_);
};

}  // namespace tributary::client
