// The last door before the wire: only tensors that the task was to send, right shape and dtype,
// finite, within the site's size limit, leave; and only metrics that the site's policy lists.
#pragma once

#include <map>
#include <string>

#include "client/client_config.h"
#include "core/safetensors.h"
#include "core/status.h"
#include "core/train_directive.h"

namespace tributary::client {

struct UpdateFiles {
  std::string trained;
  std::string start;          // what the training started from
  std::string control;        // the server's control variate; absent: zeros
  std::string update;         // to be written
  std::string residual = {};  // what rounding took from the last update; absent: zeros
};

struct UpdateRules {
  Manifest trained;  // what both adapters must hold, from what the campaign was accepted with
  TrainDirective directive;
  double learning_rate_sum = 0;  // of the task; for control variates
  ByteSize max_update;
};

// Writes what leaves: trained - start (fp32), with error feedback plus the residual, for every
// tensor of UpdateManifest and, with control variates, "second.<name>" = -c - (trained - start) /
// learning_rate_sum: what the site's own changes by (SCAFFOLD's option II, arXiv:1910.06378); all
// of it as the directive's dtype. Durable. Errors name the first offence; nothing is left then.
Result<SafetensorsWriter::Written> WriteUpdateFile(const UpdateFiles& files,
                                                   const UpdateRules& rules);

// Finite metrics that the policy lists, with printable names, as many as a report may have.
std::map<std::string, double> FilterMetrics(const std::map<std::string, double>& metrics,
                                            const PolicySection& policy);

}  // namespace tributary::client
