#include "client/sent_update.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "core/files.h"
#include "core/log.h"
#include "core/sha256.h"

namespace tributary::client {
namespace {

constexpr const char* kSentFile = "sent.safetensors";
constexpr const char* kSentAbout = "sent.report";
constexpr std::size_t kMaxAbout = std::size_t{8} << 20;

// What a task asks for: all of it but which attempt this is. Equal for equal work.
std::string WorkOf(v1::TaskAssignment task) {
  task.clear_task();
  task.clear_delay_seconds();
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);  // of maps
    task.SerializeToCodedStream(&coded);
  }
  return Sha256Of(bytes).ToHex();
}

}  // namespace

// The file first: it is compared with the digest of the statement before it is believed.
Status KeepSent(const TaskWorkspace& workspace, const v1::TaskAssignment& task,
                const v1::Statement& statement) {
  if (statement.kind() != v1::TASK_KIND_TRAIN || !PathExists(workspace.DeltaPath())) {
    return OkStatus();
  }
  v1::TaskReport about;
  about.set_task(WorkOf(task));
  about.set_statement(statement.SerializeAsString());
  const std::string directory = workspace.CampaignDirectory();
  TRIBUTARY_RETURN_IF_ERROR(RenameDurably(workspace.DeltaPath(), JoinPath(directory, kSentFile)));
  return WriteFileAtomic(JoinPath(directory, kSentAbout), about.SerializeAsString());
}

std::optional<v1::Statement> FindSent(const TaskWorkspace& workspace,
                                      const v1::TaskAssignment& task) {
  const std::string kept = JoinPath(workspace.CampaignDirectory(), kSentFile);
  const auto text = ReadFile(JoinPath(workspace.CampaignDirectory(), kSentAbout), kMaxAbout);
  v1::TaskReport about;
  v1::Statement statement;
  if (!text.ok() || !about.ParseFromString(*text) || about.task() != WorkOf(task) ||
      !statement.ParseFromString(about.statement())) {
    return std::nullopt;
  }
  const auto digest = Sha256OfFile(kept);
  if (!digest.ok() || digest->ToHex() != statement.digest()) return std::nullopt;
  const Status linked = [&]() -> Status {
    TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(workspace.directory()));
    TRIBUTARY_RETURN_IF_ERROR(RemoveFile(workspace.DeltaPath()));
    return LinkFile(kept, workspace.DeltaPath()).status();
  }();
  if (!linked.ok()) {
    LogWarning("client", "an update that was kept cannot be used; it is trained again",
               {{"task", task.task()}, {"reason", linked}});
    return std::nullopt;
  }
  statement.set_task(task.task());
  const std::string& said = statement.message();
  statement.set_message("sent again as it was" + (said.empty() ? "" : ": " + said));
  statement.set_attempts(0);
  statement.set_node_seconds(0);  // its jobs were charged once
  return statement;
}

}  // namespace tributary::client
