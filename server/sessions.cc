#include "server/sessions.h"

#include "core/text.h"

namespace tributary::server {
namespace {

using std::chrono::duration_cast;
using std::chrono::seconds;

std::string OnHost(const std::string& host) {
  return host.empty() ? "" : " on host " + Excerpt(host, 64);
}

}  // namespace

void Sessions::SetFacts(const std::string& site, v1::SiteFacts facts) {
  MutexLock lock(mutex_);
  entries_[site].facts = std::move(facts);
}

v1::SiteFacts Sessions::Facts(const std::string& site) const {
  MutexLock lock(mutex_);
  const auto it = entries_.find(site);
  return it == entries_.end() ? v1::SiteFacts() : it->second.facts;
}

Status Sessions::Add(const std::string& site, std::shared_ptr<SiteStream> stream,
                     const Daemon& daemon, Timestamp now, Monotonic at) {
  std::shared_ptr<SiteStream> replaced;
  {
    MutexLock lock(mutex_);
    Entry& entry = entries_[site];
    const bool same = !daemon.instance.empty() && daemon.instance == entry.daemon.instance;
    if (entry.stream && !same && at - entry.heard < daemon.silence) {
      return AlreadyExistsError(
          "site " + site + " is served by another daemon" + OnHost(entry.daemon.host) + ", heard " +
          std::to_string(duration_cast<seconds>(at - entry.heard).count()) +
          " s ago; one certificate serves one daemon: stop one of the two, or enroll another "
          "site. If the other is gone, this one is let in when that has been silent for " +
          std::to_string(daemon.silence.count()) + " s");
    }
    replaced = std::move(entry.stream);
    entry.stream = std::move(stream);
    entry.daemon = daemon;
    entry.heard = at;
    entry.info = {true, daemon.client_version, now, daemon.visits};
  }
  if (replaced) replaced->Close("another connection of this site took over");
  return OkStatus();
}

void Sessions::Remove(const std::string& site, const SiteStream* stream, Timestamp now) {
  MutexLock lock(mutex_);
  Entry& entry = entries_[site];
  if (entry.stream.get() != stream) return;
  entry.stream.reset();
  entry.info.connected = false;
  entry.info.last_seen = now;
}

void Sessions::Touch(const std::string& site, const SiteStream* stream, Timestamp now,
                     Monotonic at) {
  MutexLock lock(mutex_);
  Entry& entry = entries_[site];
  if (entry.stream.get() != stream) return;
  entry.info.last_seen = now;
  entry.heard = at;
}

void Sessions::Send(const std::string& site, v1::ServerMessage message) {
  std::shared_ptr<SiteStream> stream;
  {
    MutexLock lock(mutex_);
    const auto it = entries_.find(site);
    if (it != entries_.end()) stream = it->second.stream;
  }
  if (stream) stream->Send(std::move(message));
}

void Sessions::CloseAll(const std::string& reason) {
  std::vector<std::shared_ptr<SiteStream>> streams;
  {
    MutexLock lock(mutex_);
    for (auto& [site, entry] : entries_) {
      if (entry.stream) streams.push_back(entry.stream);
    }
  }
  for (const auto& stream : streams) stream->Close(reason);
}

std::vector<std::string> Sessions::Connected() const {
  MutexLock lock(mutex_);
  std::vector<std::string> sites;
  for (const auto& [site, entry] : entries_) {
    if (entry.info.connected) sites.push_back(site);
  }
  return sites;
}

SessionInfo Sessions::Info(const std::string& site) const {
  MutexLock lock(mutex_);
  const auto it = entries_.find(site);
  return it == entries_.end() ? SessionInfo{} : it->second.info;
}

}  // namespace tributary::server
