#include "tests/integration/slurm_cluster.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <sstream>

#include "core/text.h"
#include "scheduler_adapters/command_runner.h"

namespace tributary::integration {
namespace {

using scheduler_adapters::CommandRunner;
using scheduler_adapters::CommandRunnerOptions;

constexpr int kFirstPort = 20'000, kPortCount = 12'000;  // below the ephemeral ports
constexpr std::chrono::seconds kStartLimit{40};
// Beyond this the name of a socket in the directory would be too long.
constexpr std::size_t kMaxDirectoryBytes = 80;

sockaddr_in Localhost(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// Ports that nobody listens on; all are held until all are found.
std::vector<int> FreePorts(std::size_t count) {
  static std::mt19937 random(std::random_device{}());
  std::vector<FileDescriptor> held;
  std::vector<int> ports;
  while (ports.size() < count) {
    const int port = kFirstPort + static_cast<int>(random() % kPortCount);
    FileDescriptor fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = Localhost(port);
    address.sin_addr.s_addr = htonl(INADDR_ANY);
    if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) continue;
    held.push_back(std::move(fd));
    ports.push_back(port);
  }
  return ports;
}

bool Listens(int port) {
  const FileDescriptor fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = Localhost(port);
  return connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

std::string ShortHostName() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  const std::string text = name;
  return text.substr(0, text.find('.'));
}

std::string UserName() {
  const passwd* user = getpwuid(geteuid());
  return user != nullptr ? user->pw_name : "root";
}

// Told to listen on one address only, the daemons take that of their own host name.
bool HostIsLocalhost(const std::string& host) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_family = AF_INET;
  if (getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return false;
  const auto* address = reinterpret_cast<const sockaddr_in*>(found->ai_addr);
  const bool local = address->sin_addr.s_addr == htonl(INADDR_LOOPBACK);
  freeaddrinfo(found);
  return local;
}

std::string AllOf(const std::string& path) {
  const auto text = ReadFile(path);
  return text.ok() ? *text : "";
}

// The tables that MariaDB's server package brings for a new database.
std::string SystemTables() {
  for (const std::string stem : {"/usr/share/mysql/mysql", "/usr/share/mariadb/mariadb"}) {
    if (PathExists(stem + "_system_tables.sql")) {
      return AllOf(stem + "_system_tables.sql") + AllOf(stem + "_system_tables_data.sql");
    }
  }
  return "";
}

struct ChildFiles {
  std::string in = "/dev/null", out = "/dev/null";
};

// A child in a session of its own that dies with this process, however this process ends.
Result<pid_t> SpawnChild(const std::vector<std::string>& command, const ChildFiles& files) {
  const std::string program = SlurmCluster::ProgramPath(command[0]);
  std::vector<char*> arguments;
  for (const std::string& argument : command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  const pid_t pid = fork();
  if (pid < 0) return ErrnoError("fork", errno);
  if (pid > 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  setsid();
  const int in = open(files.in.c_str(), O_RDONLY);
  const int out = open(files.out.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  dup2(in, 0);
  dup2(out, 1);
  dup2(out, 2);
  execv(program.c_str(), arguments.data());
  _exit(127);
}

Status RunToEnd(const std::vector<std::string>& command, const ChildFiles& files) {
  TRIBUTARY_ASSIGN_OR_RETURN(const pid_t pid, SpawnChild(command, files));
  int status = 0;
  waitpid(pid, &status, 0);
  if (status == 0) return OkStatus();
  return InternalError(command[0] + " failed: " + Excerpt(AllOf(files.out), 2000));
}

}  // namespace

bool WaitUntil(const std::function<bool()>& condition, std::chrono::seconds limit) {
  const auto give_up = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    poll(nullptr, 0, 100);
  }
  return true;
}

std::string SlurmCluster::ProgramPath(const std::string& name) {
  const char* path = getenv("PATH");
  std::istringstream directories((path != nullptr ? std::string(path) : "/usr/bin") +
                                 ":/usr/sbin:/sbin");
  for (std::string directory; std::getline(directories, directory, ':');) {
    const std::string file = JoinPath(directory, name);
    if (access(file.c_str(), X_OK) == 0) return file;
  }
  return "";
}

std::string SlurmCluster::MissingPrograms(bool accounting) {
  std::vector<std::string> programs = {"slurmctld", "slurmd", "sbatch", "munged"};
  if (accounting) programs.insert(programs.end(), {"slurmdbd", "sacctmgr", "mariadbd"});
  std::string missing;
  for (const std::string& program : programs) {
    if (ProgramPath(program).empty()) missing += (missing.empty() ? "" : ", ") + program;
  }
  if (accounting && missing.empty() && SystemTables().empty()) missing = "MariaDB's system tables";
  return missing;
}

Result<std::unique_ptr<SlurmCluster>> SlurmCluster::Start(const SlurmClusterOptions& options) {
  constexpr int kAttempts = 3;  // another process may take a port in between
  Status status;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    TRIBUTARY_ASSIGN_OR_RETURN(TemporaryDirectory directory, TemporaryDirectory::Create("slurm-"));
    if (directory.path().size() > kMaxDirectoryBytes) {
      return FailedPreconditionError(directory.path() + " is too long for Slurm's sockets");
    }
    std::unique_ptr<SlurmCluster> cluster(new SlurmCluster(options, std::move(directory)));
    status = cluster->StartAll();
    if (status.ok()) return cluster;
    status = status.Annotate(cluster->Logs());
  }
  return status;
}

Status SlurmCluster::WriteConfiguration() {
  const std::vector<int> ports = FreePorts(3 + static_cast<std::size_t>(options_.nodes));
  controller_port_ = ports[0];
  database_port_ = ports[1];
  sql_port_ = ports[2];
  cluster_name_ = "test" + std::to_string(controller_port_);
  const std::string host = ShortHostName(), user = UserName();
  const std::string authentication =
      "AuthType=auth/munge\nAuthInfo=socket=" + In("munge/socket") + ",cred_expire=5\n";

  std::ostringstream conf;
  conf << "ClusterName=" << cluster_name_ << "\nSlurmctldHost=" << host << "(127.0.0.1)\n"
       << "SlurmctldPort=" << controller_port_ << "\nSlurmUser=" << user << "\nSlurmdUser=" << user
       << "\n"
       << authentication << "CredType=cred/munge\n";
  if (HostIsLocalhost(host)) conf << "CommunicationParameters=NoCtldInAddrAny,NoInAddrAny\n";
  conf << "StateSaveLocation=" << In("state") << "\nSlurmdSpoolDir=" << In("spool/%n")
       << "\nSlurmctldPidFile=" << In("slurmctld.pid") << "\nSlurmdPidFile=" << In("slurmd-%n.pid")
       << "\nSlurmctldLogFile=" << In("log/slurmctld") << "\nSlurmdLogFile=" << In("log/slurmd-%n")
       << "\nPlugStackConfig=" << In("plugstack.conf") << "\n";
  // No cgroups, no MPI, no mail: what a container allows, too.
  conf << "MailProg=/bin/true\nMpiDefault=none\nSwitchType=switch/none\n"
          "ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\n"
          "JobAcctGatherType=jobacct_gather/none\n";
  // Everything soon: a pass of the scheduler each second, dead nodes noticed, short farewells.
  conf << "SelectType=select/cons_tres\nSelectTypeParameters=CR_Core_Memory\nDefMemPerCPU=10\n"
          "SchedulerType=sched/backfill\n"
          "SchedulerParameters=bf_interval=1,sched_interval=2,bf_window=1440\n"
          "PriorityType=priority/basic\nPreemptType=preempt/partition_prio\nPreemptMode=REQUEUE\n"
          "JobRequeue=1\nReturnToService=1\nSlurmctldTimeout=30\nSlurmdTimeout=6\n"
          "MessageTimeout=10\nSlurmdParameters=config_overrides\nInactiveLimit=0\nKillWait=2\n"
          "Waittime=0\nFirstJobId=101\nGresTypes=gpu\n"
       << "MinJobAge=" << options_.min_job_age.count() << "\n";
  if (options_.accounting) {
    // Its clients look for the socket of munge here, not in AuthInfo.
    conf << "AccountingStorageType=accounting_storage/slurmdbd\nAccountingStorageHost=127.0.0.1\n"
         << "AccountingStoragePort=" << database_port_
         << "\nAccountingStoragePass=" << In("munge/socket")
         << "\nAccountingStorageTRES=gres/gpu\n";
  } else {
    conf << "AccountingStorageType=accounting_storage/none\n";
  }
  for (int n = 1; n <= options_.nodes; ++n) {
    conf << "NodeName=n" << n << " NodeHostname=" << host
         << " NodeAddr=127.0.0.1 Port=" << ports[2 + static_cast<std::size_t>(n)]
         << " CPUs=8 RealMemory=1000 Gres=gpu:2 State=UNKNOWN\n";
  }
  conf << "PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=10 "
          "PriorityTier=10 State=UP\n"
          "PartitionName=short Nodes=ALL MaxTime=1 PriorityTier=10 State=UP\n"
          "PartitionName=low-cancel Nodes=ALL PriorityTier=1 PreemptMode=CANCEL State=UP\n"
          "PartitionName=low-requeue Nodes=ALL PriorityTier=1 PreemptMode=REQUEUE State=UP\n"
          "PartitionName=high Nodes=ALL PriorityTier=100 State=UP\n";

  std::ostringstream database;
  database << "DbdHost=localhost\nDbdPort=" << database_port_ << "\nSlurmUser=" << user << "\n"
           << authentication << "StorageType=accounting_storage/mysql\nStorageHost=127.0.0.1\n"
           << "StoragePort=" << sql_port_ << "\nStorageUser=root\nStoragePass=x\n"
           << "StorageLoc=slurm_acct_db\nLogFile=" << In("log/slurmdbd")
           << "\nPidFile=" << In("slurmdbd.pid") << "\n";
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(In("slurm.conf"), conf.str(), 0644));
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(In("slurmdbd.conf"), database.str(), 0600));
  TRIBUTARY_RETURN_IF_ERROR(
      WriteFileAtomic(In("gres.conf"), "Name=gpu File=" + In("gpu[0-1]") + "\n", 0644));
  for (const std::string gpu : {"gpu0", "gpu1"}) {  // any file is a device to it
    TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(In(gpu), ""));
  }
  return WriteFileAtomic(In("plugstack.conf"), "", 0644);
}

