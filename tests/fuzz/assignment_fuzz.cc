// What a server says to a site: nothing that passes the check names a file outside the task's
// place.
#include "client/assignment_check.h"

#include "client/task_workspace.h"
#include "core/files.h"
#include "core/text.h"
#include "tests/client/server_messages.h"
#include "tests/fuzz/fuzz_targets.h"

namespace tributary {
namespace {

constexpr std::string_view kWorkspace = "/work";

// Inside the workspace, whatever the kernel makes of it.
void RequireInside(const std::string& path) {
  Require(path.starts_with(std::string(kWorkspace) + "/"), "a path is in the workspace: " + path);
  Require(path.find('\0') == std::string::npos, "a path has no NUL");
  Require((path + "/").find("/../") == std::string::npos, "a path does not lead up: " + path);
}

void CheckTask(const v1::TaskAssignment& task) {
  const client::TaskWorkspace workspace(std::string(kWorkspace), task);
  const auto needs = workspace.Needs();
  Require(needs.ok(), "a checked task has digests and names: " + needs.status().ToString());
  for (const client::NeededFile& file : *needs) {
    Require(file.path.starts_with(workspace.directory() + "/"),
            "files go into the task's directory");
    RequireInside(file.path);
    RequireInside(file.shared);
    Require(file.bytes > 0 && file.bytes <= (std::uint64_t{1} << 44), "a size is one");
  }
  for (const std::string& path : {workspace.GlobalPath(), workspace.DeltaPath(),
                                  workspace.StatePath(), workspace.NextStatePath()}) {
    RequireInside(path);
  }
  client::PolicySection policy;
  policy.models = {{"m", "/m"}};
  policy.data = {{"d", "/d"}};
  v1::CampaignOffer offer;
  offer.set_model("m");
  offer.set_train_data("d");
  offer.add_evaluation_data("d");
  const auto file = client::MakeTaskFile(offer, task, policy, "site", 1);
  const auto read = TaskFile::FromJson(file.ToJson());
  Require(read.ok(), "a trainer reads the task: " + read.status().ToString());
}

void CheckOffer(const v1::CampaignOffer& offer) {
  RequireInside(JoinPath(kWorkspace, offer.campaign()));
  for (const std::string& name : {offer.lead(), offer.model(), offer.train_data()}) {
    Require(Printable(name) == name, "a name is printable");
  }
  for (const v1::TensorInfo& tensor : offer.manifest()) {
    double elements = 1;
    for (const std::int64_t extent : tensor.shape()) elements *= static_cast<double>(extent);
    Require(elements >= 1 && elements <= 0x1p40, "a tensor has a size");
  }
}

}  // namespace

void FuzzAssignment(std::string_view bytes) {
  v1::ServerMessage message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  const Status status = client::CheckServerMessage(message);
  if (!status.ok()) {
    Require(status.code() == StatusCode::kInvalidArgument && !status.message().empty(),
            "a refusal says why");
    Require(status.message().size() < 10'000, "a refusal is short");
    if (message.has_task() && client::CheckTaskNames(message.task()).ok()) {
      RequireInside(client::TaskWorkspace(std::string(kWorkspace), message.task()).DeltaPath());
    }
    return;
  }
  if (message.has_task()) CheckTask(message.task());
  if (message.has_campaign_offer()) CheckOffer(message.campaign_offer());
}

std::vector<std::string> AssignmentSeeds() {
  std::vector<std::string> seeds = {"", "\x2a\x00", "no message"};
  const auto add = [&](auto&& fill) {
    v1::ServerMessage message;
    fill(message);
    seeds.push_back(message.SerializeAsString());
  };
  using M = v1::ServerMessage;
  add([](M& m) { *m.mutable_campaign_offer() = client::HonestOffer(); });
  add([](M& m) { *m.mutable_task() = client::HonestTask(); });
  add([](M& m) {
    *m.mutable_task() = client::HonestTask();
    m.mutable_task()->mutable_directive()->set_offset(1);
    m.mutable_task()->mutable_directive()->add_server_state("control");
    v1::Blob& blob = (*m.mutable_task()->mutable_server_state())["control"];
    blob.set_digest(Sha256Of("c").ToHex());
    blob.set_bytes(9);
    *m.mutable_task()->add_merged() = blob;
  });
  add([](M& m) {
    *m.mutable_task() = client::HonestTask();
    m.mutable_task()->set_kind(v1::TASK_KIND_EVALUATE);
    m.mutable_task()->mutable_training()->set_steps(0);
  });
  add([](M& m) {
    *m.mutable_task() = client::HonestTask();
    (*m.mutable_task()->mutable_server_state())["../../x"].set_digest(std::string("\0/..", 4));
  });
  add([](M& m) { m.mutable_welcome()->set_heartbeat_seconds(20); });
  add([](M& m) { m.mutable_campaign_closed()->set_campaign("../.."); });
  add([](M& m) { m.mutable_cancel()->set_task("chem.r1.a.t1"); });
  add([](M& m) { m.mutable_report_ack()->set_task("chem.r1.a.t1"); });
  return seeds;
}

}  // namespace tributary
