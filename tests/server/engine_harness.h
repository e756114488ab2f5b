// Drives the campaign engine by hand: events in, actions out as short texts, the state as text.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/apply.h"
#include "server/engine.h"
#include "server/event_codec.h"

namespace tributary::server {

inline Digest DigestOf(const std::string& what) { return Sha256Of(what); }
// As the text of an action names the blob.
inline std::string Short(const std::string& blob) { return DigestOf(blob).ToHex().substr(0, 8); }

inline std::string Join(const std::vector<std::string>& items, const char* separator) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "" : separator) + item;
  return text;
}

// Campaign "c" of these sites, evaluated on "heldout"; `more` is YAML.
inline std::string CampaignYaml(const std::vector<std::string>& sites,
                                const std::string& more = "pacing: {rounds: 2}\n",
                                const std::string& name = "c") {
  return "name: " + name +
         "\nmodel: {name: base}\ndata: {train: t, evaluate: [heldout]}\nsites: [" +
         Join(sites, ", ") + "]\n" + more;
}

inline std::string Text(const Action& action) {
  struct Visitor {
    std::string operator()(const OfferCampaign& a) { return "offer " + a.site + " " + a.campaign; }
    std::string operator()(const CloseCampaign& a) { return "close " + a.site + " " + a.campaign; }
    std::string operator()(const AssignTask& a) { return "assign " + a.site + " " + a.task; }
    std::string operator()(const CancelTask& a) {
      return "cancel " + a.site + " " + a.task + ": " + a.reason;
    }
    std::string operator()(const AcknowledgeReport& a) {
      return "ack " + a.site + " " + a.task + (a.accepted ? " ok" : " no: " + a.reason);
    }
    std::string operator()(const AggregateRound& a) {
      return "aggregate " + a.campaign + " " + std::to_string(a.round);
    }
    std::string operator()(const GiveUpRound& a) {
      return "give up " + a.campaign + " " + std::to_string(a.round) + ": " + a.reason;
    }
    std::string operator()(const RemoveBlobs& a) {
      std::string text = "remove";
      for (const Digest& digest : a.digests) text += " " + digest.ToHex().substr(0, 8);
      return text;
    }
  };
  return std::visit(Visitor{}, action);
}

inline std::vector<std::string> Texts(const std::vector<Action>& actions) {
  std::vector<std::string> texts;
  for (const Action& action : actions) texts.push_back(Text(action));
  return texts;
}

inline std::string Text(const std::optional<Timestamp>& time) {
  return time ? FormatTimestamp(*time) : "-";
}

inline std::string Text(const Task& task) {
  return task.id + " " + task.site + " " + std::to_string(static_cast<int>(task.kind)) + " r" +
         std::to_string(task.round) + " in " + std::to_string(task.counts_in()) + " a" +
         std::to_string(task.attempt) + " tries " + std::to_string(task.tries) + " after " +
         std::to_string(task.delay.count()) + " v" + std::to_string(task.base_version) + " seed " +
         std::to_string(task.seed) + " steps " + std::to_string(task.steps) + " scale " +
         std::to_string(task.learning_rate_scale) + " phase " +
         std::to_string(static_cast<int>(task.phase)) + " (" + task.reason + ") " +
         EncodeEvent(UpdateAccepted{task.id, task.facts});
}

// Everything in the state: two states of the same text are the same.
inline std::string Text(const State& state) {
  std::string text;
  const auto line = [&](const std::vector<std::string>& words) { text += Join(words, " ") + "\n"; };
  for (const auto& [name, member] : state.sites) {
    line({name, member.certificate_fingerprint, FormatTimestamp(member.enrolled_at)});
  }
  for (const auto& [id, campaign] : state.campaigns) {
    line({id, campaign.lead, PrintYaml(campaign.file), campaign.yaml,
          std::string(CampaignPhaseName(campaign.phase)), campaign.paused ? "paused" : "live",
          campaign.note, FormatTimestamp(campaign.submitted_at), Text(campaign.ended_at),
          Text(campaign.deadline), campaign.deadline_passed ? "passed" : "runs",
          std::to_string(campaign.rules), std::to_string(campaign.agreed_rounds)});
    for (const auto& [site, answer] : campaign.answers) {
      line({site, std::to_string(static_cast<int>(answer.kind)), answer.reason});
    }
    for (const Version& version : campaign.versions) {
      line({std::to_string(version.number), version.digest.ToHex(), std::to_string(version.bytes),
            FormatTimestamp(version.published_at), version.damage});
    }
    for (const Round& round : campaign.rounds) {
      line({std::to_string(round.number), FormatTimestamp(round.opened_at), Text(round.closed_at),
            Join(round.sites, ","), std::to_string(round.mean_loss),
            std::to_string(round.fold_tries), std::to_string(round.damaged),
            round.fold_failed ? "failed" : "-", round.past ? "past" : "-",
            std::to_string(round.entry), std::to_string(round.waiting),
            Join({round.left_out.begin(), round.left_out.end()}, ","), Join(round.counted, ","),
            std::to_string(round.closings)});
      for (const auto& [site, task] : round.tasks) line({site, task});
      for (const auto& [name, value] : round.metrics) line({name, std::to_string(value)});
    }
    for (const auto& [task_id, task] : campaign.tasks) line({Text(task)});
    for (const auto& [site, open] : campaign.outstanding) {
      line({site, "owes", Join({open.begin(), open.end()}, ",")});
    }
  }
  return text;
}

