// Thousands of generated histories of the campaign engine: whatever happens, in whatever order, it
// keeps its promises, and a restart loses nothing. Everything follows from the seed in the failure
// message.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/random.h"
#include "server/pacing.h"
#include "server/state_codec.h"
#include "tests/server/engine_harness.h"

namespace tributary::server {
namespace {

const std::vector<std::string> kSites = {"a", "b", "d"};

// Histories; a sanitizer makes each several times as long.
#ifdef TRIBUTARY_SANITIZED
constexpr std::uint64_t kHistories = 240;
#else
constexpr std::uint64_t kHistories = 1200;
#endif

class History {
 public:
  explicit History(std::uint64_t seed) : random_(seed), journaled_(seed % 2 == 1) {
    for (const std::string& site : kSites) Happen(SiteEnrolled{site, "f"});
  }

  void Run(int events) {
    for (int i = 0; i < events && !testing::Test::HasFailure(); ++i) {
      Happen(RandomEvent());
      if (random_.Below(100) == 0) Restart();
    }
  }

  // The server dies and reads its journal.
  void Restart() {
    State replayed = Replay(log_, journaled_);
    if (journaled_) {  // it may have let go of more
      Compact(&replayed, kFarFuture, /*kept_tasks=*/0);
      Compact(&state_, kFarFuture, /*kept_tasks=*/0);
    }
    ASSERT_EQ(Text(replayed), Text(state_));
    state_ = std::move(replayed);
    TakeSnapshot();
  }

  // From here on the state is one that was written down and read again.
  void TakeSnapshot() {
    auto restored = DecodeState(EncodeState(state_));
    ASSERT_TRUE(restored.ok()) << restored.status();
    ASSERT_EQ(Text(*restored), Text(state_));
    state_ = *std::move(restored);
  }

  // From wherever it is, with sites and people who do what is asked, every campaign must end.
  void Complete() {
    for (int step = 0; step < 500; ++step) {
      const auto it = std::find_if(state_.campaigns.begin(), state_.campaigns.end(),
                                   [](const auto& entry) { return !entry.second.ended(); });
      if (it == state_.campaigns.end()) return;
      Happen(HelpfulEvent(it->second));
      if (testing::Test::HasFailure()) return;
    }
    ADD_FAILURE() << "a campaign is stuck:\n" << Text(state_);
  }

  const State& state() const { return state_; }
  int refused() const { return refused_; }

 private:
  bool Chance(int percent) { return random_.Below(100) < static_cast<std::uint64_t>(percent); }
  template <class T>
  const T& Pick(const std::vector<T>& from) {
    return from[random_.Below(from.size())];
  }

  std::string RandomYaml(const std::string& name) {
    const auto sites = static_cast<std::int64_t>(1 + random_.Below(3));
    const std::int64_t selected =
        Chance(30) ? 1 + static_cast<std::int64_t>(random_.Below(sites)) : 0;
    const std::int64_t limit = selected == 0 ? sites : selected;
    const std::int64_t quorum = static_cast<std::int64_t>(random_.Below(limit + 1));
    const bool buffered = quorum > 0 && Chance(50);
    return CampaignYaml({kSites.begin(), kSites.begin() + sites},
                        std::string(buffered ? "aggregator: {kind: fedbuff}\n" : "") +
                            "pacing: {kind: " + (buffered ? "buffered" : "synchronous") +
                            ", rounds: " + std::to_string(1 + random_.Below(4)) +
                            ", sites_per_round: " + std::to_string(selected) +
                            ", quorum: " + std::to_string(quorum) +
                            ", attempts: " + std::to_string(1 + random_.Below(3)) +
                            ", deadline: " + std::to_string(random_.Below(3) * 30) +
                            "s}\nevaluation: {every: " + std::to_string(random_.Below(2)) +
                            "}\nseed: " + std::to_string(random_.Below(1000)) + "\n",
                        name);
  }

  // A task that was given out at some time, often one that is settled; sometimes none at all.
  std::string RandomTask() {
    if (known_tasks_.empty() || Chance(2)) return "c0.r9.a.t1";
    const std::size_t recent = std::min<std::size_t>(known_tasks_.size(), 6);
    const std::size_t from = Chance(80) ? known_tasks_.size() - recent : 0;
    return known_tasks_[from + random_.Below(known_tasks_.size() - from)];
  }

