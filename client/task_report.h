// What a task's job left behind, as the statement that the site signs and the update file that goes
// with it.
#pragma once

#include <string>

#include "client/client_config.h"
#include "client/client_journal.h"
#include "client/task_workspace.h"
#include "core/clock.h"
#include "core/status.h"
#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::client {

// Whose task it is and what is known of it; without an outcome.
v1::Statement StatementOf(const TaskRecord& record, const std::string& site);

// A task whose last job has ended.
struct FinishedTask {
  const TaskRecord& record;
  const v1::CampaignOffer& offer;
  const TaskWorkspace& workspace;
  const ClientConfig& config;
  const std::string& site;
  const Clock& clock;
};

// Checks what the trainer wrote, writes the update file (TaskWorkspace::DeltaPath) and what may
// become the site's next state. Aborted says why there is no update; resource exhausted: nothing is
// known, the disk is full.
Result<v1::Statement> MakeStatement(const FinishedTask& task,
                                    const scheduler_adapters::JobStatus& job);

}  // namespace tributary::client