Status SlurmCluster::StartAll() {
  chmod(directory().c_str(), 0755);
  for (const std::string name : {"state", "log", "munge", "spool", "sql/data", "sql/tmp"}) {
    TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(In(name), 0755));
  }
  TRIBUTARY_RETURN_IF_ERROR(WriteConfiguration());
  setenv("SLURM_CONF", In("slurm.conf").c_str(), 1);
  std::string key(128, '\0');
  std::random_device random;
  for (char& byte : key) byte = static_cast<char>(random());
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(In("munge/key"), key, 0400));
  TRIBUTARY_RETURN_IF_ERROR(Begin("munged"));
  if (options_.accounting) TRIBUTARY_RETURN_IF_ERROR(StartDatabase());
  TRIBUTARY_RETURN_IF_ERROR(Begin("slurmctld"));
  for (int n = 1; n <= options_.nodes; ++n) {
    TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(In("spool/n" + std::to_string(n)), 0755));
    TRIBUTARY_RETURN_IF_ERROR(
        Spawn("slurmd-n" + std::to_string(n), {"slurmd", "-D", "-N", "n" + std::to_string(n)}));
  }
  for (int n = 1; n <= options_.nodes; ++n) {
    TRIBUTARY_RETURN_IF_ERROR(Await("slurmd-n" + std::to_string(n)));
  }
  return OkStatus();
}

