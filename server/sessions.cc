#include "server/sessions.h"

namespace tributary::server {

void Sessions::Add(const std::string& site, std::shared_ptr<SiteStream> stream,
                   const std::string& client_version, Timestamp now) {
  std::shared_ptr<SiteStream> replaced;
  {
    MutexLock lock(mutex_);
    Entry& entry = entries_[site];
    replaced = std::move(entry.stream);
    entry.stream = std::move(stream);
    entry.info = {true, client_version, now};
  }
  if (replaced) replaced->Close("another connection of this site took over");
}

void Sessions::Remove(const std::string& site, const SiteStream* stream, Timestamp now) {
  MutexLock lock(mutex_);
  Entry& entry = entries_[site];
  if (entry.stream.get() != stream) return;
  entry.stream.reset();
  entry.info.connected = false;
  entry.info.last_seen = now;
}

void Sessions::Touch(const std::string& site, Timestamp now) {
  MutexLock lock(mutex_);
  entries_[site].info.last_seen = now;
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

SessionInfo Sessions::Info(const std::string& site) const {
  MutexLock lock(mutex_);
  const auto it = entries_.find(site);
  return it == entries_.end() ? SessionInfo{} : it->second.info;
}

}  // namespace tributary::server
