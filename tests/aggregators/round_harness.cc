#include "tests/aggregators/round_harness.h"

#include <bit>
#include <cmath>

#include "aggregators/kernels.h"
#include "aggregators/update_file.h"
#include "core/random.h"

namespace tributary::aggregators {
namespace {

std::uint16_t ToBf16(float value) {  // to nearest, ties to even
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

std::uint16_t ToF16(float value) {  // the nearest of all halves, by search: slow and simple
  std::uint16_t low = 0;
  std::uint16_t high = 0x7bff;
  const auto widened = [](std::uint16_t half) {
    float out = 0;
    WidenF16(std::span(&half, 1), &out);
    return out;
  };
  const float magnitude = std::fabs(value);
  while (low < high) {
    const auto middle = static_cast<std::uint16_t>((low + high) / 2);
    if (widened(middle) < magnitude) {
      low = static_cast<std::uint16_t>(middle + 1);
    } else {
      high = middle;
    }
  }
  if (low > 0 &&
      magnitude - widened(static_cast<std::uint16_t>(low - 1)) < widened(low) - magnitude) {
    --low;
  }
  return static_cast<std::uint16_t>(low | (std::signbit(value) ? 0x8000 : 0));
}

template <typename T>
void AppendBytes(const std::vector<T>& values, HostTensor* tensor) {
  const auto bytes = std::as_bytes(std::span(values));
  tensor->bytes.assign(bytes.begin(), bytes.end());
}

struct Quantised {
  std::vector<std::int8_t> values;
  std::vector<float> scales;
};

Quantised Quantise(const std::vector<float>& values) {
  Quantised out;
  for (std::size_t at = 0; at < values.size(); at += kScaleGroup) {
    const std::size_t end = std::min(values.size(), at + kScaleGroup);
    float most = 0;
    for (std::size_t i = at; i < end; ++i) most = std::max(most, std::fabs(values[i]));
    const float scale = most > 0 ? most / 127 : 1;
    out.scales.push_back(scale);
    for (std::size_t i = at; i < end; ++i) {
      out.values.push_back(static_cast<std::int8_t>(std::lround(values[i] / scale)));
    }
  }
  return out;
}

template <typename T, typename Convert>
std::vector<T> Map(const std::vector<float>& values, Convert convert) {
  std::vector<T> out;
  for (const float value : values) out.push_back(convert(value));
  return out;
}

std::vector<NamedFloats> WithSecond(const SiteUpdate& update) {
  std::vector<NamedFloats> tensors = update.tensors;
  for (NamedFloats tensor : update.second) {
    tensor.name = std::string(kSecondPrefix) + tensor.name;
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

}  // namespace

SiteUpdate Sends(const std::string& site, std::vector<float> delta, std::int64_t weight) {
  Contribution contribution;
  contribution.site = site;
  contribution.samples = contribution.tokens = contribution.steps = weight;
  return {std::move(contribution), {{std::string(kTensor), std::move(delta)}}};
}

SiteUpdate Stale(const std::string& site, float delta, std::int64_t staleness) {
  SiteUpdate update = Sends(site, {delta});
  update.contribution.staleness = staleness;
  return update;
}

std::vector<SiteUpdate> Scalars(const std::vector<float>& values) {
  std::vector<SiteUpdate> updates;
  for (std::size_t k = 0; k < values.size(); ++k) {
    updates.push_back(Sends(std::string("s") + static_cast<char>('a' + k), {values[k]}));
  }
  return updates;
}

std::vector<float> RandomFloats(std::size_t count, std::uint64_t seed) {
  SplitMix64 random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(random.Unit() * 2 - 1);
  return values;
}

std::unique_ptr<Aggregator> MakeStrategy(const std::string& kind,
                                         const std::map<std::string, std::string>& options,
                                         AggregatorSection more) {
  more.kind = kind;
  more.options = options;
  auto made = MakeAggregator(more);
  EXPECT_TRUE(made.ok()) << made.status();
  return made.ok() ? std::move(*made) : nullptr;
}

Status MakeError(const std::string& kind, const std::map<std::string, std::string>& options,
                 AggregatorSection more) {
  more.kind = kind;
  more.options = options;
  return MakeAggregator(more).status();
}

void WriteUpdate(const std::string& path, const std::vector<NamedFloats>& tensors, DType dtype) {
  std::vector<HostTensor> host = ToHostTensors(tensors);
  const std::size_t count = host.size();
  for (std::size_t i = 0; i < count && dtype != DType::kF32; ++i) {
    const std::vector<float>& values = tensors[i].values;
    host[i].spec.dtype = dtype;
    if (dtype == DType::kBf16) AppendBytes(Map<std::uint16_t>(values, ToBf16), &host[i]);
    if (dtype == DType::kF16) AppendBytes(Map<std::uint16_t>(values, ToF16), &host[i]);
    if (dtype != DType::kI8) continue;
    const Quantised quantised = Quantise(values);
    AppendBytes(quantised.values, &host[i]);
    HostTensor scales;
    scales.spec = {host[i].spec.name + std::string(kScaleSuffix),
                   DType::kF32,
                   {static_cast<std::int64_t>(quantised.scales.size())}};
    AppendBytes(quantised.scales, &scales);
    host.push_back(std::move(scales));
  }
  const auto written = WriteSafetensors(path, host);
  EXPECT_TRUE(written.ok()) << written.status();
}

std::vector<float> AsSent(const std::vector<float>& values, DType dtype) {
  std::vector<float> out(values.size());
  if (dtype == DType::kF32) return values;
  if (dtype == DType::kBf16) WidenBf16(Map<std::uint16_t>(values, ToBf16), out.data());
  if (dtype == DType::kF16) WidenF16(Map<std::uint16_t>(values, ToF16), out.data());
  if (dtype == DType::kI8) {
    const Quantised quantised = Quantise(values);
    for (std::size_t i = 0; i < values.size(); ++i) {
      out[i] = quantised.scales[i / kScaleGroup] * static_cast<float>(quantised.values[i]);
    }
  }
  return out;
}

RoundHarness::RoundHarness(std::vector<NamedFloats> global) {
  input_.global_path = directory_ / "v0";
  input_.seed = 7;
  WriteFloats(input_.global_path, global);
}

RoundHarness::RoundHarness(std::vector<float> global)
    : RoundHarness(std::vector<NamedFloats>{{std::string(kTensor), std::move(global)}}) {}

Status RoundHarness::Step(const Aggregator& aggregator, const std::vector<SiteUpdate>& updates) {
  RoundInput input = input_;
  const std::string round = "r" + std::to_string(input_.number) + ".";
  for (std::size_t k = 0; k < updates.size(); ++k) {
    const std::string path = directory_ / (round + "update-" + std::to_string(k));
    WriteUpdate(path, WithSecond(updates[k]), updates[k].dtype);
    input.updates.push_back({updates[k].contribution, path});
  }
  if (input.registered_sites == 0) {
    input.registered_sites = static_cast<std::int64_t>(updates.size());
  }
  auto output = FoldRound(aggregator, std::move(input), directory_.path(), round);
  if (!output.ok()) return output.status();
  output_ = *std::move(output);
  input_.global_path = output_.next.path;
  for (const auto& [name, file] : output_.state) input_.state[name] = file.path;
  input_.numbers = output_.numbers;
  ++input_.number;
  return OkStatus();
}

std::vector<float> RoundHarness::Fold(const Aggregator& aggregator,
                                      const std::vector<SiteUpdate>& updates) {
  const Status status = Step(aggregator, updates);
  EXPECT_TRUE(status.ok()) << status;
  return status.ok() ? Global() : std::vector<float>{};
}

std::vector<float> RoundHarness::Global(std::string_view tensor) const {
  return ReadFloats(input_.global_path, tensor);
}

std::vector<float> RoundHarness::State(const std::string& name, std::string_view tensor) const {
  const auto it = input_.state.find(name);
  EXPECT_NE(it, input_.state.end()) << name;
  return it == input_.state.end() ? std::vector<float>{} : ReadFloats(it->second, tensor);
}

std::map<std::string, Digest> RoundHarness::Digests() const {
  std::map<std::string, Digest> digests = {{"", *Sha256OfFile(input_.global_path)}};
  for (const auto& [name, path] : input_.state) digests[name] = *Sha256OfFile(path);
  return digests;
}

}  // namespace tributary::aggregators