  ReportFacts RandomFacts() {
    ReportFacts facts;
    facts.completion = Chance(20) ? Completion::kPartial : Completion::kComplete;
    facts.digest = DigestOf(std::to_string(random_.Below(50)));
    facts.bytes = random_.Below(1000);
    facts.samples = static_cast<std::int64_t>(random_.Below(100)) - (Chance(2) ? 100 : 0);
    facts.steps = static_cast<std::int64_t>(random_.Below(100));
    facts.loss_last = random_.Unit() * 7;
    facts.metrics["loss/heldout"] = random_.Unit() / 3;
    return facts;
  }

  // Nothing more to be asked of it.
  static bool IsIn(const SiteAnswer& answer) {
    return answer.kind == SiteAnswer::Kind::kAccepted || answer.kind == SiteAnswer::Kind::kDropped;
  }

  Event RandomEvent() {
    const std::string campaign = "c" + std::to_string(random_.Below(2));
    const Campaign* known = state_.FindCampaign(campaign);
    const std::int64_t round =
        known == nullptr ? 1
                         : static_cast<std::int64_t>(known->rounds.size()) - (Chance(5) ? 1 : 0);
    if (known == nullptr || Chance(1)) {
      return CampaignSubmitted{campaign, "lena", RandomYaml(campaign), DigestOf("v0"), 1};
    }
    switch (random_.Below(20)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return CampaignAnswered{campaign, Pick(kSites), Chance(80), Chance(50) ? "" : "because"};
      case 4:
      case 5:
      case 6:
      case 7:
      case 8:
        return UpdateAccepted{RandomTask(), RandomFacts()};
      case 9:
      case 10:
        if (Chance(15)) return UpdateDamaged{RandomTask(), "rotten"};
        return TaskFailed{RandomTask(), "broke", Chance(20)};
      case 11:
      case 12:
      case 13:
      case 14:
        return VersionPublished{campaign, round, DigestOf(campaign + std::to_string(round)), 9};
      case 15:
        if (Chance(50)) {
          return AggregationTried{campaign, round, 1 + static_cast<std::int64_t>(random_.Below(4))};
        }
        return AggregationFailed{campaign, round, "disk full"};
      case 16:
        return DeadlinePassed{campaign};
      case 17:
        return Chance(50) ? Event(CampaignPaused{campaign, "lena"})
                          : Event(CampaignResumed{campaign, "lena"});
      case 18:
        if (Chance(40)) return RandomChange(campaign);
        if (Chance(30)) return CampaignResumed{campaign, "lena", {Pick(kSites)}, Chance(50)};
        return CampaignResumed{campaign, "lena", {}, Chance(20)};
      default:
        if (Chance(8)) return CampaignCancelled{campaign, "lena"};
        return SiteEnrolled{Pick(kSites), std::to_string(random_.Below(9))};
    }
  }

  Event RandomChange(const std::string& campaign) {
    CampaignChanged change{campaign, "lena"};
    if (Chance(30)) change.rounds = 1 + static_cast<std::int64_t>(random_.Below(4));
    if (Chance(30)) change.deadline_seconds = static_cast<std::int64_t>(random_.Below(3)) * 30;
    if (Chance(30)) change.drop = {Pick(kSites)};
    change.start = Chance(20);
    return change;
  }

  Event HelpfulEvent(const Campaign& campaign) {
    if (campaign.paused) {
      for (const auto& [site, answer] : campaign.answers) {
        if (!IsIn(answer)) {
          return CampaignAnswered{campaign.id, site, true, ""};
        }
      }
      return CampaignResumed{campaign.id, "lena"};
    }
    for (const auto& [site, answer] : campaign.answers) {
      if (!IsIn(answer)) {
        return CampaignAnswered{campaign.id, site, true, ""};
      }
    }
    if (campaign.phase == CampaignPhase::kAggregating) {
      return VersionPublished{campaign.id, campaign.rounds.back().number, DigestOf("next"), 9};
    }
    for (const auto& [id, task] : campaign.tasks) {
      if (task.phase == TaskPhase::kOutstanding) {
        return UpdateAccepted{id, EngineHarness::Facts(id)};
      }
    }
    return DeadlinePassed{campaign.id};
  }

  void Happen(const Event& event) {
    if (!Check(state_, event).ok()) {
      ++refused_;
      return;
    }
    now_ += std::chrono::microseconds(random_.Below(5'000'000));
    if (Chance(2)) TakeSnapshot();
    log_.push_back({now_, EncodeEvent(event)});
    if (const auto* published = std::get_if<VersionPublished>(&event)) Count(published->campaign);
    if (journaled_ && Chance(2)) Compact(&state_, kFarFuture, /*kept_tasks=*/0);
    const State before = state_;
    const std::int64_t entry = journaled_ ? static_cast<std::int64_t>(log_.size()) : 0;
    StepResult result = Step(std::move(state_), event, now_, entry);
    for (const Event& decision : result.decisions) log_.push_back({now_, EncodeEvent(decision)});
    state_ = std::move(result.state);
    if (journaled_) CompareWithOneThatForgetsNothing(event, result);
    for (const Action& action : result.actions) Obey(action);
    for (const auto& [id, campaign] : state_.campaigns) {
      const Campaign* old = before.FindCampaign(id);
      if (old != nullptr) CompareCampaigns(*old, campaign);
      CheckCampaign(campaign);
    }
  }

