#include "tests/bench/aggregate_benchmark.h"

#include <fcntl.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <thread>
#include <vector>

#include "aggregators/file_round.h"
#include "aggregators/source_sum.h"
#include "aggregators/team.h"
#include "aggregators/weighted_sum.h"
#include "core/files.h"
#include "core/random.h"
#include "core/safetensors.h"

namespace tributary::bench {
namespace {

using aggregators::FoldRound;
using aggregators::RoundInput;
using nlohmann::json;

constexpr std::int64_t kTensor = std::int64_t{4} << 20;  // parameters
constexpr std::size_t kPiece = std::size_t{1} << 20;
constexpr int kRepetitions = 3;
constexpr double kMib = 1 << 20;

// One round's files.
struct Files {
  std::string directory;
  std::string global;
  std::vector<std::string> f32;
  std::vector<std::string> bf16;
};

double Seconds(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

Manifest ManifestOf(std::int64_t parameters, DType dtype) {
  Manifest manifest;
  for (std::int64_t at = 0; at < parameters; at += kTensor) {
    char name[32];
    std::snprintf(name, sizeof name, "tensor.%06lld", static_cast<long long>(at / kTensor));
    manifest.push_back({name, dtype, {std::min(kTensor, parameters - at)}});
  }
  return manifest;
}

// Random values; the same pool is read from another place for each piece.
class Pool {
 public:
  Pool() : values_(2 * kPiece) {
    SplitMix64 random(1);
    for (float& value : values_) value = static_cast<float>(random.Unit() * 2 - 1) * 1e-3F;
    for (const float value : values_) {
      halves_.push_back(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16));
    }
  }

  Status Write(const std::string& path, std::int64_t parameters, DType dtype,
               std::uint64_t seed) const {
    TRIBUTARY_ASSIGN_OR_RETURN(
        SafetensorsWriter writer,
        SafetensorsWriter::Create(path, ManifestOf(parameters, dtype), {}, /*durable=*/false));
    SplitMix64 random(seed);
    for (auto left = static_cast<std::size_t>(parameters); left > 0;) {
      const std::size_t count = std::min(left, kPiece);
      const std::size_t at = random.Below(kPiece);
      const auto bytes = dtype == DType::kF32
                             ? std::as_bytes(std::span(values_).subspan(at, count))
                             : std::as_bytes(std::span(halves_).subspan(at, count));
      TRIBUTARY_RETURN_IF_ERROR(writer.Append(bytes));
      left -= count;
    }
    return writer.Finish().status();
  }

 private:
  std::vector<float> values_;
  std::vector<std::uint16_t> halves_;
};

Result<Files> WriteFiles(const std::string& directory, const AggregateOptions& options,
                         bool halves) {
  const Pool pool;
  Files files{directory, directory + "/global", {}, {}};
  TRIBUTARY_RETURN_IF_ERROR(pool.Write(files.global, options.parameters, DType::kF32, 0));
  for (int k = 0; k < options.sites; ++k) {
    const auto seed = static_cast<std::uint64_t>(1 + k);
    files.f32.push_back(directory + "/f32-" + std::to_string(k));
    TRIBUTARY_RETURN_IF_ERROR(pool.Write(files.f32.back(), options.parameters, DType::kF32, seed));
    if (!halves) continue;
    files.bf16.push_back(directory + "/bf16-" + std::to_string(k));
    TRIBUTARY_RETURN_IF_ERROR(
        pool.Write(files.bf16.back(), options.parameters, DType::kBf16, seed));
  }
  return files;
}

// The plain loop: adds up the values of a mapped tensor, in lanes that are independent.
float Sum(std::span<const std::byte> bytes, DType dtype) {
  constexpr std::size_t kLanes = 64;
  float lanes[kLanes] = {};
  const auto add = [&](const auto* values, std::size_t count, const auto& widen) {
    for (std::size_t at = 0; at + kLanes <= count; at += kLanes) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += widen(values[at + lane]);
    }
  };
  if (dtype == DType::kF32) {
    add(reinterpret_cast<const float*>(bytes.data()), bytes.size() / 4,
        [](float value) { return value; });
  } else {
    add(reinterpret_cast<const std::uint16_t*>(bytes.data()), bytes.size() / 2,
        [](std::uint16_t half) { return std::bit_cast<float>(std::uint32_t{half} << 16); });
  }
  return std::accumulate(std::begin(lanes), std::end(lanes), 0.0F);
}

// The limit: seconds in which two threads sum all values of freshly mapped files.
Result<double> ReadAll(const std::vector<std::string>& paths) {
  const auto begin = std::chrono::steady_clock::now();
  std::vector<SafetensorsFile> files;
  for (const std::string& path : paths) {
    TRIBUTARY_ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::Open(path));
    files.push_back(std::move(file));
  }
  float sums[2] = {};
  const auto read = [&](std::size_t half) {
    for (std::size_t k = half; k < files.size(); k += 2) {
      for (const SafetensorsEntry& entry : files[k].header().tensors) {
        sums[half] += Sum(files[k].Bytes(entry), entry.spec.dtype);
      }
    }
  };
  std::thread other([&] { read(1); });
  read(0);
  other.join();
  volatile float sink = sums[0] + sums[1];  // the sums are used: the loops stay
  (void)sink;
  return Seconds(begin);
}