Status SlurmCluster::StartDatabase() {
  // The server reads one statement a line here; it needs no client programs this way.
  TRIBUTARY_RETURN_IF_ERROR(
      WriteFileAtomic(In("sql/new.sql"), "create database mysql;\nuse mysql;\n" + SystemTables() +
                                             "\ncreate database slurm_acct_db;\n"));
  std::vector<std::string> common = {"mariadbd",
                                     "--no-defaults",
                                     "--user=" + UserName(),
                                     "--datadir=" + In("sql/data"),
                                     "--tmpdir=" + In("sql/tmp"),
                                     "--innodb-log-file-size=4M"};
  std::vector<std::string> bootstrap = common;
  bootstrap.emplace_back("--bootstrap");
  TRIBUTARY_RETURN_IF_ERROR(
      RunToEnd(bootstrap, {.in = In("sql/new.sql"), .out = In("log/sql-bootstrap")}));
  common.insert(common.end(),
                {"--socket=" + In("sql/socket"), "--pid-file=" + In("sql/pid"),
                 "--bind-address=127.0.0.1", "--port=" + std::to_string(sql_port_),
                 "--skip-grant-tables", "--skip-log-bin", "--innodb-buffer-pool-size=64M",
                 "--innodb-lock-wait-timeout=900", "--innodb-flush-log-at-trx-commit=0"});
  TRIBUTARY_RETURN_IF_ERROR(Spawn("mariadbd", common));
  TRIBUTARY_RETURN_IF_ERROR(Await("mariadbd"));
  TRIBUTARY_RETURN_IF_ERROR(Begin("slurmdbd"));
  // The controller must find itself registered.
  return Command({"sacctmgr", "-i", "add", "cluster", cluster_name_}).status();
}

