// The sites that are connected now.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/mutex.h"
#include "core/status.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::server {

// One open stream. Send may be called from any thread and does not block; messages to a stream that
// is gone are dropped.
class SiteStream {
 public:
  virtual ~SiteStream() = default;
  virtual void Send(v1::ServerMessage message) = 0;
  // Says goodbye and ends the stream.
  virtual void Close(const std::string& reason) = 0;
};

struct SessionInfo {
  bool connected = false;
  std::string client_version;
  Timestamp last_seen;
  std::chrono::seconds visits{0};  // it keeps no daemon and comes about so often; 0: it stays

  // Neither connected nor between two visits: one that comes twice as late as usual, and a minute,
  // is missed.
  bool Away(Timestamp now) const {
    if (connected) return false;
    return visits.count() == 0 || now > last_seen + 2 * visits + std::chrono::minutes(1);
  }
};

// The daemon at the other end, as its Hello said, and how long it may be silent before it counts as
// gone.
struct Daemon {
  std::string instance;  // of its process; empty: an older client
  std::string host;
  std::string client_version;
  std::chrono::seconds silence{60};
  std::chrono::seconds visits{0};  // as SessionInfo has it
};

// Thread-safe.
class Sessions {
 public:
  using Monotonic = std::chrono::steady_clock::time_point;

  // One daemon serves a site. A second stream of the same daemon takes the place of the first,
  // which is closed: the daemon knows that it broke. Another daemon is refused, "already exists"
  // with what to do, as long as the first one is heard; when that has been silent for too long (its
  // machine is gone and the connection half open) the other takes its place.
  Status Add(const std::string& site, std::shared_ptr<SiteStream> stream, const Daemon& daemon,
             Timestamp now, Monotonic at);
  // Both only when `stream` is still the site's current one.
  void Remove(const std::string& site, const SiteStream* stream, Timestamp now);
  void Touch(const std::string& site, const SiteStream* stream, Timestamp now, Monotonic at);
  void Send(const std::string& site, v1::ServerMessage message);
  void CloseAll(const std::string& reason);
  // What a site said about itself, checked (message_check.h).
  void SetFacts(const std::string& site, v1::SiteFacts facts);
  v1::SiteFacts Facts(const std::string& site) const;
  std::vector<std::string> Connected() const;
  SessionInfo Info(const std::string& site) const;

 private:
  struct Entry {
    std::shared_ptr<SiteStream> stream;
    Daemon daemon;
    Monotonic heard;
    SessionInfo info;
    v1::SiteFacts facts;
  };
  mutable Mutex mutex_;
  std::map<std::string, Entry> entries_ TRIBUTARY_GUARDED_BY(mutex_);
};

}  // namespace tributary::server
