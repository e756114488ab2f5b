#include "server/report_check.h"

#include <string_view>

#include "aggregators/file_round.h"
#include "core/safetensors.h"
#include "core/text.h"
#include "core/wire_bounds.h"
#include "security/signature.h"
#include "server/caller.h"
#include "server/message_check.h"
#include "server/wire.h"

namespace tributary::server {
namespace {

std::string Hex(std::string_view bytes) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string hex;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    hex += kHex[byte >> 4];
    hex += kHex[byte & 15];
  }
  return hex;
}

// The statement must be about this task, this site and the version it was given.
Status CheckStatement(const v1::Statement& statement, const std::string& site, const Task& task) {
  if (statement.task() != task.id || statement.site() != site ||
      statement.campaign() != task.campaign) {
    return InvalidArgumentError("the signed statement is about another task, campaign or site");
  }
  if (statement.global_version() != task.base_version) {
    return InvalidArgumentError(
        "update against version " + std::to_string(statement.global_version()) +
        "; the task was given version " + std::to_string(task.base_version));
  }
  if ((statement.kind() == v1::TASK_KIND_TRAIN) != (task.kind == TaskKind::kTrain)) {
    return InvalidArgumentError("the report is of another kind than the task");
  }
  if (statement.outcome() == v1::OUTCOME_FAILED) return OkStatus();
  if (task.kind == TaskKind::kTrain && (statement.steps() < 1 || statement.samples() < 1)) {
    return InvalidArgumentError("an update of " + std::to_string(statement.steps()) +
                                " steps and " + std::to_string(statement.samples()) +
                                " samples; at least 1 of each is needed");
  }
  if (task.kind == TaskKind::kTrain && statement.steps() > task.steps) {
    return InvalidArgumentError("an update of " + std::to_string(statement.steps()) +
                                " steps; the task asked for " + std::to_string(task.steps));
  }
  return OkStatus();
}

// The tensors that the task was to send, finite everywhere and not too large.
Status CheckUpdate(const std::string& update_path, const std::string& global_path,
                   const ExpectedReport& expected) {
  const auto global = SafetensorsFile::Open(global_path, OnDamage::kReport);
  if (!global.ok()) return UnavailableError(global.status().message());
  TRIBUTARY_ASSIGN_OR_RETURN(const SafetensorsFile update,
                             SafetensorsFile::Open(update_path, OnDamage::kReport));
  const Manifest trained = expected.site_rank == 0
                               ? global->ToManifest()
                               : TrainedManifest(global->ToManifest(), expected.site_rank);
  TRIBUTARY_RETURN_IF_ERROR(CheckManifest(
      EncodedManifest(UpdateManifest(trained, expected.directive), expected.directive.dtype),
      update.ToManifest()));
  TRIBUTARY_ASSIGN_OR_RETURN(const aggregators::UpdateScan scan, aggregators::ScanUpdate(update));
  if (!scan.finite) {
    return InvalidArgumentError("tensor " + scan.first_bad_tensor +
                                " holds a value that is not finite");
  }
  if (expected.max_update_norm > 0 && scan.norm > expected.max_update_norm) {
    return InvalidArgumentError("the update's norm is " + std::to_string(scan.norm) +
                                "; aggregator.max_update_norm allows " +
                                std::to_string(expected.max_update_norm));
  }
  return OkStatus();
}

}  // namespace

Result<std::variant<Event, Resend>> CheckReport(const v1::TaskReport& report,
                                                const std::string& site,
                                                const std::string& site_certificate_pem,
                                                const ExpectedReport& expected,
                                                const BlobStore& blobs) {
  using Outcome = std::variant<Event, Resend>;
  const Task& task = expected.task;
  const auto refuse = [&](const std::string& reason) -> Outcome {
    return Event(TaskFailed{
        task.id, "refused: " + Printable(WithoutDirectories(reason), kMaxStatementMessage), true});
  };
  // One that is too long was cut at the door: its signature says nothing.
  if (report.statement().size() > kMaxStatementBytes) {
    return refuse(ReadStatement(report.statement()).status().message());
  }
  if (const Status status =
          security::Verify(site_certificate_pem, report.statement(), report.signature());
      !status.ok()) {
    return refuse(status.message());
  }
  const auto read = ReadStatement(report.statement());
  if (!read.ok()) return refuse(read.status().message());
  const v1::Statement& statement = *read;
  if (const Status status = CheckStatement(statement, site, task); !status.ok()) {
    return refuse(status.message());
  }
  if (statement.outcome() != v1::OUTCOME_COMPLETE && statement.outcome() != v1::OUTCOME_PARTIAL) {
    return Outcome(Event(TaskFailed{task.id, Printable(statement.message(), kMaxStatementMessage),
                                    statement.refused()}));
  }
  ReportFacts facts = FromStatement(statement);
  facts.message = Printable(facts.message, kMaxStatementMessage);
  facts.statement_hex = Hex(report.statement());
  facts.signature_hex = Hex(report.signature());
  facts.bytes = 0;  // measured below, never taken from the statement
  if (task.kind == TaskKind::kTrain) {
    const auto digest = Digest::FromHex(statement.digest());
    if (!digest.ok()) return refuse(digest.status().message());
    if (!blobs.Has(*digest)) return Outcome(Resend{});
    const std::string global = blobs.PathOf(expected.global_digest);
    if (!PathExists(global)) return UnavailableError("the global adapter is not readable");
    if (const Status status = CheckUpdate(blobs.PathOf(*digest), global, expected); !status.ok()) {
      if (status.code() == StatusCode::kNotFound) return Outcome(Resend{});
      if (status.code() == StatusCode::kDataLoss) return Outcome(Resend{*digest});
      // Anything but a bad update is this server's trouble, and no reason to lose the update.
      if (status.code() != StatusCode::kInvalidArgument) return status;
      return refuse(status.message());
    }
    TRIBUTARY_ASSIGN_OR_RETURN(facts.bytes, blobs.SizeOf(*digest));
    facts.digest = *digest;
  }
  return Outcome(Event(UpdateAccepted{task.id, std::move(facts)}));
}

}  // namespace tributary::server
