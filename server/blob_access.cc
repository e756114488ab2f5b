// Who may read and write which blob, and what happens when one that is read is damaged.
#include <algorithm>

#include "core/log.h"
#include "core/text.h"
#include "server/coordinator.h"

namespace tributary::server {
namespace {

// Versions, what they add to the base weights, and the state vectors that tasks may ask for.
bool IsDownloadable(const Campaign& campaign, const Digest& digest) {
  for (const Version& version : campaign.versions) {
    if (version.digest == digest || version.merged.digest == digest) return true;
  }
  const auto& state = campaign.versions.back().state;
  return std::any_of(state.begin(), state.end(),
                     [&](const auto& entry) { return entry.second.digest == digest; });
}

}  // namespace

void Coordinator::AuthorizeBlob(const security::Identity& who, const Digest& digest, BlobUse use,
                                const std::string& task_id, std::function<void(Status)> answer) {
  runner_->Read([=, answer = std::move(answer)](const State& state) {
    const bool person = who.role == security::Role::kLead || who.role == security::Role::kAdmin;
    if (use == BlobUse::kWrite) {
      if (person && task_id.empty()) return answer(OkStatus());
      const Task* task = state.FindTask(task_id);
      if (task != nullptr && task->site == who.name && who.role == security::Role::kSite &&
          task->kind == TaskKind::kTrain && task->phase == TaskPhase::kOutstanding) {
        return answer(OkStatus());
      }
      return answer(PermissionDeniedError("no open task \"" + Excerpt(task_id) +
                                          "\" of this site asks for an upload"));
    }
    for (const auto& [id, campaign] : state.campaigns) {
      const auto site = campaign.answers.find(who.name);
      const bool member = who.role == security::Role::kSite && site != campaign.answers.end() &&
                          site->second.kind == SiteAnswer::Kind::kAccepted;
      if (!person && !member) continue;
      if (IsDownloadable(campaign, digest)) return answer(OkStatus());
    }
    answer(PermissionDeniedError("no campaign of yours has this blob as a version"));
  });
}

void Coordinator::NoteDamaged(const Digest& digest, const std::string& reason) {
  LogError("engine", "a blob is not what its name says",
           {{"blob", digest.ToHex()}, {"reason", reason}});
  if (const Status aside = blobs_.Quarantine(digest); !aside.ok()) {
    LogError("engine", "a damaged blob stays", {{"error", aside}});
  }
  runner_->Read([this, digest, reason](const State& state) {
    for (const auto& [id, campaign] : state.campaigns) {
      for (const Version& version : campaign.versions) {
        const bool state =
            std::any_of(version.state.begin(), version.state.end(),
                        [&](const auto& entry) { return entry.second.digest == digest; });
        if (version.digest != digest && version.merged.digest != digest && !state) continue;
        runner_->PostUntilDurable(
            VersionDamaged{id, version.number, "blob " + digest.ToHex() + " " + reason});
      }
    }
  });
}

}  // namespace tributary::server
