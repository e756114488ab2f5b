// A configuration with a field of every type, for the tests and the fuzz target of the loader.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/config.h"

namespace tributary {

struct SampleRounds {
  std::int64_t quorum = 2;
  std::chrono::seconds deadline{600};
  double fraction = 0.5;

  void Describe(ConfigVisitor& v) {
    v.Field("quorum", &quorum, {.doc = "updates that close a round", .min = 1, .max = 1000});
    v.Field("deadline", &deadline, {.doc = "latest close of a round", .min = 1, .max = 86400});
    v.Field("fraction", &fraction, {.min = 0, .max = 1});
  }
  void Check(ConfigProblems& problems) const {
    if (fraction > 0.9 && quorum < 10) {
      problems.Add("fraction", "is above 0.9, which needs a quorum of at least 10");
    }
  }
  friend bool operator==(const SampleRounds&, const SampleRounds&) = default;
};

struct SampleSite {
  std::string name;
  std::uint64_t weight = 1;
  std::map<std::string, std::string> labels;

  void Describe(ConfigVisitor& v) {
    v.Field("name", &name, {.required = true, .non_empty = true});
    v.Field("weight", &weight);
    v.Field("labels", &labels);
  }
  friend bool operator==(const SampleSite&, const SampleSite&) = default;
};

struct SampleConfig {
  std::string listen = "0.0.0.0:7443";
  std::string mode = "synchronous";
  std::string password;
  bool verbose = false;
  int retries = 3;
  std::uint64_t seed = 0;
  double scale = 1;
  std::chrono::milliseconds poll{250};
  ByteSize memory{std::uint64_t{64} << 20};
  std::vector<std::string> paths = {"/data"};
  std::vector<std::string> keys;
  SampleRounds rounds;
  std::vector<SampleSite> sites;
  std::map<std::string, SampleSite> machines;
  std::optional<std::int64_t> limit;
  std::optional<SampleRounds> evaluation;

  void Describe(ConfigVisitor& v) {
    v.Field("listen", &listen, {.doc = "address and port", .non_empty = true});
    v.Field("mode", &mode, {.one_of = {"synchronous", "asynchronous"}});
    v.Field("password", &password, {.secret = true});
    v.Field("verbose", &verbose);
    v.Field("retries", &retries, {.min = 0});
    v.Field("seed", &seed);
    v.Field("scale", &scale, {.max = 10});
    v.Field("poll", &poll, {.min = 0.01});
    v.Field("memory", &memory, {.min = 4096, .max = 1 << 30});
    v.Field("paths", &paths, {.non_empty = true});
    v.Field("keys", &keys, {.secret = true});
    v.Field("rounds", &rounds);
    v.Field("sites", &sites);
    v.Field("machines", &machines);
    v.Field("limit", &limit, {.min = 1});
    v.Field("evaluation", &evaluation);
  }
  friend bool operator==(const SampleConfig&, const SampleConfig&) = default;
};

// Loads arbitrary bytes; what loads must print to text that loads again to the same values. False
// when it does not.
inline bool LoadSampleRoundTrips(std::string_view bytes) {
  SampleConfig config;
  if (!LoadYaml(bytes, "sample", &config).ok()) return true;
  config.password.clear();  // printed hidden
  config.keys.clear();
  SampleConfig again;
  return LoadYaml(PrintYaml(config), "printed", &again).ok() && again == config;
}

}  // namespace tributary
