#include "tests/bench/engine_benchmark.h"

#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/child_process.h"
#include "core/clock.h"
#include "core/files.h"
#include "core/json.h"
#include "core/mutex.h"
#include "core/sha256.h"
#include "server/engine_runner.h"
#include "server/past_rounds.h"
#include "server/wire.h"

namespace tributary::bench {
namespace {

using nlohmann::json;
using server::Campaign;
using server::EngineRunner;
using server::State;

constexpr const char* kCampaign = "long";
constexpr std::size_t kStatementBytes = 700;  // as a site signs, with ten metrics
constexpr std::int64_t kPageRounds = 20;

using Moment = std::chrono::steady_clock::time_point;
double SecondsSince(Moment begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

std::int64_t PeakKilobytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

std::string SiteName(std::int64_t index) {
  std::string digits = std::to_string(index);
  return "site-" + std::string(5 - std::min<std::size_t>(digits.size(), 4), '0') + digits;
}

server::UpdateAccepted UpdateOf(const std::string& task, std::int64_t number) {
  server::UpdateAccepted event{task, {}};
  event.facts.digest = Sha256Of(task);
  event.facts.bytes = 54'400'000;
  event.facts.samples = 1000 + number;
  event.facts.tokens = 512'000;
  event.facts.steps = 100;
  event.facts.learning_rate_sum = 0.01;
  event.facts.loss_first = 2.5;
  event.facts.loss_last = 2.25;
  event.facts.queue_seconds = 1234.5;
  event.facts.startup_seconds = 30;
  event.facts.compute_seconds = 600;
  event.facts.transfer_seconds = 3;
  event.facts.device = "cuda, NVIDIA H100 80GB HBM3";
  event.facts.peak_memory_bytes = std::int64_t{61} << 30;
  event.facts.statement_hex = std::string(2 * kStatementBytes, 'a');
  event.facts.signature_hex = std::string(144, 'b');
  return event;
}

// Knows when a round waits to be folded.
class FoldWatch final : public server::ActionSink {
 public:
  void Perform(const server::Action& action, const State&) override {
    const auto* fold = std::get_if<server::AggregateRound>(&action);
    if (fold == nullptr) return;
    MutexLock lock(mutex_);
    round_ = fold->round;
    changed_.NotifyAll();
  }
  void Tick(const State&, bool) override {}
  void Await(std::int64_t round) {
    MutexLock lock(mutex_);
    while (round_ < round) changed_.Wait(mutex_);
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::int64_t round_ TRIBUTARY_GUARDED_BY(mutex_) = 0;
};

Status Post(EngineRunner& runner, const server::Event& event) {
  std::promise<Status> outcome;
  runner.Post(event, [&](const Status& status) { outcome.set_value(status); });
  return outcome.get_future().get();
}

State StateOf(EngineRunner& runner) {
  std::promise<State> state;
  runner.Read([&](const State& now) { state.set_value(now); });
  return state.get_future().get();
}

Status BeginCampaign(EngineRunner& runner, const EngineOptions& options) {
  std::string sites;
  for (std::int64_t i = 0; i < options.sites; ++i) {
    TRIBUTARY_RETURN_IF_ERROR(Post(runner, server::SiteEnrolled{SiteName(i), "SHA256:x"}));
    sites += (i == 0 ? "" : ", ") + SiteName(i);
  }
  const std::string yaml = "name: " + std::string(kCampaign) +
                           "\nmodel: {name: base}\ndata: {train: t}\nsites: [" + sites +
                           "]\npacing: {rounds: " + std::to_string(options.rounds + 1) + "}\n";
  TRIBUTARY_RETURN_IF_ERROR(
      Post(runner, server::CampaignSubmitted{kCampaign, "lead", yaml, Sha256Of("v0"), 1}));
  for (std::int64_t i = 0; i < options.sites; ++i) {
    TRIBUTARY_RETURN_IF_ERROR(
        Post(runner, server::CampaignAnswered{kCampaign, SiteName(i), true, ""}));
  }
  return OkStatus();
}

std::string TaskOf(std::int64_t round, std::int64_t site) {
  return std::string(kCampaign) + ".r" + std::to_string(round) + "." + SiteName(site) + ".t1";
}

// All sites report at once, round after round.
Status RunRounds(EngineRunner& runner, FoldWatch& folds, const EngineOptions& options) {
  for (std::int64_t round = 1; round <= options.rounds; ++round) {
    for (std::int64_t site = 0; site < options.sites; ++site) {
      runner.Post(UpdateOf(TaskOf(round, site), site), nullptr);
    }
    folds.Await(round);
    const std::string version = "v" + std::to_string(round);
    TRIBUTARY_RETURN_IF_ERROR(
        Post(runner, server::VersionPublished{kCampaign, round, Sha256Of(version), 54'400'000}));
  }
  return OkStatus();
}

// What the engine itself takes for an update, without encoding and journal.
double StepMicroseconds(State state, const EngineOptions& options) {
  const std::int64_t round = options.rounds + 1;
  std::vector<server::Event> events;
  for (std::int64_t site = 0; site + 1 < options.sites; ++site) {
    events.emplace_back(UpdateOf(TaskOf(round, site), site));
  }
  const auto begin = std::chrono::steady_clock::now();
  for (const server::Event& event : events) {
    if (!server::Check(state, event).ok()) return -1;
    state = server::Step(std::move(state), event, Timestamp(), 1).state;
  }
  return SecondsSince(begin) * 1e6 / static_cast<double>(std::max<std::size_t>(events.size(), 1));
}

// What each site hears when it connects, as messages.
double ReconnectSeconds(const State& state, const EngineOptions& options) {
  const Campaign& campaign = state.campaigns.at(kCampaign);
  const Manifest manifest(
      200, TensorSpec{"base_model.model.layers.0.q_proj.lora_A.weight", DType::kF32, {16, 4096}});
  std::size_t bytes = 0;
  const auto begin = std::chrono::steady_clock::now();
  for (std::int64_t i = 0; i < options.sites; ++i) {
    for (const server::Action& action : server::Outstanding(state, SiteName(i))) {
      if (std::holds_alternative<server::OfferCampaign>(action)) {
        bytes += server::ToOffer(campaign, manifest).ByteSizeLong();
      } else if (const auto* assign = std::get_if<server::AssignTask>(&action)) {
        bytes += server::ToAssignment(campaign, *state.FindTask(assign->task)).ByteSizeLong();
      }
    }
  }
  const double seconds = SecondsSince(begin);
  return bytes == 0 ? -1 : seconds;
}

// Rounds from the middle of the history, read from the journal.
Result<json> PastPage(EngineRunner& runner, const State& state, const EngineOptions& options) {
  const Campaign& campaign = state.campaigns.at(kCampaign);
  const std::int64_t from = std::max<std::int64_t>(options.rounds / 2 - kPageRounds, 1);
  const std::int64_t to = std::min(from + kPageRounds - 1, options.rounds);
  auto rounds = std::make_shared<server::PastRounds>(kCampaign, from, to);
  std::promise<Status> read;
  const std::atomic<bool> stop = false;
  server::WorkerPool workers(1);
  const auto begin = std::chrono::steady_clock::now();
  server::ReadPastRounds(runner, workers, campaign.rounds[static_cast<std::size_t>(from - 1)].entry,
                         rounds, stop, [&](const Status& status) { read.set_value(status); });
  TRIBUTARY_RETURN_IF_ERROR(read.get_future().get());
  return json{{"rounds", to - from + 1},
              {"updates", rounds->campaign().tasks.size()},
              {"seconds", SecondsSince(begin)}};
}

std::string JournalPath(const std::string& directory) { return directory + "/journal.db"; }

// In a process of its own: what it takes to begin with this journal.
Result<std::string> MeasureStart(const EngineOptions& options) {
  const SystemClock clock;
  FoldWatch sink;
  const auto begin = std::chrono::steady_clock::now();
  TRIBUTARY_ASSIGN_OR_RETURN(const auto runner,
                             EngineRunner::Open(JournalPath(options.directory), clock, sink));
  const double seconds = SecondsSince(begin);
  const Campaign& campaign = runner->recovered_state().campaigns.at(kCampaign);
  return json{{"seconds", seconds},
              {"peak_memory_mib", PeakKilobytes() / 1024},
              {"rounds", campaign.rounds.size()},
              {"tasks_in_memory", campaign.tasks.size()}}
      .dump();
}

Result<json> StartElsewhere(const std::string& directory) {
  const std::string said = directory + "/start.json";
  TRIBUTARY_ASSIGN_OR_RETURN(
      ChildProcess start, ChildProcess::Start({ProgramPath(), "engine", "--start-only", directory},
                                              directory + "/start.log", said));
  start.Await(std::chrono::hours(1));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string text, ReadFile(said, 4096));
  return ParseJson(text, "what the start took");
}

// The limit: the journal's bytes, read once from its file.
Result<double> ReadingSeconds(const std::string& path) {
  const auto begin = std::chrono::steady_clock::now();
  TRIBUTARY_RETURN_IF_ERROR(Sha256OfFile(path).status());
  return SecondsSince(begin);
}

}  // namespace

Result<std::string> RunEngineBenchmark(const EngineOptions& options) {
  if (!options.directory.empty()) return MeasureStart(options);
  TRIBUTARY_ASSIGN_OR_RETURN(auto scratch, TemporaryDirectory::Create("tributary-bench-"));
  const std::string journal = JournalPath(scratch.path());
  const SystemClock clock;
  FoldWatch folds;
  TRIBUTARY_ASSIGN_OR_RETURN(auto runner, EngineRunner::Open(journal, clock, folds));
  runner->Start();
  TRIBUTARY_RETURN_IF_ERROR(BeginCampaign(*runner, options));
  const auto begin = std::chrono::steady_clock::now();
  TRIBUTARY_RETURN_IF_ERROR(RunRounds(*runner, folds, options));
  const double seconds = SecondsSince(begin);
  const State state = StateOf(*runner);
  TRIBUTARY_ASSIGN_OR_RETURN(const json page, PastPage(*runner, state, options));
  runner.reset();
  TRIBUTARY_ASSIGN_OR_RETURN(const json start, StartElsewhere(scratch.path()));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::uint64_t bytes, FileSize(journal));
  TRIBUTARY_ASSIGN_OR_RETURN(const double reading, ReadingSeconds(journal));
  const double updates = static_cast<double>(options.rounds * options.sites);
  return json{{"rounds", options.rounds},
              {"sites", options.sites},
              {"journal_bytes", bytes},
              {"limit_seconds_reading_it", reading},
              {"start", start},
              {"start_ratio_to_limit", start["seconds"].get<double>() / reading},
              {"update_microseconds", StepMicroseconds(state, options)},
              {"journaled_update_microseconds", seconds * 1e6 / updates},
              {"reconnect_seconds", ReconnectSeconds(state, options)},
              {"past_page", page},
              {"tasks_in_memory", state.campaigns.at(kCampaign).tasks.size()}}
      .dump(2);
}

}  // namespace tributary::bench
