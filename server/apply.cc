#include "server/apply.h"

#include <algorithm>

namespace tributary::server {
namespace {

// Applies one event to a campaign that is there.
class Application {
 public:
  Application(Campaign& campaign, Timestamp at, std::int64_t entry)
      : campaign_(campaign), at_(at), entry_(entry) {}

  void operator()(const SiteEnrolled&) {}
  void operator()(const CampaignSubmitted& e) {
    campaign_.id = e.campaign;
    campaign_.lead = e.lead;
    campaign_.submitted_at = at_;
    campaign_.versions.push_back({0, e.initial_digest, e.initial_bytes, at_, {}, {}, {}});
    Read(e.yaml);
    campaign_.rules = e.rules;
    campaign_.agreed_rounds = campaign_.file.pacing.rounds;
    for (const std::string& site : campaign_.file.sites) campaign_.answers[site] = SiteAnswer{};
  }
  void operator()(const CampaignAnswered& e) {
    const auto kind = e.accepted ? SiteAnswer::Kind::kAccepted : SiteAnswer::Kind::kRefused;
    campaign_.answers[e.site] = {kind, e.reason};
  }
  void operator()(const CampaignPaused& e) { Pause("paused by " + e.by); }
  void operator()(const CampaignResumed&) {
    campaign_.paused = false;
    campaign_.note.clear();
    campaign_.versions.back().damage.clear();  // its next use tells
  }
  void operator()(const CampaignChanged& e) {
    for (const std::string& site : e.drop) {
      campaign_.answers[site] = {SiteAnswer::Kind::kDropped, "by " + e.by};
    }
    if (e.start) campaign_.deadline_passed = true;
  }
  void operator()(const CampaignCancelled& e) {
    campaign_.phase = CampaignPhase::kCancelled;
    campaign_.paused = false;
    campaign_.note = "cancelled by " + e.by;
    campaign_.ended_at = at_;
  }
  void operator()(const UpdateAccepted& e) {
    Task* task = Find(e.task);
    if (task == nullptr) return;
    SetPhase(task, TaskPhase::kAccepted);
    task->facts = e.facts;
    task->facts.statement_hex.clear();
    task->facts.signature_hex.clear();
    Round* round = FindRound(task->round);
    if (task->kind != TaskKind::kEvaluate || round == nullptr || round->past) return;
    for (const auto& [name, value] : e.facts.metrics) {
      round->metrics[task->site + "/" + name] = value;
    }
  }
  void operator()(const TaskFailed& e) { Settle(e.task, TaskPhase::kFailed, e.reason); }
  void operator()(const VersionPublished& e) {
    campaign_.versions.push_back({static_cast<std::int64_t>(campaign_.versions.size()), e.digest,
                                  e.bytes, at_, e.state, e.numbers, e.merged});
  }
  void operator()(const AggregationFailed&) {
    if (campaign_.rounds.empty()) return;
    campaign_.rounds.back().fold_tries = 0;
    campaign_.rounds.back().fold_failed = true;
  }
  void operator()(const AggregationTried& e) {
    if (!campaign_.rounds.empty()) campaign_.rounds.back().fold_tries = e.tries;
  }
  void operator()(const UpdateDamaged& e) {
    Settle(e.task, TaskPhase::kFailed, e.reason);
    if (campaign_.rounds.empty()) return;
    campaign_.rounds.back().fold_tries = 0;
    campaign_.rounds.back().counted.clear();
    ++campaign_.rounds.back().damaged;
  }
  void operator()(const VersionDamaged& e) { Damage(e.version, e.reason); }
  void operator()(const VersionRestored& e) { Damage(e.version, ""); }
  void operator()(const DeadlinePassed&) { campaign_.deadline_passed = true; }

  void operator()(const PhaseStarted& e) {
    campaign_.phase = e.phase;
    campaign_.deadline = e.deadline;
    campaign_.deadline_passed = false;
    if (campaign_.ended()) {
      campaign_.note.clear();
      campaign_.ended_at = at_;
    }
  }
  void operator()(const CampaignNoted& e) { campaign_.note = e.note; }
  void operator()(const CampaignHeld& e) { Pause(e.note); }
  void operator()(const CampaignRevised& e) { Read(e.yaml); }
  void operator()(const RoundOpened& e) {
    campaign_.note.clear();
    Round& round = campaign_.rounds.emplace_back();
    round.number = e.round;
    round.opened_at = at_;
    round.entry = entry_;
    for (const Task& task : e.carried) Carry(task, e.round);
    for (const Task& task : e.tasks) Give(task);
  }
  void operator()(const TasksGiven& e) {
    for (const Task& task : e.tasks) Give(task);
  }
  void operator()(const TaskSettled& e) { Settle(e.task, e.phase, e.reason); }
  void operator()(const RoundClosed& e) {
    Round* round = FindRound(e.round);
    if (round == nullptr) return;
    round->counted = e.counted;
    ++round->closings;
  }
  void operator()(const RoundReopened& e) {
    Round* round = FindRound(e.round);
    if (round == nullptr) return;
    round->left_out.insert(e.without.begin(), e.without.end());
    round->counted.clear();
    round->fold_tries = 0;
    round->fold_failed = false;
    campaign_.phase = CampaignPhase::kTraining;
  }
  void operator()(const FoldRequested& e) {
    Round* round = FindRound(e.round);
    if (round == nullptr) return;
    round->fold_tries = 0;
    round->fold_failed = false;
  }
  void operator()(const RoundFinished& e) {
    Round* round = FindRound(e.round);
    if (round == nullptr) return;
    round->closed_at = at_;
    round->mean_loss = e.mean_loss;
  }

