// Folds one round from files into files: the engine below every aggregator.
//
// Updates are safetensors files with the manifest of the global adapter, or the part of it that the
// round's directive lets travel; they are mapped, and folded block by block or module by module by
// a few threads. Memory holds blocks and modules, whatever the size of the model and the number of
// sites. The same files give the same bits for any number of threads.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "aggregators/aggregator.h"
#include "core/safetensors.h"
#include "core/status.h"

namespace tributary::aggregators {

// F32, F16, BF16, or I8 with a second tensor "<name>.scale" (F32, one per 4096 values).
// A SCAFFOLD update also has "second.<name>" for every tensor.
struct SpooledUpdate {
  Contribution contribution;
  std::string path;
};

struct RoundInput {
  std::int64_t number = 1;
  std::uint64_t seed = 0;
  std::int64_t registered_sites = 0;
  double lora_scale = 1;                     // s of W + s B A
  std::string global_path;                   // the current version, F32
  std::map<std::string, std::string> state;  // state vectors: name -> path, F32, the same manifest
  std::map<std::string, double> numbers;
  std::vector<SpooledUpdate> updates;  // put into site order here
  unsigned threads = 2;
  std::size_t block = 0;  // parameters handed out at a time; 0: what suits the caches; for tests
  const std::atomic<bool>* stop = nullptr;  // when it becomes true the fold ends soon: cancelled
};

struct RoundOutput {
  struct File {
    std::string path;  // in the output directory, durable
    SafetensorsWriter::Written written;
  };
  File next;
  std::map<std::string, File> state;  // the vectors that this round made; others stay as they are
  std::map<std::string, double> numbers;
  // Products for the sites' base weights: "<module>.merged_A.weight" [q, in] and
  // "<module>.merged_B.weight" [out, q], scale included. Absent when there are none.
  std::optional<File> merged;
  double dropped_energy = 0;  // sum over modules
};

// Files are written into `directory`, under names that begin with `prefix`; none stays when this
// fails. Invalid argument, naming the site, for an update whose manifest is not what the directive
// of this round asks for (a frozen factor does not travel), or for a second update of one site;
// data loss when a file cannot be read to its end; resource exhausted when memory is not enough.
Result<RoundOutput> FoldRound(const Aggregator& aggregator, RoundInput input,
                              const std::string& directory, const std::string& prefix);

// Facts about one update that are cheap in one pass.
struct UpdateScan {
  double norm = 0;  // L2 of the update, without "second." tensors; accumulated in fp64
  bool finite = true;
  std::string first_bad_tensor;  // when not finite
};
// Data loss when the file cannot be read to its end.
Result<UpdateScan> ScanUpdate(const SafetensorsFile& update);

}  // namespace tributary::aggregators
