// Who may read and write which blob, and what happens when one that is read is damaged.
#include "server/blob_access.h"

#include <algorithm>

#include "core/log.h"
#include "core/text.h"
#include "server/coordinator.h"

namespace tributary::server {
namespace {

bool IsStateOf(const Version& version, const Digest& digest) {
  return std::any_of(version.state.begin(), version.state.end(),
                     [&](const auto& entry) { return entry.second.digest == digest; });
}

Status IsAnUpdate(const Digest& digest) {
  return PermissionDeniedError("initial adapter " + digest.ToHex() +
                               " is the update of a site, which nobody may read");
}

}  // namespace

bool IsDownloadable(const Campaign& campaign, const Digest& digest) {
  for (const Version& version : campaign.versions) {
    if (version.digest == digest || version.merged.digest == digest) return true;
  }
  return IsStateOf(campaign.versions.back(), digest);
}

Status CheckMayBeginWith(const State& state, const Digest& digest) {
  const auto published = [&](const auto& entry) { return IsDownloadable(entry.second, digest); };
  if (std::any_of(state.campaigns.begin(), state.campaigns.end(), published)) return OkStatus();
  for (const auto& [id, campaign] : state.campaigns) {
    for (const auto& [task_id, task] : campaign.tasks) {
      if (task.facts.digest != digest) continue;
      return IsAnUpdate(digest);
    }
  }
  return OkStatus();
}

// What a site sends is nobody's to begin with, also before its report has come, and after its round
// is past.
Status Coordinator::CheckMayBeginWith(const State& state, const Digest& digest) const {
  TRIBUTARY_RETURN_IF_ERROR(server::CheckMayBeginWith(state, digest));
  {
    MutexLock lock(mutex_);
    if (!sent_.contains(digest)) return OkStatus();
  }
  const auto published = [&](const auto& entry) { return IsDownloadable(entry.second, digest); };
  if (std::any_of(state.campaigns.begin(), state.campaigns.end(), published)) return OkStatus();
  return IsAnUpdate(digest);
}

void Coordinator::NoteSent(const Digest& digest, bool landed) {
  MutexLock lock(mutex_);
  if (landed) {
    sent_.insert(digest);
  } else {
    sent_.erase(digest);
  }
}

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
  log_limit_.Log("damaged " + digest.ToHex(), LogLevel::kError, "engine",
                 "a blob is not what its name says",
                 {{"blob", digest.ToHex()}, {"reason", reason}});
  if (const Status aside = blobs_.Quarantine(digest); !aside.ok()) {
    LogError("engine", "a damaged blob stays", {{"error", aside}});
  }
  NoteSent(digest, false);
  runner_->Read([=, this](const State& state) { PostDamage(digest, reason, state); });
}

void Coordinator::NoteGone(const Digest& digest) {
  runner_->Read([=, this](const State& state) {
    if (!ReferencedBlobs(state, limits_.keep).contains(digest)) return;
    log_limit_.Log("damaged " + digest.ToHex(), LogLevel::kError, "engine",
                   "a blob is gone from the server's disk", {{"blob", digest.ToHex()}});
    PostDamage(digest, "is gone from the server's disk", state);
  });
}

// What is damaged is named in the reason.
void Coordinator::NoteWhole(const Digest& digest) {
  runner_->Read([=, this](const State& state) {
    for (const auto& [id, campaign] : state.campaigns) {
      for (const Version& version : campaign.versions) {
        if (version.damage.find(digest.ToHex()) == std::string::npos) continue;
        LogInfo("engine", "a damaged blob is whole again",
                {{"campaign", id}, {"version", version.number}, {"blob", digest.ToHex()}});
        runner_->PostUntilDurable(VersionRestored{id, version.number});
      }
    }
  });
}

// State vectors of earlier versions are removed in good order: the newest version's alone matter.
void Coordinator::PostDamage(const Digest& digest, const std::string& reason, const State& state) {
  for (const auto& [id, campaign] : state.campaigns) {
    for (const Version& version : campaign.versions) {
      const bool newest = version.number == campaign.versions.back().number;
      const bool own = version.digest == digest || version.merged.digest == digest;
      if (!own && !(newest && IsStateOf(version, digest))) continue;
      runner_->PostUntilDurable(
          VersionDamaged{id, version.number, "blob " + digest.ToHex() + " " + reason});
    }
  }
}

}  // namespace tributary::server
