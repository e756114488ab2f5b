// What sites last said about their tasks under way; for people who watch, never durable.
#pragma once

#include <map>
#include <set>
#include <string>

#include "core/mutex.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::server {

// Thread-safe. Each site has its own bound, so that none can take another's place.
class ProgressBoard {
 public:
  // Checked (message_check.h). A site with too many entries loses one of its own.
  void Put(const std::string& site, v1::TaskProgress progress);
  void Erase(const std::string& site, const std::string& task);
  // Of the tasks of one campaign, by ProgressKey().
  std::map<std::string, v1::TaskProgress> Of(const std::string& campaign) const;
  // Of which the site has said something.
  std::set<std::string> TasksOf(const std::string& site) const;
  // Whether something was put since the last call.
  bool TakeChanged();

 private:
  mutable Mutex mutex_;
  std::map<std::string, std::map<std::string, v1::TaskProgress>> sites_
      TRIBUTARY_GUARDED_BY(mutex_);
  bool changed_ TRIBUTARY_GUARDED_BY(mutex_) = false;
};

// A site can speak of its own tasks only.
std::string ProgressKey(const std::string& site, const std::string& task);

}  // namespace tributary::server