  // No update is part of two versions.
  void Count(const std::string& id) {
    const Campaign& campaign = state_.campaigns.at(id);
    const std::vector<const Task*> counted = CountedTasks(campaign, campaign.rounds.back());
    EXPECT_FALSE(counted.empty());
    for (const Task* task : counted) {
      EXPECT_TRUE(folded_.insert(task->id).second) << task->id << " folded twice";
      EXPECT_LE(task->base_version, campaign.versions.back().number);
    }
  }

  // What is let go of changes no decision.
  void CompareWithOneThatForgetsNothing(const Event& event, const StepResult& result) {
    StepResult full = Step(std::move(full_), event, now_, 0);
    full_ = std::move(full.state);
    EXPECT_EQ(Texts(full.actions), Texts(result.actions));
    ASSERT_EQ(full.decisions.size(), result.decisions.size());
    for (std::size_t i = 0; i < full.decisions.size(); ++i) {
      EXPECT_EQ(EncodeEvent(full.decisions[i]), EncodeEvent(result.decisions[i]));
    }
  }

  void Obey(const Action& action) {
    if (const auto* assign = std::get_if<AssignTask>(&action)) {
      EXPECT_TRUE(assigned_.insert(assign->task).second) << assign->task << " given out twice";
      known_tasks_.push_back(assign->task);
      const Task* task = state_.FindTask(assign->task);
      ASSERT_NE(task, nullptr);
      EXPECT_EQ(task->site, assign->site);
      EXPECT_EQ(task->phase, TaskPhase::kOutstanding);
    } else if (const auto* fold = std::get_if<AggregateRound>(&action)) {
      const Campaign& campaign = state_.campaigns.at(fold->campaign);
      EXPECT_EQ(campaign.phase, CampaignPhase::kAggregating);
      EXPECT_FALSE(AcceptedTasks(campaign, campaign.rounds.back()).empty()) << "nothing to fold";
    } else if (const auto* ack = std::get_if<AcknowledgeReport>(&action)) {
      EXPECT_TRUE(answered_.insert(ack->task).second) << ack->task << " counted twice";
    }
  }

  // What happened stays happened.
  static void CompareCampaigns(const Campaign& old, const Campaign& now) {
    EXPECT_GE(now.rounds.size(), old.rounds.size());
    EXPECT_LE(now.rounds.size(), old.rounds.size() + 1);
    EXPECT_GE(now.versions.size(), old.versions.size());
    if (old.ended()) {
      EXPECT_EQ(now.phase, old.phase);
    }
    for (const auto& [id, task] : old.tasks) {
      const auto it = now.tasks.find(id);
      const bool past = now.rounds[static_cast<std::size_t>(task.counts_in() - 1)].past;
      if (it == now.tasks.end() && past && task.phase != TaskPhase::kOutstanding) continue;
      ASSERT_NE(it, now.tasks.end()) << id << " vanished";
      if (task.phase != TaskPhase::kOutstanding) {
        const std::string& why = it->second.reason;
        const bool lost =
            task.phase == TaskPhase::kAccepted &&
            (why == "rotten" || why == "left out by lena" || why == "asked for again by lena");
        const bool too_late = why == "the last round closed without it";
        EXPECT_EQ(it->second.phase, too_late ? TaskPhase::kMissed
                                    : lost   ? TaskPhase::kFailed
                                             : task.phase)
            << id;
        EXPECT_EQ(it->second.facts.digest, task.facts.digest) << id;
      }
      EXPECT_EQ(it->second.seed, task.seed);
      EXPECT_EQ(it->second.base_version, task.base_version);
    }
  }

