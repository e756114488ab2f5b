// Folds spooled updates into the next version, block by block: memory holds a few blocks, whatever
// the size of the model and the number of sites.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "aggregators/aggregator.h"
#include "core/safetensors.h"
#include "core/status.h"

namespace tributary::aggregators {

struct SpooledUpdate {
  Contribution contribution;
  std::string path;  // safetensors, F32, the manifest of the global adapter
};

// Reads the current version from `global_path`, writes the next to `next_path` (durable). `updates`
// are put into site order here. An update that does not have the global adapter's manifest is an
// error that names its site.
Result<SafetensorsWriter::Written> FoldUpdates(Aggregator& aggregator,
                                               const std::string& global_path,
                                               std::vector<SpooledUpdate> updates,
                                               const std::string& next_path);

// Facts about one update that are cheap in one pass.
struct UpdateScan {
  double norm = 0;  // L2, accumulated in fp64
  bool finite = true;
  std::string first_bad_tensor;  // when not finite
};
Result<UpdateScan> ScanUpdate(const SafetensorsFile& update);

}  // namespace tributary::aggregators