struct Logged {
  Timestamp at;
  std::string event;
};

// The first of the deadlines that run.
inline std::optional<std::pair<Timestamp, std::string>> NextDeadline(const State& state) {
  std::optional<std::pair<Timestamp, std::string>> next;
  for (const auto& [id, deadline] : Deadlines(state)) {
    if (!next || deadline < next->first) next.emplace(deadline, id);
  }
  return next;
}

// As the first format had it, before there were numbers and decisions in a journal.
inline std::string InFirstFormat(const Event& event) {
  std::string text = EncodeEvent(event);
  const std::string format = ",\"v\":2";
  text.erase(text.find(format), format.size());
  return text;
}

// Folds a log as a server that restarts does: what was decided is in it, and is not decided again;
// but for entries of the first format.
inline State Replay(const std::vector<Logged>& log, bool journaled = false) {
  State state;
  std::int64_t number = 0;
  for (const Logged& entry : log) {
    number += journaled ? 1 : 0;
    const auto recorded = DecodeRecord(entry.event);
    EXPECT_TRUE(recorded.ok()) << recorded.status() << " " << entry.event;
    if (!recorded.ok()) return state;
    if (recorded->format == 1) {
      state = Step(std::move(state), recorded->event, entry.at).state;
    } else {
      Apply(&state, recorded->event, entry.at, number);
    }
  }
  return state;
}

// A server's engine without the server: what it does to events, in a time that moves by hand.
class EngineHarness {
 public:
  // Checks and applies the event; the actions as texts.
  std::vector<std::string> Do(const Event& event) {
    const Status status = Check(state, event);
    EXPECT_TRUE(status.ok()) << status << " " << EncodeEvent(event);
    if (!status.ok()) return {};
    now += std::chrono::seconds(1);
    log.push_back({now, EncodeEvent(event)});
    StepResult result =
        Step(std::move(state), event, now, journaled ? static_cast<std::int64_t>(log.size()) : 0);
    for (const Event& decision : result.decisions) log.push_back({now, EncodeEvent(decision)});
    state = std::move(result.state);
    last_actions = std::move(result.actions);
    return Texts(last_actions);
  }
  Status Try(const Event& event) const { return Check(state, event); }

  // Enrolls the sites and submits campaign "c".
  std::vector<std::string> Submit(const std::vector<std::string>& sites,
                                  const std::string& more = "pacing: {rounds: 2}\n") {
    for (const std::string& site : sites) Do(SiteEnrolled{site, "SHA256:" + site});
    return Do(CampaignSubmitted{"c", "lena", CampaignYaml(sites, more), DigestOf("v0"), 100});
  }
  // Submits, and every site accepts.
  void Start(const std::vector<std::string>& sites,
             const std::string& more = "pacing: {rounds: 2}\n") {
    Submit(sites, more);
    for (const std::string& site : sites) Answer(site, true);
  }
  std::vector<std::string> Answer(const std::string& site, bool accepted,
                                  const std::string& reason = "") {
    return Do(CampaignAnswered{"c", site, accepted, reason});
  }
  static ReportFacts Facts(const std::string& task) {
    ReportFacts facts;
    facts.digest = DigestOf(task);
    facts.bytes = 10;
    facts.samples = 4;
    facts.tokens = 40;
    facts.steps = 2;
    facts.loss_first = 3;
    facts.loss_last = 2;
    return facts;
  }
  std::vector<std::string> Update(const std::string& task) {
    return Do(UpdateAccepted{task, Facts(task)});
  }
  std::vector<std::string> Evaluation(const std::string& task, double loss) {
    ReportFacts facts;
    facts.metrics = {{"loss/heldout", loss}};
    return Do(UpdateAccepted{task, facts});
  }
  std::vector<std::string> Fail(const std::string& task, const std::string& reason = "broke") {
    return Do(TaskFailed{task, reason});
  }
  std::vector<std::string> Refuse(const std::string& task) {
    return Do(TaskFailed{task, "refused: not finite", true});
  }
  std::vector<std::string> Publish(std::int64_t round) {
    return Do(VersionPublished{"c", round, DigestOf("v" + std::to_string(round)), 100});
  }

  const Campaign& campaign() const { return state.campaigns.at("c"); }
  CampaignPhase phase() const { return campaign().phase; }
  const Task& task(const std::string& id) const { return campaign().tasks.at(id); }

  State state;
  bool journaled = false;  // rounds know their entries, and are let go of
  Timestamp now = TimestampFromMicros(1'700'000'000'000'000);
  std::vector<Logged> log;
  std::vector<Action> last_actions;
};

}  // namespace tributary::server
