#include "server/campaign_history.h"

#include <algorithm>
#include <optional>

#include "core/catch_all.h"
#include "core/log.h"
#include "server/engine.h"
#include "server/wire.h"

namespace tributary::server {
namespace {

constexpr std::size_t kMostDescriptions = 64;  // that wait
constexpr std::size_t kMostQuestions = 64;     // of one site
constexpr std::int64_t kPage = 10'000;         // contributions of rounds that are past, or so

// The rounds that are read, at most a page of them.
RoundRange PageOf(const Campaign& campaign, RoundRange range) {
  const auto last = static_cast<std::int64_t>(campaign.rounds.size());
  if (range.to == 0) range.to = INT64_MAX;  // also what opens meanwhile
  const auto sites = std::max<std::int64_t>(static_cast<std::int64_t>(campaign.answers.size()), 1);
  const std::int64_t rounds = std::max<std::int64_t>(kPage / sites, 1);
  range.from = std::max({range.from, std::int64_t{1}, std::min(range.to, last) - rounds + 1});
  return range;
}

// What is to be read of the rounds in `range`, where one of them is past: from the first one that
// the journal has from its beginning, which may become past meanwhile, to the last that is past.
RoundRange PastOf(const Campaign& campaign, RoundRange range) {
  RoundRange past{0, -1};
  const auto last = static_cast<std::int64_t>(campaign.rounds.size());
  for (std::int64_t number = range.from; number <= std::min(range.to, last); ++number) {
    const Round& round = campaign.rounds[static_cast<std::size_t>(number - 1)];
    if (past.from == 0 && round.entry > 0) past.from = number;
    if (round.past) past.to = number;
  }
  return past;
}

}  // namespace

void CampaignHistory::Read(const Campaign& campaign, RoundRange range, const std::string& task,
                           std::function<void(Status, const PastRounds&)> done) {
  auto rounds = std::make_shared<PastRounds>(campaign.id, range.from, range.to, task);
  const std::int64_t entry = campaign.rounds[static_cast<std::size_t>(range.from - 1)].entry;
  ReadPastRounds(*runner_, readers_, entry, rounds, stop_,
                 [rounds, done = std::move(done)](const Status& status) { done(status, *rounds); });
}

void CampaignHistory::Describe(const State& state, const std::string& campaign, RoundRange range,
                               Described done, std::function<bool()> wanted) {
  const RoundRange page = PageOf(state.campaigns.at(campaign), range);
  auto what = std::make_shared<Description>(
      Description{campaign, page, std::move(done), std::move(wanted), {}, page.from - 1});
  const RoundRange past = PastOf(state.campaigns.at(campaign), page);
  if (past.from > past.to) return Continue(state, what);
  if (waiting_.size() >= kMostDescriptions) {
    return what->done(
        ResourceExhaustedError("too many people ask for a history now; try again soon"), state);
  }
  waiting_.push_back(std::move(what));
  if (!reading_) NextDescription(state);
}

void CampaignHistory::NextDescription(const State& state) {
  reading_ = !waiting_.empty();
  if (!reading_) return;
  const auto next = std::move(waiting_.front());
  waiting_.pop_front();
  next->done = [this, done = std::move(next->done)](Result<v1::CampaignStatus> status,
                                                    const State& now) {
    done(std::move(status), now);
    NextDescription(now);
  };
  if (next->wanted && !next->wanted()) return next->done(CancelledError("nobody waits"), state);
  Continue(state, next);
}

// Rounds may have become past while others were read: then those are read too.
void CampaignHistory::Continue(const State& state, const std::shared_ptr<Description>& what) {
  const Campaign& campaign = state.campaigns.at(what->campaign);
  RoundRange past = PastOf(campaign, what->range);
  past.from = std::max(past.from, what->read_to + 1);
  if (past.from <= past.to) {
    return Read(campaign, past, "",
                [this, what, to = past.to](const Status& read, const PastRounds& rounds) {
                  const Status status = CatchAll("the history of a campaign", [&] {
                    TRIBUTARY_RETURN_IF_ERROR(read);
                    for (v1::RoundStatus& round : ToRounds(rounds.campaign())) {
                      what->past.push_back(std::move(round));
                    }
                    what->read_to = to;
                    return OkStatus();
                  });
                  runner_->Read([this, what, status](const State& now) {
                    if (!status.ok()) return what->done(status, now);
                    Continue(now, what);
                  });
                });
  }
  v1::CampaignStatus status = status_of_(campaign);
  std::vector<v1::RoundStatus> rounds = std::move(what->past);
  const std::int64_t begin = rounds.empty() ? 0 : rounds.front().round();
  const std::int64_t end = rounds.empty() ? 0 : rounds.back().round();
  for (v1::RoundStatus& round : *status.mutable_round_history()) {
    const std::int64_t number = round.round();
    const bool wanted = number >= what->range.from && number <= what->range.to;
    if (wanted && (number < begin || number > end)) rounds.push_back(std::move(round));
  }
  std::sort(rounds.begin(), rounds.end(),
            [](const auto& a, const auto& b) { return a.round() < b.round(); });
  SetHistory(std::move(rounds), &status);
  what->done(std::move(status), state);
}

void CampaignHistory::Judge(const State& state, const std::string& site, const std::string& task,
                            Judged done) {
  if (!IsTaskOf(task, site)) return done(*VerdictOn(nullptr, site, task), state);
  std::deque<Question>& asked = questions_[site];
  const bool known = std::any_of(asked.begin(), asked.end(),
                                 [&](const Question& question) { return question.task == task; });
  if (known || asked.size() >= kMostQuestions) return;
  asked.push_back({task, std::move(done)});
  if (!answering_) AnswerNext(state);
}

CampaignHistory::Question CampaignHistory::TakeQuestion(const std::string& site) {
  std::deque<Question>& asked = questions_.at(site);
  Question question = std::move(asked.front());
  asked.pop_front();
  if (asked.empty()) questions_.erase(site);
  return question;
}

void CampaignHistory::AnswerNext(const State& state) {
  answering_ = !questions_.empty();
  if (!answering_) return;
  auto turn = questions_.upper_bound(answered_);
  if (turn == questions_.end()) turn = questions_.begin();
  const std::string site = answered_ = turn->first;
  const std::string task = turn->second.front().task;
  const auto next = [this] { runner_->Read([this](const State& now) { AnswerNext(now); }); };
  const auto answer = [this, site, next](const Task* found, const State& now) {
    const Question question = TakeQuestion(site);
    if (const auto verdict = VerdictOn(found, site, question.task)) question.done(*verdict, now);
    next();
  };
  const auto round = PastRoundOf(state, task);
  if (!round) return answer(state.FindTask(task), state);
  const Campaign& campaign = state.campaigns.at(task.substr(0, task.find('.')));
  if (!MayExist(campaign, task, site)) return answer(nullptr, state);
  Read(campaign, {*round, *round}, task,
       [this, site, task, answer, next](const Status& status, const PastRounds& rounds) {
         std::optional<Task> found;
         const auto it = rounds.campaign().tasks.find(task);
         if (it != rounds.campaign().tasks.end()) found = it->second;
         runner_->Read([this, site, status, found, answer, next](const State& now) {
           if (status.ok()) return answer(found ? &*found : nullptr, now);
           log_limit_.Log("unread", LogLevel::kWarning, "engine", "a past round cannot be read",
                          {{"reason", status}});
           TakeQuestion(site);  // it asks again
           next();
         });
       });
}

}  // namespace tributary::server
