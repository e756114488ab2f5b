#include "client/assignment_check.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "client/policy.h"
#include "client/task_start.h"
#include "client/task_workspace.h"
#include "core/campaign_file.h"
#include "core/peft_adapter.h"
#include "core/sha256.h"
#include "core/task_contract.h"
#include "core/text.h"

namespace tributary::client {
namespace {

constexpr std::int64_t kMaxCount = std::int64_t{1} << 40;        // rounds, versions
constexpr std::uint64_t kMaxBlobBytes = std::uint64_t{1} << 44;  // 16 TiB
constexpr std::int64_t kMaxWalltimeSeconds = 30 * 86400;         // as campaign files have it
constexpr std::uint32_t kMaxHeartbeatSeconds = 3600;
constexpr std::int64_t kMaxRank = 4096;
constexpr std::size_t kMaxName = 256;  // of models and data, which people choose freely
constexpr std::size_t kMaxTensorName = 512;
constexpr int kMaxDimensions = 8;
constexpr int kMaxDataNames = 1000;
constexpr int kMaxServerState = 16;
constexpr int kMaxNeeds = 64;
constexpr std::size_t kMaxNeed = 64;
constexpr std::size_t kMaxAdapterConfig = std::size_t{1} << 20;
constexpr std::size_t kMaxCampaignText = std::size_t{4} << 20;
constexpr std::int64_t kMaxAnswerTokens = 65'536;
constexpr std::size_t kMaxReason = 500;
// Of a safetensors file, generously: its length, metadata and padding; for each tensor besides its
// name.
constexpr std::uint64_t kHeaderBytes = std::uint64_t{64} << 10;
constexpr std::uint64_t kHeaderEntryBytes = 256;

template <class Number>
Status CheckRange(std::string_view field, Number value, Number min, Number max) {
  if (value >= min && value <= max) return OkStatus();
  return InvalidArgumentError(std::string(field) + " is " + std::to_string(value) + "; must be " +
                              std::to_string(min) + " to " + std::to_string(max));
}

Status CheckCount(std::string_view field, int count, int max) {
  if (count <= max) return OkStatus();
  return InvalidArgumentError(std::string(field) + " has " + std::to_string(count) +
                              " entries; at most " + std::to_string(max));
}

Status CheckCampaign(const std::string& id) {
  if (IsCampaignId(id)) return OkStatus();
  return InvalidArgumentError("campaign \"" + Excerpt(id) + "\" is not the id of a campaign");
}

Status CheckPlainName(std::string_view field, const std::string& name) {
  if (IsPlainName(name)) return OkStatus();
  return InvalidArgumentError(std::string(field) + " \"" + Excerpt(name) + "\" is not a name");
}

// What people call models, data and tensors: one line of text.
Status CheckFreeName(std::string_view field, const std::string& name, std::size_t max) {
  if (!name.empty() && Printable(name, max) == name) return OkStatus();
  return InvalidArgumentError(std::string(field) + " \"" + Excerpt(name) +
                              "\" is not a name; must be 1 to " + std::to_string(max) +
                              " bytes of printable text");
}

Status CheckText(std::string_view field, const std::string& text, std::size_t max) {
  if (text.size() <= max) return OkStatus();
  return InvalidArgumentError(std::string(field) + " has " + std::to_string(text.size()) +
                              " bytes; at most " + std::to_string(max));
}

Status CheckBlob(std::string_view field, const std::string& digest, std::uint64_t bytes) {
  TRIBUTARY_RETURN_IF_ERROR(Digest::FromHex(digest).status().Annotate(field));
  return CheckRange<std::uint64_t>(std::string(field) + " bytes", bytes, 1, kMaxBlobBytes);
}

// Task ids begin with their campaign's name.
Status CheckTaskId(const std::string& task) {
  if (IsTaskId(task.substr(0, task.find('.')), task)) return OkStatus();
  return InvalidArgumentError("task \"" + Excerpt(task) + "\" is not a task id");
}

Status CheckTensor(const v1::TensorInfo& tensor) {
  TRIBUTARY_RETURN_IF_ERROR(CheckFreeName("tensor", tensor.name(), kMaxTensorName));
  TRIBUTARY_RETURN_IF_ERROR(ParseDType(tensor.dtype()).status().Annotate(tensor.name()));
  TRIBUTARY_RETURN_IF_ERROR(
      CheckCount("shape of " + tensor.name(), tensor.shape_size(), kMaxDimensions));
  std::int64_t elements = 1;
  for (const std::int64_t extent : tensor.shape()) {
    if (extent < 1 || extent > kMaxCount / elements) {
      return InvalidArgumentError("tensor " + tensor.name() + " has an extent of " +
                                  std::to_string(extent) + "; must be at least 1, and at most " +
                                  std::to_string(kMaxCount) + " elements in all");
    }
    elements *= extent;
  }
  return OkStatus();
}

Status CheckManifest(const v1::CampaignOffer& offer) {
  TRIBUTARY_RETURN_IF_ERROR(CheckCount("manifest", offer.manifest_size(), kMaxTensors));
  std::set<std::string_view> names;
  for (const v1::TensorInfo& tensor : offer.manifest()) {
    TRIBUTARY_RETURN_IF_ERROR(CheckTensor(tensor));
    if (!names.insert(tensor.name()).second) {
      return InvalidArgumentError("tensor " + tensor.name() + " appears twice");
    }
  }
  return OkStatus();
}

// Counts, floats and enums are those of the task file that this becomes: sound when a trainer reads
// it. Names and paths in it come from the site, and do not matter here.
Status CheckSettings(const v1::TaskAssignment& task) {
  v1::CampaignOffer offer;
  offer.set_model("model");
  offer.set_train_data("data");
  offer.add_evaluation_data("data");
  PolicySection policy;
  policy.models = {{"model", "/model"}};
  policy.data = {{"data", "/data"}};
  const Status status =
      TaskFile::FromJson(MakeTaskFile(offer, task, policy, "site", 1).ToJson()).status();
  // It quotes what it does not know.
  return {status.code(), Printable(status.message(), kMaxReason)};
}

// All of them, also those that this kind of task does not use.
Status CheckFloats(const google::protobuf::Message& message) {
  using google::protobuf::FieldDescriptor;
  const auto* descriptor = message.GetDescriptor();
  const auto* reflection = message.GetReflection();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor* field = descriptor->field(i);
    if (field->is_repeated()) continue;  // no list of floats, nor of messages with one
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE &&
        !std::isfinite(reflection->GetDouble(message, field))) {
      return InvalidArgumentError(field->name() + " is not a finite number");
    }
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
        reflection->HasField(message, field)) {
      TRIBUTARY_RETURN_IF_ERROR(CheckFloats(reflection->GetMessage(message, field)));
    }
  }
  return OkStatus();
}

