// The sites that are connected now.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/mutex.h"
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
};

// Thread-safe.
class Sessions {
 public:
  // A second stream of a site replaces the first, which is closed.
  void Add(const std::string& site, std::shared_ptr<SiteStream> stream,
           const std::string& client_version, Timestamp now);
  // Only when `stream` is still the site's current one.
  void Remove(const std::string& site, const SiteStream* stream, Timestamp now);
  void Touch(const std::string& site, Timestamp now);
  void Send(const std::string& site, v1::ServerMessage message);
  void CloseAll(const std::string& reason);
  // What a site said about itself; bounded here.
  void SetFacts(const std::string& site, v1::SiteFacts facts);
  v1::SiteFacts Facts(const std::string& site) const;
  SessionInfo Info(const std::string& site) const;

 private:
  struct Entry {
    std::shared_ptr<SiteStream> stream;
    SessionInfo info;
    v1::SiteFacts facts;
  };
  mutable Mutex mutex_;
  std::map<std::string, Entry> entries_ TRIBUTARY_GUARDED_BY(mutex_);
};

}  // namespace tributary::server
