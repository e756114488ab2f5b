#include "client/pilots.h"

#include "client/allocation.h"
#include "core/files.h"
#include "scheduler_adapters/pilot_adapter.h"

namespace tributary::client {
namespace {

using scheduler_adapters::JobSpec;
using scheduler_adapters::PilotAdapter;
using scheduler_adapters::PilotOptions;
using scheduler_adapters::PilotUsage;
using scheduler_adapters::SchedulerAdapter;

std::string DirectoryOfPilots(const ClientConfig& config) {
  return config.job.pilot ? config.job.pilot->directory : DefaultPilotDirectory(config);
}

JobEntry EntryFor(const PilotUsage& usage, std::chrono::seconds idle_timeout) {
  JobEntry entry;
  entry.name = usage.name;
  entry.nodes = usage.nodes;
  entry.cpus = usage.cpus;
  entry.gpus = usage.gpus;
  entry.submitted = usage.submitted;
  // Without a start: how long a pilot waited is no wait of a task.
  entry.ended = usage.ended;
  entry.charged = std::chrono::ceil<std::chrono::seconds>(usage.idle());
  // It may be idle for so long again before it leaves.
  entry.walltime = entry.charged + idle_timeout;
  return entry;
}

// Room for the idle time that one more pilot may have; its tasks are checked when they come.
Status CheckPilotAllocation(const ClientConfig& config, SiteLedger& ledger, const JobSpec& pilot) {
  TRIBUTARY_RETURN_IF_ERROR(RecordPilots(config, ledger));
  JobEntry entry;
  entry.name = pilot.name;
  entry.nodes = pilot.nodes;
  entry.cpus = pilot.nodes * pilot.cpus;
  entry.gpus = pilot.nodes * pilot.gpus;
  entry.walltime = config.job.pilot->idle_timeout;
  return CheckAllocation(config.allocation, ledger, entry);
}

}  // namespace

Result<std::unique_ptr<SchedulerAdapter>> WithPilots(const ClientConfig& config,
                                                     const std::string& program,
                                                     std::unique_ptr<SchedulerAdapter> adapter,
                                                     SiteLedger* ledger, const Clock& clock) {
  PilotOptions options;
  options.directory = DirectoryOfPilots(config);
  options.drain = !config.job.pilot;
  if (options.drain && !PathExists(options.directory)) return adapter;
  options.command = {program, "pilot"};
  options.cancel_grace = config.scheduler.cancel_grace;
  // A machine's own file system hides nothing.
  if (config.scheduler.adapter == "local") options.lost_after = std::chrono::seconds(0);
  if (ledger != nullptr) {
    options.is_settled = [ledger](const std::string& name) {
      const auto entry = ledger->Get(name);
      return entry.ok() && *entry && (*entry)->ended;
    };
  }
  if (config.job.pilot) {
    const PilotSection& pilot = *config.job.pilot;
    options.walltime = pilot.walltime;
    options.idle_timeout = pilot.idle_timeout;
    options.successor_before = pilot.successor_before;
    options.max_pilots = pilot.max_pilots;
    options.poll_interval = pilot.poll_interval;
    if (ledger != nullptr) {
      options.may_submit = [config, ledger](const JobSpec& spec) {
        return CheckPilotAllocation(config, *ledger, spec);
      };
    }
  }
  return PilotAdapter::Make(options, std::move(adapter), clock);
}

Status RecordPilots(const ClientConfig& config, SiteLedger& ledger) {
  const std::string directory = DirectoryOfPilots(config);
  if (!PathExists(directory)) return OkStatus();
  const auto idle_timeout =
      config.job.pilot ? config.job.pilot->idle_timeout : PilotSection().idle_timeout;
  // What has ended is in the ledger for good, and is not read again.
  const auto settled = [&](const std::string& name) {
    const auto known = ledger.Get(name);
    return known.ok() && *known && (*known)->ended;
  };
  TRIBUTARY_ASSIGN_OR_RETURN(const auto usages,
                             scheduler_adapters::ReadPilotUsage(directory, settled));
  for (const PilotUsage& usage : usages) {
    TRIBUTARY_ASSIGN_OR_RETURN(const auto known, ledger.Get(usage.name));
    const JobEntry entry = EntryFor(usage, idle_timeout);
    if (known && !entry.ended && known->charged == entry.charged) continue;
    TRIBUTARY_RETURN_IF_ERROR(ledger.Put(entry));
  }
  return OkStatus();
}

}  // namespace tributary::client