// The blobs that the task downloads. Keys of the map become file names: only those that the
// directive asks for, which DirectiveOf() knows by name.
Status CheckBlobs(const v1::TaskAssignment& task) {
  TRIBUTARY_RETURN_IF_ERROR(CheckBlob("global_digest", task.global_digest(), task.global_bytes()));
  TRIBUTARY_RETURN_IF_ERROR(CheckCount("merged", task.merged_size(), kMaxMergedProducts));
  for (const v1::Blob& blob : task.merged()) {
    TRIBUTARY_RETURN_IF_ERROR(CheckBlob("merged", blob.digest(), blob.bytes()));
  }
  const auto& asked = task.directive().server_state();
  for (const auto& [name, blob] : task.server_state()) {
    if (std::find(asked.begin(), asked.end(), name) == asked.end()) {
      return InvalidArgumentError("server_state \"" + Excerpt(name) +
                                  "\" is not asked for by the directive");
    }
    TRIBUTARY_RETURN_IF_ERROR(CheckBlob("server_state", blob.digest(), blob.bytes()));
  }
  return OkStatus();
}

}  // namespace

Status CheckWelcome(const v1::Welcome& welcome) {
  return CheckRange("heartbeat_seconds", welcome.heartbeat_seconds(), 1U, kMaxHeartbeatSeconds);
}

Status CheckCampaignOffer(const v1::CampaignOffer& offer) {
  TRIBUTARY_RETURN_IF_ERROR(CheckCampaign(offer.campaign()));
  TRIBUTARY_RETURN_IF_ERROR(CheckPlainName("lead", offer.lead()));
  TRIBUTARY_RETURN_IF_ERROR(CheckFreeName("model", offer.model(), kMaxName));
  TRIBUTARY_RETURN_IF_ERROR(CheckFreeName("train_data", offer.train_data(), kMaxName));
  TRIBUTARY_RETURN_IF_ERROR(
      CheckCount("evaluation_data", offer.evaluation_data_size(), kMaxDataNames));
  for (const std::string& name : offer.evaluation_data()) {
    TRIBUTARY_RETURN_IF_ERROR(CheckFreeName("evaluation_data", name, kMaxName));
  }
  TRIBUTARY_RETURN_IF_ERROR(
      CheckText("adapter_config_json", offer.adapter_config_json(), kMaxAdapterConfig));
  TRIBUTARY_RETURN_IF_ERROR(AdapterConfig::FromPeftJson(offer.adapter_config_json())
                                .status()
                                .Annotate("adapter_config_json"));
  TRIBUTARY_RETURN_IF_ERROR(CheckText("campaign_yaml", offer.campaign_yaml(), kMaxCampaignText));
  TRIBUTARY_RETURN_IF_ERROR(CheckRange<std::int64_t>(
      "max_walltime_seconds", offer.max_walltime_seconds(), 1, kMaxWalltimeSeconds));
  TRIBUTARY_RETURN_IF_ERROR(CheckCount("needs", offer.needs_size(), kMaxNeeds));
  for (const std::string& need : offer.needs()) {
    TRIBUTARY_RETURN_IF_ERROR(CheckFreeName("needs", need, kMaxNeed));
  }
  return CheckManifest(offer);
}

