#include "tests/bench/round_benchmark.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "cli/campaign_commands.h"
#include "cli/profile.h"
#include "cli/provision.h"
#include "cli/watch_command.h"
#include "client/agent.h"
#include "core/campaign_file.h"
#include "core/child_process.h"
#include "core/files.h"
#include "core/peft_adapter.h"
#include "scheduler_adapters/fake_adapter.h"
#include "security/enroll.h"
#include "tests/bench/constant_trainer.h"

namespace tributary::bench {
namespace {

using nlohmann::json;
using scheduler_adapters::FakeCluster;
using scheduler_adapters::FakeSchedulerAdapter;

constexpr std::chrono::seconds kStartTimeout{30};

std::string SiteName(std::int64_t k) { return "site-" + std::to_string(1000 + k); }

// utime + stime of a process, in seconds.
double CpuSeconds(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  double user = 0;
  double system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

// VmHWM, in MiB.
double PeakMemory(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;
  }
  return 0;
}

// Bytes that crossed the loopback interface so far.
std::uint64_t LoopbackBytes() {
  std::ifstream file("/proc/net/dev");
  for (std::string line; std::getline(file, line);) {
    const std::size_t at = line.find("lo:");
    if (at != std::string::npos) return std::stoull(line.substr(at + 3));
  }
  return 0;
}

Status WriteInitial(const RoundOptions& options, const std::string& directory) {
  Manifest manifest;
  const std::int64_t share = options.params / options.tensors;
  for (std::int64_t t = 0; t < options.tensors; ++t) {
    const std::int64_t count =
        t + 1 == options.tensors ? options.params - share * (options.tensors - 1) : share;
    manifest.push_back({"tensor." + std::to_string(10000 + t), DType::kF32, {count}});
  }
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(directory));
  TRIBUTARY_ASSIGN_OR_RETURN(
      SafetensorsWriter writer,
      SafetensorsWriter::Create(JoinPath(directory, kAdapterWeightsFile), manifest));
  const std::vector<std::byte> zeros(std::size_t{1} << 20);
  for (std::uint64_t left = static_cast<std::uint64_t>(options.params) * 4; left > 0;) {
    const std::uint64_t count = std::min<std::uint64_t>(left, zeros.size());
    TRIBUTARY_RETURN_IF_ERROR(writer.Append(std::span(zeros).first(count)));
    left -= count;
  }
  return writer.Finish().status();
}

CampaignFile CampaignFor(const RoundOptions& options) {
  CampaignFile file;
  file.name = "bench";
  file.model.name = "none";
  file.adapter.initial = "initial";
  file.data.train = "none";
  for (std::int64_t k = 0; k < options.sites; ++k) file.sites.push_back(SiteName(k));
  file.pacing.rounds = options.rounds + 1;  // the first warms up
  file.training.steps = 1;
  return file;
}

client::ClientConfig ClientFor(const std::string& directory, const std::string& address) {
  client::ClientConfig config;
  config.server = address;
  config.tls = {directory + "/ca.crt", directory + "/member.crt", directory + "/member.key"};
  config.state_dir = directory + "/state";
  config.workspace = directory + "/work";
  config.job.trainer = {"/none"};
  config.job.max_concurrent = 1;
  config.job.poll_interval = std::chrono::milliseconds(5);
  config.policy.emplace();
  config.policy->campaigns = {"bench"};
  config.policy->leads = {"lead"};
  config.policy->models = {{"none", directory}};  // something that is there
  config.policy->data = {{"none", directory + "/member.crt"}};
  return config;
}

// What any system that keeps updates must do at least: hash all bytes of a round and bring them to
// the disk.
Result<double> LimitSeconds(const RoundOptions& options, const std::string& directory) {
  const auto begin = std::chrono::steady_clock::now();
  const std::vector<char> block(std::size_t{1} << 20, 'x');
  for (std::int64_t k = 0; k < options.sites; ++k) {
    const std::string path = directory + "/limit";
    TRIBUTARY_ASSIGN_OR_RETURN(const FileDescriptor file,
                               OpenFile(path, O_WRONLY | O_CREAT | O_TRUNC));
    Sha256 hash;
    for (std::uint64_t left = static_cast<std::uint64_t>(options.params) * 4; left > 0;) {
      const std::size_t count = std::min<std::uint64_t>(left, block.size());
      hash.Update(block.data(), count);
      TRIBUTARY_RETURN_IF_ERROR(WriteAll(file.get(), block.data(), count));
      left -= count;
    }
    if (fdatasync(file.get()) != 0) return ErrnoError("fdatasync", errno);
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

struct Site {
  std::unique_ptr<FakeCluster> cluster;
  std::unique_ptr<client::SiteLedger> ledger;
  std::unique_ptr<client::Agent> agent;
};

Result<std::vector<Site>> StartSites(const RoundOptions& options, const std::string& directory,
                                     const std::string& address, cli::Session& lead,
                                     const Clock& clock) {
  std::vector<Site> sites;
  for (std::int64_t k = 0; k < options.sites; ++k) {
    const std::string home = directory + "/" + SiteName(k);
    v1::CreateTokenRequest request;
    request.set_role("site");
    request.set_name(SiteName(k));
    request.set_valid_seconds(600);
    TRIBUTARY_ASSIGN_OR_RETURN(const auto token,
                               lead.Call(&v1::Control::StubInterface::CreateToken, request));
    TRIBUTARY_RETURN_IF_ERROR(
        security::Enroll({address, token.token(), token.ca_fingerprint(), home}).status());
    Site site;
    site.cluster = std::make_unique<FakeCluster>(clock, [](const auto&) {
      scheduler_adapters::FakeJobPlan plan;
      plan.run = RunConstantTrainer;
      return plan;
    });
    const client::ClientConfig config = ClientFor(home, address);
    TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(config.state_dir));
    TRIBUTARY_ASSIGN_OR_RETURN(site.ledger,
                               client::SiteLedger::Open(JoinPath(config.state_dir, "ledger.db")));
    TRIBUTARY_ASSIGN_OR_RETURN(
        site.agent,
        client::Agent::Start(config, std::make_unique<FakeSchedulerAdapter>(*site.cluster),
                             *site.ledger, clock));
    sites.push_back(std::move(site));
  }
  return sites;
}

json Spread(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {{"min", values.front()}, {"median", values[values.size() / 2]}, {"max", values.back()}};
}

}  // namespace

Result<std::string> RunRoundBenchmark(const RoundOptions& options) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto scratch, TemporaryDirectory::Create("tributary-bench-"));
  const std::string& directory = scratch.path();
  cli::ProvisionOptions provision;
  provision.name = "bench";
  provision.directory = directory;
  provision.hosts = {"127.0.0.1"};
  provision.listen = "127.0.0.1";
  provision.port = 0;
  TRIBUTARY_ASSIGN_OR_RETURN(const auto made, cli::Provision(provision));
  const std::string port_file = directory + "/port";
  TRIBUTARY_ASSIGN_OR_RETURN(ChildProcess server,
                             ChildProcess::Start({options.server_program, "--config",
                                                  made.server_config, "--port-file", port_file},
                                                 directory + "/server.log"));
  const auto until = std::chrono::steady_clock::now() + kStartTimeout;
  while (!PathExists(port_file)) {
    if (server.Poll() || std::chrono::steady_clock::now() > until) {
      return UnavailableError("the server did not start");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string port, ReadFile(port_file));
  const std::string address = "127.0.0.1:" + port;
  TRIBUTARY_RETURN_IF_ERROR(cli::WriteProfile(made.lead_profile, {address, ""}));
  const cli::GlobalOptions global{made.lead_profile, false};
  TRIBUTARY_ASSIGN_OR_RETURN(cli::Session lead, cli::Session::Open(global));

  const SystemClock clock;
  TRIBUTARY_ASSIGN_OR_RETURN(auto sites, StartSites(options, directory, address, lead, clock));
  TRIBUTARY_RETURN_IF_ERROR(WriteInitial(options, directory + "/initial"));
  TRIBUTARY_RETURN_IF_ERROR(
      WriteFileAtomic(directory + "/campaign.yaml", PrintYaml(CampaignFor(options))));
  const double cpu_before = CpuSeconds(server.pid());
  const std::uint64_t wire_before = LoopbackBytes();
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string id,
                             cli::SubmitFile(global, directory + "/campaign.yaml"));
  TRIBUTARY_ASSIGN_OR_RETURN(const auto status,
                             cli::FollowCampaign(
                                 global, id, [](const auto&) {}, [] { return true; }));
  const double client_rounds = static_cast<double>(options.sites * (options.rounds + 1));
  const double cpu = (CpuSeconds(server.pid()) - cpu_before) / client_rounds;
  const double wire = static_cast<double>(LoopbackBytes() - wire_before);
  const double memory = PeakMemory(server.pid());
  TRIBUTARY_ASSIGN_OR_RETURN(const double limit, LimitSeconds(options, directory));
  std::vector<double> seconds;
  for (int i = 1; i < status.round_history_size(); ++i) {
    const v1::RoundStatus& round = status.round_history(i);
    seconds.push_back(static_cast<double>(round.closed_at_us() - round.opened_at_us()) * 1e-6);
  }
  const double payload = 2.0 * client_rounds * static_cast<double>(options.params) * 4;
  const json spread = Spread(seconds);
  const json result = {{"sites", options.sites},
                       {"params", options.params},
                       {"tensors", options.tensors},
                       {"rounds", options.rounds},
                       {"seconds_per_round", spread},
                       {"server_cpu_seconds_per_client_round", cpu},
                       {"server_peak_memory_mib", memory},
                       {"wire_bytes", wire},
                       {"wire_bytes_per_payload_byte", wire / payload},
                       {"limit_seconds_hash_and_store", limit},
                       {"ratio_to_limit", spread["median"].get<double>() / limit}};
  return result.dump(2);
}

}  // namespace tributary::bench