  static void CheckCampaign(const Campaign& campaign) {
    const auto closed = static_cast<std::size_t>(
        std::count_if(campaign.rounds.begin(), campaign.rounds.end(),
                      [](const Round& round) { return round.closed_at.has_value(); }));
    EXPECT_EQ(campaign.versions.size(), closed + 1);
    EXPECT_GE(closed + 1, campaign.rounds.size());  // only the last may be open
    EXPECT_LE(static_cast<std::int64_t>(campaign.rounds.size()), campaign.file.pacing.rounds);
    for (const Round& round : campaign.rounds) {
      EXPECT_EQ(round.sites.size(), round.tasks.size());
      if (round.past) continue;
      EXPECT_FALSE(round.sites.empty()) << "round " << round.number << " without sites";
      EXPECT_TRUE(std::is_sorted(round.sites.begin(), round.sites.end()));
      const auto counted = static_cast<std::int64_t>(AcceptedTasks(campaign, round).size());
      if (round.closed_at) {
        EXPECT_GE(counted, PacingOf(campaign)->LeastUpdates());
      }
    }
    Campaign indexed = campaign;  // what is kept along is what follows from the tasks
    IndexTasks(&indexed);
    EXPECT_EQ(indexed.outstanding, campaign.outstanding);
    for (std::size_t i = 0; i < campaign.rounds.size(); ++i) {
      EXPECT_EQ(indexed.rounds[i].waiting, campaign.rounds[i].waiting);
    }
    for (const auto& [id, task] : campaign.tasks) {
      const Round& round = campaign.rounds[static_cast<std::size_t>(task.counts_in() - 1)];
      const bool may_be_carried =
          PacingOf(campaign)->Carries() && &round == &campaign.rounds.back();
      if (campaign.ended()) {
        EXPECT_NE(task.phase, TaskPhase::kOutstanding) << id;
      }
      if (task.kind == TaskKind::kEvaluate || round.past) continue;
      EXPECT_EQ(task.base_version, task.round - 1);
      if (task.phase == TaskPhase::kAccepted) {  // it is the one that is folded
        EXPECT_EQ(round.tasks.at(task.site), id);
      }
      if (round.closed_at && !may_be_carried) {
        EXPECT_NE(task.phase, TaskPhase::kOutstanding) << id;
      }
      if (!PacingOf(campaign)->Carries()) {
        EXPECT_EQ(task.carried_to, 0);
      }
    }
    if (campaign.phase == CampaignPhase::kCompleted) {
      EXPECT_EQ(static_cast<std::int64_t>(campaign.versions.size()),
                campaign.file.pacing.rounds + 1);
    }
  }

  inline static const Timestamp kFarFuture = TimestampFromMicros(4'000'000'000'000'000);

  SplitMix64 random_;
  const bool journaled_;  // rounds that are past leave the state
  State state_;
  State full_;  // of a journaled history: with all of them
  Timestamp now_ = TimestampFromMicros(1'700'000'000'000'000);
  std::vector<Logged> log_;
  std::vector<std::string> known_tasks_;
  std::set<std::string> assigned_, answered_, folded_;
  int refused_ = 0;
};

TEST(EnginePropertyTest, KeepsItsPromisesInEveryHistory) {
  std::map<CampaignPhase, int> phases;
  int refused = 0;
  for (std::uint64_t seed = 0; seed < kHistories; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    History history(seed);
    history.Run(120);
    history.Restart();
    if (HasFailure()) return;
    for (const auto& [id, campaign] : history.state().campaigns) ++phases[campaign.phase];
    refused += history.refused();
  }
  // The generator reaches every phase, and the checks refuse a good part of what it makes.
  for (const CampaignPhase phase :
       {CampaignPhase::kGathering, CampaignPhase::kPlanning, CampaignPhase::kTraining,
        CampaignPhase::kAggregating, CampaignPhase::kFinishing, CampaignPhase::kCompleted,
        CampaignPhase::kCancelled}) {
    EXPECT_GT(phases[phase], 0) << CampaignPhaseName(phase);
  }
  EXPECT_GT(refused, static_cast<int>(kHistories) * 10);
}

TEST(EnginePropertyTest, EveryCampaignCanBeBroughtToAnEnd) {
  for (std::uint64_t seed = 10'000; seed < 10'000 + kHistories / 2; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    History history(seed);
    history.Run(static_cast<int>(5 + seed % 90));
    history.Complete();
    history.Restart();
    ASSERT_FALSE(HasFailure());
    for (const auto& [id, campaign] : history.state().campaigns) EXPECT_TRUE(campaign.ended());
  }
}

TEST(EnginePropertyTest, TheSameHistoryGivesTheSameState) {
  for (std::uint64_t seed = 20'000; seed < 20'010; ++seed) {
    History one(seed);
    History two(seed);
    one.Run(150);
    two.Run(150);
    EXPECT_EQ(Text(one.state()), Text(two.state())) << seed;
  }
}

}  // namespace
}  // namespace tributary::server