Status CheckTaskNames(const v1::TaskAssignment& task) {
  TRIBUTARY_RETURN_IF_ERROR(CheckCampaign(task.campaign()));
  if (!IsTaskId(task.campaign(), task.task())) {
    return InvalidArgumentError("task \"" + Excerpt(task.task()) + "\" is not one of campaign " +
                                task.campaign());
  }
  if (task.kind() != v1::TASK_KIND_TRAIN && task.kind() != v1::TASK_KIND_EVALUATE) {
    return InvalidArgumentError("kind " + std::to_string(static_cast<int>(task.kind())) +
                                " is not one that this client knows");
  }
  return CheckRange<std::int64_t>("global_version", task.global_version(), 0, kMaxCount);
}

Status CheckTaskAssignment(const v1::TaskAssignment& task) {
  TRIBUTARY_RETURN_IF_ERROR(CheckTaskNames(task));
  TRIBUTARY_RETURN_IF_ERROR(CheckRange<std::int64_t>("round", task.round(), 0, kMaxCount));
  TRIBUTARY_RETURN_IF_ERROR(CheckRange<std::int64_t>("walltime_seconds", task.walltime_seconds(), 1,
                                                     kMaxWalltimeSeconds));
  TRIBUTARY_RETURN_IF_ERROR(CheckRange<std::int64_t>("site_rank", task.site_rank(), 0, kMaxRank));
  // Written to the task file only where they are above 0.
  TRIBUTARY_RETURN_IF_ERROR(
      CheckRange<std::int64_t>("max_bad_lines", task.max_bad_lines(), 0, kMaxCount));
  TRIBUTARY_RETURN_IF_ERROR(CheckRange<std::int64_t>(
      "evaluation_answer_tokens", task.evaluation_answer_tokens(), 0, kMaxAnswerTokens));
  if (!task.chat_template().empty()) {
    TRIBUTARY_RETURN_IF_ERROR(CheckPlainName("chat_template", task.chat_template()));
  }
  TRIBUTARY_RETURN_IF_ERROR(
      CheckCount("directive.server_state", task.directive().server_state_size(), kMaxServerState));
  TRIBUTARY_RETURN_IF_ERROR(CheckFloats(task));
  TRIBUTARY_RETURN_IF_ERROR(DirectiveOf(task).status());
  TRIBUTARY_RETURN_IF_ERROR(CheckSettings(task));
  return CheckBlobs(task);
}

Status CheckDownloads(const v1::CampaignOffer& offer, const v1::TaskAssignment& task) {
  std::uint64_t most = kHeaderBytes;
  for (const TensorSpec& spec : OfferedManifest(offer)) {
    most += spec.ByteCount() + spec.name.size() + kHeaderEntryBytes;
  }
  const auto check = [most](std::string_view field, std::uint64_t bytes) {
    if (bytes <= most) return OkStatus();
    return InvalidArgumentError(std::string(field) + " has " + std::to_string(bytes) +
                                " bytes; the campaign's adapter has at most " +
                                std::to_string(most));
  };
  TRIBUTARY_RETURN_IF_ERROR(check("global version", task.global_bytes()));
  for (const auto& [name, blob] : task.server_state()) {
    TRIBUTARY_RETURN_IF_ERROR(check("server_state " + name, blob.bytes()));
  }
  if (task.merged_size() <= task.global_version()) return OkStatus();
  return InvalidArgumentError("merged has " + std::to_string(task.merged_size()) +
                              " products; version " + std::to_string(task.global_version()) +
                              " has one for each version at most");
}

Status CheckServerMessage(const v1::ServerMessage& message) {
  switch (message.kind_case()) {
    case v1::ServerMessage::kWelcome:
      return CheckWelcome(message.welcome());
    case v1::ServerMessage::kCampaignOffer:
      return CheckCampaignOffer(message.campaign_offer()).Annotate("campaign offer");
    case v1::ServerMessage::kCampaignClosed:
      return CheckCampaign(message.campaign_closed().campaign());
    case v1::ServerMessage::kTask:
      return CheckTaskAssignment(message.task()).Annotate("task assignment");
    case v1::ServerMessage::kCancel:
      return CheckTaskId(message.cancel().task());
    case v1::ServerMessage::kReportAck:
      return CheckTaskId(message.report_ack().task());
    default:
      return OkStatus();  // nothing in them is used but text; a newer server may say more
  }
}

Status CheckTaskRecord(const TaskRecord& record) {
  // A report that waits needs no more than the names: its task is done, or was refused unread.
  const Status status = record.phase == Phase::kReady ? CheckTaskNames(record.assignment)
                                                      : CheckTaskAssignment(record.assignment);
  TRIBUTARY_RETURN_IF_ERROR(status);
  if (record.phase > Phase::kReady) {
    return InvalidArgumentError("phase " + std::to_string(static_cast<int>(record.phase)) +
                                " is not one that this client knows");
  }
  return CheckRange<std::int64_t>("attempt", record.attempt, 1, kMaxCount);
}

}  // namespace tributary::client
