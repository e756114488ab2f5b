// What a site signs: any bytes at all, by a key that the federation trusts.
#include <cmath>

#include "security/pki.h"
#include "security/signature.h"
#include "server/engine.h"
#include "server/event_codec.h"
#include "server/report_check.h"
#include "tests/core/test_files.h"
#include "tests/fuzz/fuzz_targets.h"

namespace tributary {
namespace {

using server::Event;

// A server's view of one site with one open train task and one open evaluation.
class Scene {
 public:
  static const Scene& Get() {
    static const Scene scene;
    return scene;
  }

  // The outcome for these signed bytes as a report on one of the tasks.
  void Judge(const std::string& id, std::string_view statement) const {
    v1::TaskReport report;
    report.set_task(id);
    report.set_statement(std::string(statement));
    report.set_signature(*security::Sign(key_, statement));
    const server::Task& task = *state_.FindTask(id);
    const auto outcome = server::CheckReport(report, "a", certificate_, {task, global_}, *blobs_);
    Require(outcome.ok(), "a healthy server judges every report");
    if (std::holds_alternative<server::Resend>(*outcome)) return;
    const Event& event = std::get<Event>(*outcome);
    const Status status = server::Check(state_, event);
    Require(status.ok(), "the engine takes every verdict: " + status.ToString());
    const auto decoded = server::DecodeEvent(server::EncodeEvent(event));
    Require(decoded.ok(), "the journal reads every verdict back: " + decoded.status().ToString());
    Require(server::EncodeEvent(*decoded) == server::EncodeEvent(event), "and reads the same");
  }

  const Digest& update() const { return update_; }
  const Digest& broken() const { return broken_; }
  const Digest& global() const { return global_; }

 private:
  Scene() {
    const security::Validity validity =
        security::ValidFrom(SystemClock().Now(), std::chrono::hours(240));
    const auto authority = security::CreateCertificateAuthority("fuzz", validity);
    certificate_ =
        *security::IssueMemberCertificate(*authority, *security::MakeCertificateRequest(key_),
                                          {"fuzz", security::Role::kSite, "a"}, validity);
    blobs_.emplace(std::move(BlobStore::Open(directory_.path())).value());
    global_ = Blob({{"w", {1, 2}}});
    update_ = Blob({{"w", {0.5F, -0.5F}}});
    broken_ = Blob({{"w", {std::nanf(""), 0}}});
    Do(server::SiteEnrolled{"a", ""});
    Do(server::CampaignSubmitted{
        "c", "lena",
        "name: c\nmodel: {name: m}\ndata: {train: t, evaluate: [h]}\nsites: [a]\n"
        "pacing: {rounds: 2}\n",
        global_, 1});
    Do(server::CampaignAnswered{"c", "a", true, ""});
    server::ReportFacts facts;
    facts.digest = update_;
    Do(server::UpdateAccepted{"c.r1.a.t1", facts});
    Do(server::VersionPublished{"c", 1, global_, 1});  // opens c.r1.a.e1 and c.r2.a.t1
  }
  Digest Blob(const std::vector<NamedFloats>& tensors) {
    const Digest digest = WriteFloats(directory_ / "blob", tensors);
    Require(blobs_->Adopt(directory_ / "blob", digest).ok(), "a blob is stored");
    return digest;
  }
  void Do(const Event& event) {
    Require(server::Check(state_, event).ok(), "the scene is possible");
    state_ = server::Step(std::move(state_), event, Timestamp{}).state;
  }

  const TestDirectory directory_;
  const security::PrivateKey key_ = std::move(security::PrivateKey::Generate()).value();
  std::string certificate_;
  std::optional<BlobStore> blobs_;
  Digest global_, update_, broken_;
  server::State state_;
};

v1::Statement ValidStatement(bool train) {
  v1::Statement statement;
  statement.set_task(train ? "c.r2.a.t1" : "c.r1.a.e1");
  statement.set_campaign("c");
  statement.set_site("a");
  statement.set_global_version(1);
  statement.set_kind(train ? v1::TASK_KIND_TRAIN : v1::TASK_KIND_EVALUATE);
  statement.set_outcome(v1::OUTCOME_COMPLETE);
  statement.set_samples(3);
  statement.set_tokens(30);
  statement.set_steps(2);
  statement.set_loss_first(2);
  statement.set_loss_last(1);
  if (train) statement.set_digest(Scene::Get().update().ToHex());
  (*statement.mutable_metrics())["loss/h"] = 1.5;
  return statement;
}

}  // namespace

void FuzzStatement(std::string_view bytes) {
  const Scene& scene = Scene::Get();
  scene.Judge("c.r2.a.t1", bytes);
  scene.Judge("c.r1.a.e1", bytes);
}

std::vector<std::string> StatementSeeds() {
  std::vector<std::string> seeds = {"", "\x08\x01", "not a message"};
  for (const bool train : {true, false}) {
    v1::Statement statement = ValidStatement(train);
    const auto add = [&](auto&& change) {
      v1::Statement changed = statement;
      change(changed);
      seeds.push_back(changed.SerializeAsString());
    };
    add([](v1::Statement&) {});
    add([](v1::Statement& s) { s.set_outcome(v1::OUTCOME_PARTIAL); });
    add([](v1::Statement& s) { s.set_outcome(v1::OUTCOME_FAILED), s.set_message("broke"); });
    add([](v1::Statement& s) { s.set_outcome(v1::OUTCOME_UNSPECIFIED); });
    add([](v1::Statement& s) { s.set_digest(Scene::Get().broken().ToHex()); });
    add([](v1::Statement& s) { s.set_digest(Digest{}.ToHex()); });
    add([](v1::Statement& s) { s.set_digest("nonsense"); });
    add([](v1::Statement& s) { s.set_tokens(-1); });
    add([](v1::Statement& s) { s.set_samples(-1); });
    add([](v1::Statement& s) { s.set_steps(INT64_MIN); });
    add([](v1::Statement& s) { s.set_bytes(UINT64_MAX); });
    add([](v1::Statement& s) { s.set_loss_last(std::nan("")); });
    add([](v1::Statement& s) { s.set_queue_seconds(HUGE_VAL); });
    add([](v1::Statement& s) { (*s.mutable_metrics())["x"] = -HUGE_VAL; });
    add([](v1::Statement& s) { s.set_global_version(0); });
    add([](v1::Statement& s) { s.set_message("line\nbreak \x01"); });
  }
  return seeds;
}

}  // namespace tributary
