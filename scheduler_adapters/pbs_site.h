// What a PBS server says of its queues and nodes, where that decides whether a job can ever run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "scheduler_adapters/queue_survey.h"
#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::scheduler_adapters {

// `qstat -Q -f QUEUE`. What is not said counts as yes.
struct PbsQueue {
  bool started = true;    // its jobs run
  bool execution = true;  // a routing queue runs nothing by itself
};
PbsQueue ParsePbsQueue(std::string_view text);

// Every queue of `qstat -Q -f`, the one of this name as the default.
std::vector<QueueOffer> ParsePbsQueues(std::string_view text, std::string_view default_queue);

// default_queue of `qstat -B -f`; empty when there is none.
std::string DefaultPbsQueue(std::string_view text);

// A host of `pbsnodes -a -F json`, its vnodes added up.
struct PbsHost {
  std::string name;
  std::int64_t cpus = 0, gpus = 0;
};
Result<std::vector<PbsHost>> ParsePbsNodes(std::string_view text);

// OK when so many of the hosts could hold one of the job's chunks, were they free.
Status CheckPbsHosts(const std::vector<PbsHost>& hosts, const JobSpec& spec);

// Whether the site's own directives say which nodes a job gets.
bool ChoosesNodes(const JobSpec& spec);

}  // namespace tributary::scheduler_adapters
