// The last door before the wire: only tensors that the campaign's adapter declares, right shape and
// dtype, finite, within the site's size limit, leave; and only metrics that the site's policy
// lists.
#pragma once

#include <map>
#include <string>

#include "client/client_config.h"
#include "core/safetensors.h"
#include "core/status.h"

namespace tributary::client {

// Reads the trained adapter and the global one, writes delta = trained - global (fp32) to
// `delta_path`, durable. `manifest` is what the campaign was accepted with. Errors name the first
// offence; nothing is written then.
Result<SafetensorsWriter::Written> WriteDelta(const std::string& trained_path,
                                              const std::string& global_path,
                                              const Manifest& manifest, const ByteSize& max_update,
                                              const std::string& delta_path);

// Finite metrics that the policy lists.
std::map<std::string, double> FilterMetrics(const std::map<std::string, double>& metrics,
                                            const PolicySection& policy);

}  // namespace tributary::client
