// A site's daemon in the ways that a center may allow: for good, in visits, as a job.
#pragma once

#include <string>

#include "client/client_config.h"
#include "core/status.h"

namespace tributary::client {

// Serves until SIGTERM or SIGINT. Jobs run on, or with `end_jobs` are cancelled and waited for,
// until a second signal comes.
Status RunDaemon(ClientConfig config, bool end_jobs);

// For cron: what is due is done, within a minute. What a killed visit left, the next one does.
Status RunVisit(ClientConfig config);

// Where this process is the daemon's job: serves until a signal, or until its successor has taken
// over. Elsewhere: submits such a job unless there is one; a line that says which.
Result<std::string> RunInJob(ClientConfig config, const std::string& config_path);

// The job of a task that does not exist, with the first model and data of the policy, as the
// scheduler would get it. `kind`: train or evaluate.
Result<std::string> RenderSample(ClientConfig config, const std::string& kind);

}  // namespace tributary::client
