#include "server/audit_stream.h"

#include <atomic>
#include <deque>

#include "server/caller.h"
#include "server/event_codec.h"

namespace tributary::server {
namespace {

// One chain of callbacks: a page is asked for, filtered, written entry by entry, and the next one
// asked for. Each link runs after the one before, so nothing but `gone_` is shared, and the chain
// alone calls Finish().
class AuditReactor final : public grpc::ServerWriteReactor<v1::AuditEntry> {
 public:
  AuditReactor(EngineRunner& runner, WorkerPool& workers, std::string campaign,
               std::shared_ptr<void> slot)
      : runner_(runner),
        workers_(workers),
        campaign_(std::move(campaign)),
        slot_(std::move(slot)) {}

  void Next() {
    if (gone_) return Finish(ToGrpc(CancelledError("the reader went away")));
    if (!entries_.empty()) return StartWrite(&entries_.front());
    runner_.ReadJournal(after_, [this](Result<std::vector<JournalEntry>> page) {
      if (!page.ok()) return Finish(ToGrpc(page.status()));
      if (page->empty()) return Finish(grpc::Status::OK);
      workers_.Submit([this, page = *std::move(page)] { Take(page); });
    });
  }

  void OnWriteDone(bool ok) override {
    if (!ok) gone_ = true;
    entries_.pop_front();
    Next();
  }
  void OnCancel() override { gone_ = true; }
  void OnDone() override { delete this; }

 private:
  void Take(const std::vector<JournalEntry>& page) {
    after_ = page.back().sequence;
    for (const JournalEntry& entry : page) {
      const auto event = DecodeEvent(entry.event_json);
      if (!event.ok()) return Finish(ToGrpc(event.status()));
      if (!campaign_.empty() && CampaignOf(*event) != campaign_) continue;
      v1::AuditEntry& out = entries_.emplace_back();
      out.set_sequence(entry.sequence);
      out.set_at_us(ToMicros(entry.at));
      out.set_event_json(entry.event_json);
    }
    Next();
  }

  EngineRunner& runner_;
  WorkerPool& workers_;
  const std::string campaign_;
  const std::shared_ptr<void> slot_;
  std::int64_t after_ = 0;
  std::deque<v1::AuditEntry> entries_;  // of the page at hand
  std::atomic<bool> gone_ = false;
};

}  // namespace

grpc::ServerWriteReactor<v1::AuditEntry>* StartAudit(EngineRunner& runner, WorkerPool& workers,
                                                     const std::string& campaign,
                                                     std::function<Status(const State&)> check,
                                                     std::shared_ptr<void> slot) {
  auto* reactor = new AuditReactor(runner, workers, campaign, std::move(slot));
  runner.Read([reactor, check = std::move(check)](const State& state) {
    if (const Status status = check(state); !status.ok()) return reactor->Finish(ToGrpc(status));
    reactor->Next();
  });
  return reactor;
}

}  // namespace tributary::server