Status SlurmCluster::Begin(const std::string& daemon) {
  std::vector<std::string> command = {daemon, "-D"};
  if (daemon == "munged") {
    command = {daemon,
               "-F",
               "--socket=" + In("munge/socket"),
               "--key-file=" + In("munge/key"),
               "--log-file=" + In("log/munged"),
               "--pid-file=" + In("munge/pid"),
               "--seed-file=" + In("munge/seed")};
  } else if (daemon.starts_with("slurmd-")) {
    command = {"slurmd", "-D", "-N", daemon.substr(daemon.find('-') + 1)};
  }
  TRIBUTARY_RETURN_IF_ERROR(Spawn(daemon, command));
  return Await(daemon);
}

Status SlurmCluster::Spawn(const std::string& name, const std::vector<std::string>& command) {
  TRIBUTARY_ASSIGN_OR_RETURN(const pid_t pid,
                             SpawnChild(command, {.out = In("log/" + name + ".out")}));
  daemons_[name] = pid;
  return OkStatus();
}

Status SlurmCluster::Await(const std::string& daemon) const {
  const pid_t pid = daemons_.at(daemon);
  const bool is_node = daemon.starts_with("slurmd-");
  bool ended = false;
  const auto answers = [&] {
    siginfo_t info{};
    ended = waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
            info.si_pid != 0;
    if (ended) return true;
    if (daemon == "munged") return PathExists(In("munge/socket"));
    if (daemon == "mariadbd") return Listens(sql_port_);
    if (daemon == "slurmdbd") return Listens(database_port_);
    if (!is_node) return Command({"scontrol", "ping"}).ok();
    const auto state = Command(
        {"sinfo", "-h", "-n", daemon.substr(daemon.find('-') + 1), "-p", "debug", "-o", "%t"});
    return state.ok() && (*state == "idle\n" || *state == "mix\n" || *state == "alloc\n");
  };
  if (WaitUntil(answers, kStartLimit) && !ended) return OkStatus();
  return InternalError(daemon + (ended ? " ended" : " does not answer"));
}