// Seconds in which two threads read the updates with the engine's readers and form their weighted
// sum, and nothing is written.
Result<double> SumOnly(const Files& files, const std::vector<std::string>& paths) {
  const auto begin = std::chrono::steady_clock::now();
  TRIBUTARY_ASSIGN_OR_RETURN(const SafetensorsFile global, SafetensorsFile::Open(files.global));
  const Manifest manifest = global.ToManifest();
  std::vector<aggregators::OpenUpdate> updates;
  for (const std::string& path : paths) {
    aggregators::UpdateLayout layout;
    layout.global = &manifest;
    TRIBUTARY_ASSIGN_OR_RETURN(auto update, aggregators::OpenUpdateFile(path, layout));
    updates.push_back(std::move(update));
  }
  const std::vector<float> weights(paths.size(), 1 / static_cast<float>(paths.size()));
  float sinks[2] = {};
  TRIBUTARY_RETURN_IF_ERROR(
      aggregators::RunTeam(2, manifest.size(), {}, [&](unsigned thread, std::size_t tensor) {
        aggregators::SourceSum sources;
        std::vector<float> buffer(aggregators::kSumPiece);
        const std::size_t size = manifest[tensor].ElementCount();
        for (std::size_t at = 0; at < size; at += buffer.size()) {
          const auto sum = std::span(buffer).first(std::min(buffer.size(), size - at));
          sources.Form(updates, weights, tensor, at, sum);
          sinks[thread] += sum[0];
        }
        return OkStatus();
      }));
  volatile float sink = sinks[0] + sinks[1];
  (void)sink;
  return Seconds(begin);
}

// The other limit: seconds in which a version is written, hashed and on the disk.
Result<double> WriteVersion(const Files& files) {
  TRIBUTARY_ASSIGN_OR_RETURN(const SafetensorsFile global, SafetensorsFile::Open(files.global));
  const std::string path = files.directory + "/written";
  const auto begin = std::chrono::steady_clock::now();
  TRIBUTARY_ASSIGN_OR_RETURN(SafetensorsWriter writer,
                             SafetensorsWriter::Create(path, global.ToManifest()));
  for (const SafetensorsEntry& entry : global.header().tensors) {
    TRIBUTARY_RETURN_IF_ERROR(writer.Append(global.Bytes(entry)));
  }
  TRIBUTARY_RETURN_IF_ERROR(writer.Finish().status());
  const double seconds = Seconds(begin);
  TRIBUTARY_RETURN_IF_ERROR(RemoveFile(path));
  return seconds;
}

Result<double> Fold(const Files& files, const std::vector<std::string>& paths, std::size_t sites,
                    const std::string& kind) {
  AggregatorSection section;
  section.kind = kind;
  TRIBUTARY_ASSIGN_OR_RETURN(const auto aggregator, aggregators::MakeAggregator(section));
  RoundInput input;
  input.registered_sites = static_cast<std::int64_t>(sites);
  input.global_path = files.global;
  for (std::size_t k = 0; k < sites; ++k) {
    aggregators::Contribution contribution;
    contribution.site = "site-" + std::to_string(k);
    contribution.samples = static_cast<std::int64_t>(1 + k);
    input.updates.push_back({std::move(contribution), paths[k % paths.size()]});
  }
  const auto begin = std::chrono::steady_clock::now();
  TRIBUTARY_ASSIGN_OR_RETURN(const auto output,
                             FoldRound(*aggregator, std::move(input), files.directory, "out-"));
  const double seconds = Seconds(begin);
  TRIBUTARY_RETURN_IF_ERROR(RemoveFile(output.next.path));
  return seconds;
}

// Of `kind`, in turns with the limit, so that both see the same machine.
Result<json> WeightedMean(const Files& files, const std::vector<std::string>& paths,
                          double* seconds) {
  double fold = 0;
  double limit = 0;
  double writing = 0;
  double sum = 0;
  for (int i = 0; i < kRepetitions; ++i) {
    TRIBUTARY_ASSIGN_OR_RETURN(const double wrote, WriteVersion(files));
    writing = i == 0 ? wrote : std::min(writing, wrote);
    TRIBUTARY_ASSIGN_OR_RETURN(const double read, ReadAll(paths));
    TRIBUTARY_ASSIGN_OR_RETURN(const double took, Fold(files, paths, paths.size(), "fedavg"));
    TRIBUTARY_ASSIGN_OR_RETURN(const double summed, SumOnly(files, paths));
    limit = i == 0 ? read : std::min(limit, read);
    sum = i == 0 ? summed : std::min(sum, summed);
    fold = i == 0 ? took : std::min(fold, took);
  }
  *seconds = fold;
  TRIBUTARY_ASSIGN_OR_RETURN(const std::uint64_t bytes, FileSize(paths[0]));
  const double gigabytes = static_cast<double>(bytes * paths.size()) / 1e9;
  return json{{"seconds", fold},
              {"gigabytes_per_second", gigabytes / fold},
              {"limit_gigabytes_per_second", gigabytes / limit},
              {"limit_seconds_reading", limit},
              {"limit_seconds_writing", writing},
              {"seconds_summing", sum},
              {"summing_ratio_to_limit", limit / sum},
              {"ratio_to_limit", limit / fold},
              {"ratio_to_reading_then_writing", (limit + writing) / fold}};
}

