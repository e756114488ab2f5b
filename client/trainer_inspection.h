// Asking the site's trainer what it would refuse, before a job waits for it: `inspect`, as
// docs/trainer_contract.md describes it. A trainer need not know it.
#pragma once

#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "client/client_config.h"
#include "client/doctor_check.h"
#include "core/status.h"

namespace tributary::client {

struct InspectionRequest {
  std::string model;                // directory
  std::string adapter_config_json;  // empty: none
  std::vector<std::string> data;    // files
};

struct Inspection {
  struct Finding {
    std::string what, path;
    Outcome outcome = Outcome::kOk;
    std::string found;
  };
  std::optional<std::set<std::string>> abilities;  // none: the trainer does not say
  std::vector<Finding> findings;

  // Of all findings of this path (empty: of any) that are about one of `whats`, the worst.
  const Finding* Worst(const std::vector<std::string_view>& whats,
                       std::string_view path = {}) const;
};

// Unavailable, with what it said, when the trainer does not answer in this way: nothing follows
// from that.
Result<Inspection> InspectWithTrainer(const ClientConfig& config, const InspectionRequest& request,
                                      std::chrono::seconds limit);

// The answer, as it stands on the last line of a trainer's standard output.
Result<Inspection> ParseInspection(std::string_view output);

}  // namespace tributary::client
