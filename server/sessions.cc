#include "server/sessions.h"

#include <cmath>

#include "core/text.h"

namespace tributary::server {
namespace {

constexpr int kMaxAllocations = 1000;
constexpr int kMaxForecasts = 100;
constexpr std::size_t kMaxText = 64;

bool AreNumbers(std::initializer_list<double> values) {
  for (const double value : values) {
    if (!std::isfinite(value)) return false;
  }
  return true;
}

bool IsSane(const v1::Allocation& a) {
  return AreNumbers({a.used(), a.pending(), a.limit(), a.idle()});
}
bool IsSane(const v1::StartForecast& f) {
  return AreNumbers({f.p50_seconds(), f.p80_seconds(), f.p95_seconds(), f.within_p80(),
                     f.median_error_seconds()});
}

}  // namespace

void Sessions::SetFacts(const std::string& site, v1::SiteFacts facts) {
  v1::SiteFacts kept;
  kept.set_scheduler(Excerpt(facts.scheduler(), kMaxText));
  for (v1::Allocation& allocation : *facts.mutable_allocations()) {
    if (kept.allocations_size() == kMaxAllocations || !IsSane(allocation)) continue;
    allocation.set_campaign(Excerpt(allocation.campaign(), kMaxText));
    allocation.set_unit(Excerpt(allocation.unit(), kMaxText));
    *kept.add_allocations() = std::move(allocation);
  }
  for (v1::StartForecast& forecast : *facts.mutable_forecasts()) {
    if (kept.forecasts_size() == kMaxForecasts || !IsSane(forecast)) continue;
    forecast.set_queue(Excerpt(forecast.queue(), kMaxText));
    *kept.add_forecasts() = std::move(forecast);
  }
  MutexLock lock(mutex_);
  entries_[site].facts = std::move(kept);
}

v1::SiteFacts Sessions::Facts(const std::string& site) const {
  MutexLock lock(mutex_);
  const auto it = entries_.find(site);
  return it == entries_.end() ? v1::SiteFacts() : it->second.facts;
}

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
