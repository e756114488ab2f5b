#include "server/message_check.h"

#include <google/protobuf/unknown_field_set.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/campaign_file.h"
#include "core/text.h"
#include "core/wire_bounds.h"

namespace tributary::server {
namespace {

constexpr std::int64_t kMaxCount = std::int64_t{1} << 40;  // as result.json has it
constexpr std::int64_t kMaxMicros = 253402300799'999'999;  // the end of year 9999
constexpr std::size_t kMaxWord = 64;                       // versions, phases, job ids
constexpr std::size_t kMaxLine = 200;                      // a scheduler's reason
constexpr int kMaxAllocations = 1000;
constexpr int kMaxForecasts = 100;
constexpr std::size_t kMaxSignature = 512;
constexpr std::uint32_t kMaxVisitSeconds = 31 * 86400;          // one that comes less often is away
constexpr std::size_t kMaxUnknownBytes = std::size_t{4} << 10;  // what a newer client may sign

Status TooMany(std::string_view field, std::size_t count, std::size_t most) {
  return InvalidArgumentError(std::string(field) + ": " + std::to_string(count) + "; at most " +
                              std::to_string(most) + " are taken");
}

// Task ids begin with their campaign's name.
Status CheckTaskId(const std::string& task) {
  if (IsTaskId(task.substr(0, task.find('.')), task)) return OkStatus();
  return InvalidArgumentError("\"" + Excerpt(task) + "\" is not a task id");
}

bool AreFinite(std::initializer_list<double> values) {
  return std::all_of(values.begin(), values.end(),
                     [](double value) { return std::isfinite(value); });
}

Status Check(v1::Hello* hello) {
  hello->set_client_version(Printable(hello->client_version(), kMaxWord));
  hello->set_host(Printable(hello->host(), kMaxWord));
  hello->set_visit_seconds(std::min(hello->visit_seconds(), kMaxVisitSeconds));
  if (hello->instance().size() > kMaxWord) {
    return TooMany("bytes of instance", hello->instance().size(), kMaxWord);
  }
  if (hello->tasks_size() > kMaxKnownTasks) {
    return TooMany("tasks", static_cast<std::size_t>(hello->tasks_size()), kMaxKnownTasks);
  }
  std::set<std::string_view> seen;
  for (const std::string& task : hello->tasks()) {
    TRIBUTARY_RETURN_IF_ERROR(CheckTaskId(task));
    if (!seen.insert(task).second) return InvalidArgumentError("task " + task + " appears twice");
  }
  return OkStatus();
}

Status Check(v1::CampaignAnswer* answer) {
  if (!IsCampaignId(answer->campaign())) {
    return InvalidArgumentError("\"" + Excerpt(answer->campaign()) + "\" is not a campaign name");
  }
  answer->set_reason(Printable(answer->reason(), kMaxStatementMessage));
  return OkStatus();
}

// Only people see it: what makes no sense is made harmless.
Status Check(v1::TaskProgress* progress) {
  TRIBUTARY_RETURN_IF_ERROR(CheckTaskId(progress->task()));
  progress->set_phase(Printable(progress->phase(), kMaxWord));
  progress->set_job(Printable(progress->job(), kMaxWord));
  progress->set_message(Printable(progress->message(), kMaxLine));
  const auto count = [](std::int64_t value) {
    return std::clamp<std::int64_t>(value, 0, kMaxCount);
  };
  progress->set_step(count(progress->step()));
  progress->set_steps(count(progress->steps()));
  progress->set_attempt(count(progress->attempt()));
  if (!std::isfinite(progress->loss())) progress->set_loss(0);
  const auto time = [](std::int64_t value) {
    return std::clamp<std::int64_t>(value, 0, kMaxMicros);
  };
  progress->set_start_p50_us(time(progress->start_p50_us()));
  progress->set_start_p80_us(time(progress->start_p80_us()));
  progress->set_start_p95_us(time(progress->start_p95_us()));
  return OkStatus();
}

// What is no number, and what is too much, is left out.
Status Check(v1::SiteFacts* facts) {
  v1::SiteFacts kept;
  kept.set_scheduler(Printable(facts->scheduler(), kMaxWord));
  for (const v1::Allocation& a : facts->allocations()) {
    if (kept.allocations_size() == kMaxAllocations) break;
    if (!AreFinite({a.used(), a.pending(), a.limit(), a.idle()})) continue;
    v1::Allocation* out = kept.add_allocations();
    *out = a;
    out->set_campaign(Printable(a.campaign(), kMaxWord));
    out->set_unit(Printable(a.unit(), kMaxWord));
  }
  for (const v1::StartForecast& f : facts->forecasts()) {
    if (kept.forecasts_size() == kMaxForecasts) break;
    if (!AreFinite({f.p50_seconds(), f.p80_seconds(), f.p95_seconds(), f.within_p80(),
                    f.median_error_seconds()})) {
      continue;
    }
    v1::StartForecast* out = kept.add_forecasts();
    *out = f;
    out->set_queue(Printable(f.queue(), kMaxWord));
  }
  *facts = std::move(kept);
  return OkStatus();
}

// The statement is judged with the report, so that the task hears what is wrong with it; of one
// that is too long, no more is carried there than tells.
Status Check(v1::TaskReport* report) {
  TRIBUTARY_RETURN_IF_ERROR(CheckTaskId(report->task()));
  if (report->signature().size() > kMaxSignature) {
    return TooMany("bytes of signature", report->signature().size(), kMaxSignature);
  }
  if (report->statement().size() > kMaxStatementBytes) {
    report->set_statement(report->statement().substr(0, kMaxStatementBytes + 1));
  }
  return OkStatus();
}

// A client sends a heartbeat and its facts each heartbeat, which is a second at least; answers and
// a connection's first reports come all at once.
Rate RateOf(v1::ClientMessage::KindCase kind) {
  switch (kind) {
    case v1::ClientMessage::kHello:
      return {0.5, 30};
    case v1::ClientMessage::kHeartbeat:
    case v1::ClientMessage::kFacts:
      return {5, 60};
    case v1::ClientMessage::kCampaignAnswer:
      return {0.2, 600};
    case v1::ClientMessage::kProgress:
      return {200, 5000};
    case v1::ClientMessage::kReport:
      return {100, 5000};
    default:
      return {1, 60};
  }
}

}  // namespace

Status CheckClientMessage(v1::ClientMessage* message) {
  message->DiscardUnknownFields();
  switch (message->kind_case()) {
    case v1::ClientMessage::kHello:
      return Check(message->mutable_hello()).Annotate("hello");
    case v1::ClientMessage::kCampaignAnswer:
      return Check(message->mutable_campaign_answer()).Annotate("campaign answer");
    case v1::ClientMessage::kProgress:
      return Check(message->mutable_progress()).Annotate("progress");
    case v1::ClientMessage::kFacts:
      return Check(message->mutable_facts()).Annotate("facts");
    case v1::ClientMessage::kReport:
      return Check(message->mutable_report()).Annotate("report");
    default:
      return OkStatus();
  }
}

Result<v1::Statement> ReadStatement(const std::string& bytes) {
  if (bytes.size() > kMaxStatementBytes) {
    return TooMany("bytes of the signed statement", bytes.size(), kMaxStatementBytes);
  }
  v1::Statement statement;
  if (!statement.ParseFromString(bytes)) {
    return InvalidArgumentError("the signed statement is not a Statement message");
  }
  const auto& unknown = statement.GetReflection()->GetUnknownFields(statement);
  if (const std::size_t size = unknown.SpaceUsedLong(); size > kMaxUnknownBytes) {
    return TooMany("bytes of unknown fields", size, kMaxUnknownBytes);
  }
  if (statement.metrics_size() > kMaxMetrics) {
    return TooMany("metrics", static_cast<std::size_t>(statement.metrics_size()), kMaxMetrics);
  }
  for (const auto& [name, value] : statement.metrics()) {
    if (name.size() > kMaxMetricName || Printable(name) != name) {
      return InvalidArgumentError("metric \"" + Excerpt(name) + "\" is not a name; must be " +
                                  std::to_string(kMaxMetricName) +
                                  " bytes of printable text at most");
    }
    if (!std::isfinite(value)) {
      return InvalidArgumentError("metric \"" + Excerpt(name) + "\" is not a finite number");
    }
  }
  if (statement.device().size() > kMaxDeviceName ||
      Printable(statement.device()) != statement.device()) {
    return InvalidArgumentError("device \"" + Excerpt(statement.device()) + "\": must be " +
                                std::to_string(kMaxDeviceName) +
                                " bytes of printable text at most");
  }
  if (statement.peak_memory_bytes() < 0) {
    return InvalidArgumentError("a negative number of bytes of memory");
  }
  if (statement.outcome() == v1::OUTCOME_FAILED) return statement;
  for (const std::int64_t count : {statement.samples(), statement.tokens(), statement.steps()}) {
    if (count < 0) return InvalidArgumentError("a negative number of samples, tokens or steps");
    if (count > kMaxCount) {
      return InvalidArgumentError(std::to_string(count) +
                                  " samples, tokens or steps; must be at most " +
                                  std::to_string(kMaxCount));
    }
  }
  if (!AreFinite({statement.loss_first(), statement.loss_last(), statement.queue_seconds(),
                  statement.startup_seconds(), statement.compute_seconds(),
                  statement.transfer_seconds(), statement.learning_rate_sum(),
                  statement.node_seconds()})) {
    return InvalidArgumentError("a loss or time is not finite");
  }
  return statement;
}

bool MessageRates::Admit(const std::string& site, v1::ClientMessage::KindCase kind, Time now) {
  return rates_.Admit(site + " " + std::to_string(kind), RateOf(kind), now);
}

}  // namespace tributary::server