Result<std::string> SlurmCluster::Command(const std::vector<std::string>& command) const {
  CommandRunnerOptions options;
  options.timeout = std::chrono::seconds(30);
  TRIBUTARY_ASSIGN_OR_RETURN(const auto result, CommandRunner(options).Run(command));
  if (!result.ok()) return InternalError(command[0] + ": " + result.Summary());
  return result.out + result.err;
}

void SlurmCluster::Kill(const std::string& daemon) {
  const auto found = daemons_.find(daemon);
  if (found == daemons_.end()) return;
  kill(found->second, SIGKILL);
  waitpid(found->second, nullptr, 0);
  daemons_.erase(found);
}

void SlurmCluster::Freeze(const std::string& daemon) const { kill(daemons_.at(daemon), SIGSTOP); }
void SlurmCluster::Thaw(const std::string& daemon) const { kill(daemons_.at(daemon), SIGCONT); }

bool SlurmCluster::AwaitSavedState() const {
  const auto saved_at = [&] {
    struct stat file {};
    if (stat(In("state/job_state").c_str(), &file) != 0) return std::int64_t{0};
    return std::int64_t{file.st_mtim.tv_sec} * 1'000'000'000 + file.st_mtim.tv_nsec;
  };
  const std::int64_t before = saved_at();
  // It writes when something changed, so something does.
  (void)Command({"sbatch", "--parsable", "--hold", "--output=/dev/null", "--wrap=true"});
  return WaitUntil([&] { return saved_at() > before; });
}

void SlurmCluster::EndTimeNow(const std::string& job) const {
  (void)Command({"scontrol", "update", "JobId=" + job, "EndTime=now"});
}

std::string SlurmCluster::Logs() const {
  std::string text;
  const auto names = ListDirectory(In("log"));
  if (!names.ok()) return text;
  for (const std::string& name : *names) {
    const auto tail = ReadFileTail(In("log/" + name), 1000);
    if (tail.ok() && !tail->empty()) text += "--- " + name + "\n" + *tail;
  }
  return text;
}

void SlurmCluster::Stop(const std::string& daemon, std::chrono::seconds patience) {
  const auto found = daemons_.find(daemon);
  if (found == daemons_.end()) return;
  kill(found->second, SIGCONT);
  kill(found->second, SIGTERM);
  if (WaitUntil([&] { return waitpid(found->second, nullptr, WNOHANG) != 0; }, patience)) {
    daemons_.erase(found);
  } else {
    Kill(daemon);
  }
}

// Job processes that outlived their node's daemon: they carry this cluster's configuration in their
// environment.
void SlurmCluster::KillStrays() const {
  const auto processes = ListDirectory("/proc");
  if (!processes.ok()) return;
  const std::string mine = std::string("\0SLURM_CONF=", 12) + In("slurm.conf") + '\0';
  for (const std::string& name : *processes) {
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const auto pid = static_cast<pid_t>(std::stol(name));
    if (pid == getpid()) continue;
    std::ifstream file("/proc/" + name + "/environ");  // its size is not known before it is read
    const std::string environment =
        '\0' + std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    if (environment.find(mine) != std::string::npos) kill(pid, SIGKILL);
  }
}

SlurmCluster::~SlurmCluster() {
  if (daemons_.contains("slurmctld")) {
    kill(daemons_["slurmctld"], SIGCONT);
    (void)Command({"scancel", "--user=" + UserName()});
    WaitUntil(
        [&] {
          const auto left = Command({"squeue", "-h", "-o", "%i"});
          return !left.ok() || left->empty();
        },
        std::chrono::seconds(10));
  }
  for (int n = 1; n <= options_.nodes; ++n) {
    Stop("slurmd-n" + std::to_string(n), std::chrono::seconds(5));
  }
  Stop("slurmctld", std::chrono::seconds(10));
  Stop("slurmdbd", std::chrono::seconds(5));
  Stop("mariadbd", std::chrono::seconds(10));
  Stop("munged", std::chrono::seconds(3));
  KillStrays();
}

}  // namespace tributary::integration