Result<json> AgainstMean(const Files& files, const std::string& kind, double mean) {
  double best = 0;
  for (int i = 0; i < kRepetitions; ++i) {
    TRIBUTARY_ASSIGN_OR_RETURN(const double took, Fold(files, files.f32, files.f32.size(), kind));
    best = i == 0 ? took : std::min(best, took);
  }
  return json{{"seconds", best}, {"times_the_weighted_mean", best / mean}};
}

// VmHWM in MiB, from the moment ResetPeak() was called.
Status ResetPeak() {
  TRIBUTARY_ASSIGN_OR_RETURN(const FileDescriptor file,
                             OpenFile("/proc/self/clear_refs", O_WRONLY));
  return WriteAll(file.get(), "5", 1);
}

Result<double> PeakMib() {
  std::ifstream status("/proc/self/status");  // of no size that could be asked for
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with("VmHWM:")) return std::strtod(line.c_str() + 6, nullptr) / 1024;
  }
  return InternalError("/proc/self/status has no VmHWM");
}

Result<json> PeakMemory(const Files& files, const std::string& kind, std::int64_t parameters) {
  const double model = static_cast<double>(parameters) * sizeof(float) / kMib;
  json peaks = json::object();
  for (const std::size_t sites : {4, 16, 64}) {
    TRIBUTARY_RETURN_IF_ERROR(ResetPeak());
    TRIBUTARY_RETURN_IF_ERROR(Fold(files, files.f32, sites, kind).status());
    TRIBUTARY_ASSIGN_OR_RETURN(const double peak, PeakMib());
    peaks[std::to_string(sites)] = {{"mib", peak}, {"ratio_to_limit", peak / (model + 256)}};
  }
  return peaks;
}

Result<json> OneFold(const Files& files, const AggregateOptions& options) {
  TRIBUTARY_RETURN_IF_ERROR(ResetPeak());
  TRIBUTARY_ASSIGN_OR_RETURN(const double seconds,
                             Fold(files, files.f32, files.f32.size(), options.fold));
  TRIBUTARY_ASSIGN_OR_RETURN(const double peak, PeakMib());
  const auto bytes = static_cast<double>(options.parameters) * options.sites * sizeof(float);
  return json{{"sites", options.sites},   {"parameters", options.parameters},
              {"strategy", options.fold}, {"gigabytes_of_updates", bytes / 1e9},
              {"seconds", seconds},       {"peak_mib", peak}};
}

}  // namespace

Result<std::string> RunAggregateBenchmark(const AggregateOptions& options) {
  const auto make = [&] {
    return options.directory.empty()
               ? TemporaryDirectory::Create("tributary-bench-")
               : TemporaryDirectory::CreateIn(options.directory, "tributary-bench-");
  };
  TRIBUTARY_ASSIGN_OR_RETURN(const auto scratch, make());
  const bool all = options.fold.empty();
  TRIBUTARY_ASSIGN_OR_RETURN(const Files files, WriteFiles(scratch.path(), options, all));
  if (!all) {
    TRIBUTARY_ASSIGN_OR_RETURN(const json fold, OneFold(files, options));
    return fold.dump(2);
  }
  json result{{"sites", options.sites}, {"parameters", options.parameters}};
  double mean = 0;
  double bf16_mean = 0;
  TRIBUTARY_ASSIGN_OR_RETURN(result["weighted_mean_f32"], WeightedMean(files, files.f32, &mean));
  TRIBUTARY_ASSIGN_OR_RETURN(result["weighted_mean_bf16"],
                             WeightedMean(files, files.bf16, &bf16_mean));
  for (const std::string kind : {"median", "trimmed-mean", "krum"}) {
    TRIBUTARY_ASSIGN_OR_RETURN(result[kind], AgainstMean(files, kind, mean));
  }
  for (const std::string kind : {"fedavg", "fedadam", "norm-clip"}) {
    TRIBUTARY_ASSIGN_OR_RETURN(result["peak_memory_by_sites"][kind],
                               PeakMemory(files, kind, options.parameters));
  }
  // Low-rank strategies: result["low_rank"], of low_rank_benchmark.h.
  return result.dump(2);
}

}  // namespace tributary::bench