 private:
  Task* Find(const std::string& id) {
    const auto it = campaign_.tasks.find(id);
    return it == campaign_.tasks.end() ? nullptr : &it->second;
  }
  Round* FindRound(std::int64_t number) {
    const bool there = number >= 1 && number <= static_cast<std::int64_t>(campaign_.rounds.size());
    return there ? &campaign_.rounds[static_cast<std::size_t>(number - 1)] : nullptr;
  }
  void Pause(const std::string& note) {
    campaign_.paused = true;
    campaign_.note = note;
  }
  void Settle(const std::string& id, TaskPhase phase, const std::string& reason) {
    Task* task = Find(id);
    if (task == nullptr) return;
    SetPhase(task, phase);
    task->reason = reason;
  }
  void SetPhase(Task* task, TaskPhase phase) {
    if (task->phase == TaskPhase::kOutstanding) {
      const auto open = campaign_.outstanding.find(task->site);
      if (open != campaign_.outstanding.end() && open->second.erase(task->id) > 0 &&
          open->second.empty()) {
        campaign_.outstanding.erase(open);
      }
      Round* round = FindRound(task->counts_in());
      if (task->kind == TaskKind::kTrain && round != nullptr) --round->waiting;
    }
    task->phase = phase;
  }
  void Damage(std::int64_t version, const std::string& reason) {
    if (version < 0 || version >= static_cast<std::int64_t>(campaign_.versions.size())) return;
    campaign_.versions[static_cast<std::size_t>(version)].damage = reason;
  }
  void Give(const Task& task) {
    Round* round = FindRound(task.round);
    if (round == nullptr || !campaign_.tasks.emplace(task.id, task).second) return;
    campaign_.outstanding[task.site].insert(task.id);
    if (task.kind == TaskKind::kTrain) AddTo(round, task);
  }
  // From the round that waited for it to this one. Where past rounds are folded from the middle of
  // a journal it is not known before.
  void Carry(const Task& carried, std::int64_t to) {
    Round* round = FindRound(to);
    if (round == nullptr) return;
    const auto [it, is_new] = campaign_.tasks.emplace(carried.id, carried);
    Task& task = it->second;
    if (!is_new) TakeOutOfRound(&campaign_, task);
    task.carried_to = to;
    if (task.phase == TaskPhase::kOutstanding) campaign_.outstanding[task.site].insert(task.id);
    AddTo(round, task);
  }
  static void AddTo(Round* round, const Task& task) {
    if (task.phase == TaskPhase::kOutstanding) ++round->waiting;
    const auto place = std::lower_bound(round->sites.begin(), round->sites.end(), task.site);
    if (place == round->sites.end() || *place != task.site) round->sites.insert(place, task.site);
    round->tasks[task.site] = task.id;
  }
  // It was valid when it was journaled, whatever is asked of such files today.
  void Read(const std::string& yaml) {
    campaign_.yaml = yaml;
    campaign_.file = CampaignFile();
    (void)LoadRecordedYaml(yaml, &campaign_.file);
  }

  Campaign& campaign_;
  const Timestamp at_;
  const std::int64_t entry_;
};

}  // namespace

void Apply(State* state, const Event& event, Timestamp at, std::int64_t entry) {
  if (const auto* enrolled = std::get_if<SiteEnrolled>(&event)) {
    state->sites[enrolled->site] = {enrolled->site, enrolled->certificate_fingerprint, at};
    return;
  }
  const std::string id = CampaignOf(event);
  if (std::holds_alternative<CampaignSubmitted>(event)) state->campaigns[id] = Campaign();
  const auto campaign = state->campaigns.find(id);
  if (campaign != state->campaigns.end()) {
    std::visit(Application(campaign->second, at, entry), event);
  }
}

}  // namespace tributary::server
