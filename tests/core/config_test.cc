#include "core/config.h"
#include "core/config_problem.h"

#include <gtest/gtest.h>

#include "core/files.h"
#include "tests/core/config_sample.h"

namespace tributary {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::string ProblemOf(std::string_view text) {
  SampleConfig config;
  const Status status = LoadYaml(text, "c.yaml", &config);
  EXPECT_EQ(config, SampleConfig()) << "a failed load changed its output";
  return status.message();
}

TEST(ConfigTest, LoadsEveryTypeOfField) {
  SampleConfig config;
  const Status status = LoadYaml(R"(
listen: "[::1]:9000"
mode: asynchronous
password: s3cret
verbose: true
retries: 7
seed: 18446744073709551615
scale: 2.5e-1
poll: 90s
memory: 2MiB
paths: [/a, "/b c"]
keys:
  - one
rounds:
  quorum: 3
  deadline: 2h
sites:
  - name: alpha
    labels: {gpu: a100, "rack 1": x}
  - {name: beta, weight: 4}
machines:
  big: {name: big-one}
limit: 5
evaluation: {quorum: 1}
)",
                                 "c.yaml", &config);
  ASSERT_TRUE(status.ok()) << status;
  SampleConfig expected;
  expected.listen = "[::1]:9000";
  expected.mode = "asynchronous";
  expected.password = "s3cret";
  expected.verbose = true;
  expected.retries = 7;
  expected.seed = 18446744073709551615u;
  expected.scale = 0.25;
  expected.poll = seconds(90);
  expected.memory = {2 << 20};
  expected.paths = {"/a", "/b c"};
  expected.keys = {"one"};
  expected.rounds.quorum = 3;
  expected.rounds.deadline = seconds(7200);
  expected.sites = {{"alpha", 1, {{"gpu", "a100"}, {"rack 1", "x"}}}, {"beta", 4, {}}};
  expected.machines = {{"big", {"big-one", 1, {}}}};
  expected.limit = 5;
  expected.evaluation = SampleRounds{1, seconds(600), 0.5};
  EXPECT_EQ(config, expected);
}

TEST(ConfigTest, EmptyTextAndCommentsKeepTheDefaults) {
  for (const std::string_view text :
       {"", "\n\n", "# nothing\n", "---\n", "{}", "rounds:\nsites:\nlimit: ~\n"}) {
    SampleConfig config;
    EXPECT_TRUE(LoadYaml(text, "c.yaml", &config).ok()) << text;
    EXPECT_EQ(config, SampleConfig()) << text;
  }
}

TEST(ConfigTest, ReportsAllProblemsInTheOrderOfTheFile) {
  EXPECT_EQ(ProblemOf("rounds:\n"
                      "  quorum: 0\n"
                      "  deadlin: 10s\n"
                      "listen: ''\n"
                      "sites:\n"
                      "  - weight: -1\n"
                      "retries: many\n"),
            "c.yaml:2: rounds.quorum: 0 is out of range; must be 1..1000\n"
            "c.yaml:3: rounds.deadlin: unknown key; did you mean \"deadline\"?\n"
            "c.yaml:4: listen: must not be empty\n"
            "c.yaml:6: sites[0].name: is missing, and required\n"
            "c.yaml:6: sites[0].weight: must be a whole number that is not negative, got \"-1\"\n"
            "c.yaml:7: retries: must be a whole number, got \"many\"");
}

struct Case {
  std::string_view text;
  std::string_view problem;
};

TEST(ConfigTest, EachProblemSaysWhatIsWrongAndWhatIsAllowed) {
  const Case cases[] = {
      {"zzz: 1",
       "c.yaml:1: zzz: unknown key; known keys: listen, mode, password, verbose, retries, seed, "
       "scale, poll, memory, paths, keys, rounds, sites, machines, limit, evaluation"},
      {"seed: 1\nseed: 2", "c.yaml:2: seed: duplicate key; first on line 1"},
      {"machines:\n  a: {name: x}\n  a: {name: y}",
       "c.yaml:3: machines.a: duplicate key; first on line 2"},
      {"mode: synchronos",
       "c.yaml:1: mode: \"synchronos\" is not known; did you mean \"synchronous\"?; must be "
       "one of synchronous, asynchronous"},
      {"mode: other",
       "c.yaml:1: mode: \"other\" is not known; must be one of synchronous, asynchronous"},
      {"verbose: yes", "c.yaml:1: verbose: must be true or false, got \"yes\""},
      {"verbose: \"true\"",
       "c.yaml:1: verbose: must be true or false, got text \"true\" in quotes"},
      {"retries: \"3\"", "c.yaml:1: retries: must be a number, got text \"3\" in quotes"},
      {"retries: 99999999999", "c.yaml:1: retries: 99999999999 is out of range"},
      {"retries: -1", "c.yaml:1: retries: -1 is out of range; must be at least 0"},
      {"retries: 1.5", "c.yaml:1: retries: must be a whole number, got \"1.5\""},
      {"seed: -1", "c.yaml:1: seed: must be a whole number that is not negative, got \"-1\""},
      {"scale: 11", "c.yaml:1: scale: 11 is out of range; must be at most 10"},
      {"scale: .inf", "c.yaml:1: scale: must be a finite number, got \".inf\""},
      {"scale: nan", "c.yaml:1: scale: must be a finite number, got \"nan\""},
      {"poll: 90",
       "c.yaml:1: poll: must be a duration such as 250ms, 90s, 10m, 2h, 1d, got \"90\""},
      {"poll: 5ms", "c.yaml:1: poll: 5ms is out of range; must be at least 10ms"},
      {"poll: 99999999999999d", "c.yaml:1: poll: \"99999999999999d\" is too large"},
      {"rounds: {deadline: 1500ms}",
       "c.yaml:1: rounds.deadline: must be whole seconds, got \"1500ms\""},
      {"rounds: {deadline: 2d}", "c.yaml:1: rounds.deadline: 2d is out of range; must be 1s..1d"},
      {"memory: 10",
       "c.yaml:1: memory: must be a size such as 512B, 64KiB, 10MB, 2GiB, got \"10\""},
      {"memory: 2GiB", "c.yaml:1: memory: 2GiB is out of range; must be 4KiB..1GiB"},
      {"memory: 99999999999999999999B", "c.yaml:1: memory: \"99999999999999999999B\" is too large"},
      {"paths: []", "c.yaml:1: paths: must not be empty"},
      {"paths: /a", "c.yaml:1: paths: must be a list, got \"/a\""},
      {"paths: {a: b}", "c.yaml:1: paths: must be a list, got a map"},
      {"listen: [a]", "c.yaml:1: listen: must be a single value, got a list"},
      {"listen:", "c.yaml:1: listen: must be a single value, got nothing"},
      {"rounds: 5", "c.yaml:1: rounds: must be a map, got a value that is not shown"},
      {"machines: [1]", "c.yaml:1: machines: must be a map, got a list"},
      {"machines: {\"\": {name: x}}", "c.yaml:1: machines: has an empty key"},
      {"machines:\n  m:\n", "c.yaml:2: machines.m.name: is missing, and required"},
      {"limit: 0", "c.yaml:1: limit: 0 is out of range; must be at least 1"},
      {"- a\n- b", "c.yaml:1: must be a map, got a list"},
      {"rounds:\n  fraction: 0.95\n",
       "c.yaml:2: rounds.fraction: is above 0.9, which needs a quorum of at least 10"},
  };
  for (const Case& c : cases) EXPECT_EQ(ProblemOf(c.text), c.problem) << c.text;
}

TEST(ConfigTest, RefusesWhatTheSubsetOfYamlLeavesOut) {
  const Case cases[] = {
      {"rounds: &r {quorum: 1}", "c.yaml:1: anchors are not supported"},
      {"listen: a\nmode: *m", "c.yaml:2: "},
      {"listen: !!str 5", "c.yaml:1: tag \"tag:yaml.org,2002:str\" is not supported"},
      {"listen: !secret 5", "c.yaml:1: tag \"!secret\" is not supported"},
      {"listen: a\n---\nlisten: b\n", "c.yaml:3: a second document; only one is allowed"},
      {"[a]: 1", "c.yaml:1: a key must be plain text"},
      {"{a: 1}: 1", "c.yaml:1: a key must be plain text"},
      {"listen: [", "c.yaml:"},
      {"listen: \"a", "c.yaml:"},
      {"\tlisten: a", "c.yaml:1: "},
      {"listen: a\xff", "c.yaml:1: is not UTF-8 text"},
      {"listen: \"a\\_b\"",
       "c.yaml:1: an escape stands for no UTF-8 text; write the character itself"},
      {"\"a\\Nb\": 1", "c.yaml:1: an escape stands for no UTF-8 text; write the character itself"},
      {std::string_view("a: b\nlisten: a\0b", 16), "c.yaml:2: has a control character"},
  };
  for (const Case& c : cases) {
    const std::string problem = ProblemOf(c.text);
    EXPECT_EQ(problem.substr(0, c.problem.size()), c.problem) << c.text << "\n" << problem;
    EXPECT_EQ(problem.find('\n'), std::string::npos) << problem;
  }
}

TEST(ConfigTest, AliasesAreRefusedBeforeTheyCanMultiply) {
  std::string text = "a: &a [x, x]\n";
  for (char c = 'b'; c < 'z'; ++c) {
    text += std::string(1, c) + ": &" + c + " [*" + static_cast<char>(c - 1) + "]\n";
  }
  EXPECT_EQ(ProblemOf(text), "c.yaml:1: anchors are not supported");
}

TEST(ConfigTest, DepthAndSizeAreBounded) {
  const std::string deep = std::string(33, '[') + std::string(33, ']');
  EXPECT_EQ(ProblemOf(deep), "c.yaml:1: nested deeper than 32 levels");
  EXPECT_NE(ProblemOf(deep.substr(1, 64)), "c.yaml:1: nested deeper than 32 levels");
  for (const std::string_view unit :
       {"[", "{", "[{", "- ", "? ", "{a: ", "[\n", "- - \n", "? - "}) {
    std::string text;
    while (text.size() + unit.size() <= std::size_t{1} << 20) text += unit;
    EXPECT_FALSE(ProblemOf(text).empty()) << unit;
  }
  EXPECT_EQ(ProblemOf(std::string((1 << 20) + 1, ' ')),
            "c.yaml: has 1048577 bytes; at most 1048576 are allowed");
}

TEST(ConfigTest, SecretsAreNeitherPrintedNorQuotedInErrors) {
  SampleConfig config;
  config.password = "hunter2";
  config.keys = {"hunter2", "hunter3"};
  const std::string printed = PrintYaml(config);
  EXPECT_EQ(printed.find("hunter"), std::string::npos) << printed;
  EXPECT_NE(printed.find("password: \"<hidden>\"\n"), std::string::npos) << printed;
  EXPECT_EQ(ProblemOf("keys: hunter2"),
            "c.yaml:1: keys: must be a list, got a value that is not shown");
}

TEST(ConfigTest, PrintsTheEffectiveConfiguration) {
  SampleConfig config;
  config.listen = "a \"b\"\n\x1b";
  config.sites = {{"alpha", 1, {{"true", "no"}}}};
  EXPECT_EQ(PrintYaml(config),
            "listen: \"a \\\"b\\\"\\n\\x1b\"\n"
            "mode: synchronous\n"
            "password: \"\"\n"
            "verbose: false\n"
            "retries: 3\n"
            "seed: 0\n"
            "scale: 1\n"
            "poll: 250ms\n"
            "memory: 64MiB\n"
            "paths:\n"
            "  - /data\n"
            "keys: []\n"
            "rounds:\n"
            "  quorum: 2\n"
            "  deadline: 10m\n"
            "  fraction: 0.5\n"
            "sites:\n"
            "  -\n"
            "    name: alpha\n"
            "    weight: 1\n"
            "    labels:\n"
            "      \"true\": \"no\"\n"
            "machines: {}\n"
            "limit: null\n"
            "evaluation: null\n");
  EXPECT_EQ(PrintYaml(SampleRounds(), true),
            "# updates that close a round\n"
            "quorum: 2\n"
            "# latest close of a round\n"
            "deadline: 10m\n"
            "fraction: 0.5\n");
}

TEST(ConfigTest, WhatIsPrintedLoadsAgain) {
  SampleConfig config;
  config.listen = "- tricky: {\"#\\ \xC3\xA9";
  config.seed = ~std::uint64_t{0};
  config.scale = 0.1;
  config.poll = milliseconds(11);
  config.memory = {4097};
  config.paths = {"~", "null", "1", " x "};
  config.sites = {{"a", 2, {{"k: v", "#"}}}, {"b", 3, {}}};
  config.machines = {{"m 1", {"c", 1, {}}}};
  config.limit = 9;
  config.evaluation = SampleRounds{4, seconds(61), 0.25};
  for (const bool with_docs : {false, true}) {
    SampleConfig again;
    const Status status = LoadYaml(PrintYaml(config, with_docs), "printed", &again);
    EXPECT_TRUE(status.ok()) << status << PrintYaml(config, with_docs);
    EXPECT_EQ(again, config);
  }
}

TEST(ConfigTest, HostileBytesNeitherCrashNorChangeMeaningWhenPrinted) {
  const std::string_view seeds[] = {"listen: \"\\0\\x01\"",         "listen: |\n  a\n  b\n",
                                    "listen: >-\n  a\n\n  b\n",     "machines: {? {name: a}}",
                                    "sites: [{name: \"\\u2028\"}]", "listen: 'it''s'",
                                    "rounds: {fraction: 1e-300}"};
  for (const std::string_view seed : seeds) {
    EXPECT_TRUE(LoadSampleRoundTrips(seed)) << seed;
    for (std::size_t i = 0; i < seed.size(); ++i) {
      for (const char c : {'\0', '"', ':', '[', '}', '\n', '\xC3', '&', '*', '!', '%', '\\'}) {
        std::string mutated(seed);
        mutated[i] = c;
        EXPECT_TRUE(LoadSampleRoundTrips(mutated)) << mutated;
      }
    }
  }
}

TEST(ConfigTest, FilesAreNamedInErrors) {
  auto directory = TemporaryDirectory::Create("config");
  ASSERT_TRUE(directory.ok());
  const std::string path = JoinPath(directory->path(), "a.yaml");
  ASSERT_TRUE(WriteFileAtomic(path, "retries: x\n").ok());
  SampleConfig config;
  EXPECT_EQ(LoadYamlFile(path, &config).message(),
            path + ":1: retries: must be a whole number, got \"x\"");
  EXPECT_EQ(LoadYamlFile(path + ".no", &config).code(), StatusCode::kNotFound);
}

TEST(ConfigProblemTest, ALaterProblemHasTheLineOfItsKey) {
  const std::string text = "name: c\nadapter:\n  rank: 4\n  site_ranks:\n    a: 2\nlist: [1]\n";
  const auto at = [&](const std::string& problem) {
    return AtLine(text, "f.yaml", NotFoundError(problem));
  };
  EXPECT_EQ(at("adapter.site_ranks: no"), NotFoundError("f.yaml:4: adapter.site_ranks: no"));
  EXPECT_EQ(at("adapter.site_ranks.a: no").message(), "f.yaml:5: adapter.site_ranks.a: no");
  EXPECT_EQ(at("adapter: rank: no").message(), "f.yaml:3: adapter: rank: no");
  EXPECT_EQ(at("adapter: target_modules: no").message(), "f.yaml:2: adapter: target_modules: no");
  EXPECT_EQ(at("adapter: wrong").message(), "f.yaml:2: adapter: wrong");
  EXPECT_EQ(at("list: x").message(), "f.yaml:6: list: x");
  for (const char* other : {"update.dtype: no", "no key at all", "", ": ", "a.b.c: d: e"}) {
    EXPECT_EQ(at(other).message(), "f.yaml: " + std::string(other));
  }
  EXPECT_EQ(AtLine("a: [", "f.yaml", NotFoundError("a: no")).message(), "f.yaml: a: no");
  EXPECT_TRUE(AtLine(text, "f.yaml", OkStatus()).ok());
}

TEST(ConfigUnitsTest, ReadsAndWritesDurationsAndSizes) {
  EXPECT_EQ(*ParseDuration("0s"), seconds(0));
  EXPECT_EQ(*ParseDuration("1d"), std::chrono::hours(24));
  EXPECT_FALSE(ParseDuration("").ok());
  EXPECT_FALSE(ParseDuration("-1s").ok());
  EXPECT_FALSE(ParseDuration("1 s").ok());
  EXPECT_FALSE(ParseDuration("1.5h").ok());
  EXPECT_EQ(FormatDuration(seconds(90)), "90s");
  EXPECT_EQ(FormatDuration(seconds(0)), "0s");
  EXPECT_EQ(FormatDuration(milliseconds(1001)), "1001ms");
  EXPECT_EQ(ParseByteSize("3TiB")->bytes, std::uint64_t{3} << 40);
  EXPECT_EQ(ParseByteSize("10MB")->bytes, 10'000'000u);
  EXPECT_FALSE(ParseByteSize("10mb").ok());
  EXPECT_EQ(FormatByteSize({0}), "0B");
  EXPECT_EQ(FormatByteSize({1000}), "1kB");
  EXPECT_EQ(FormatByteSize({1536}), "1536B");
}

TEST(ConfigTest, WhatWasRecordedIsReadWhateverIsAskedToday) {
  SampleConfig config;
  const Status status = LoadRecordedYaml(
      "retries: -4\nmode: lockstep\ngone: {a: [1]}\nscale: 1e6\npaths: []\nsites: [{weight: 4}]\n",
      &config);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(config.retries, -4);
  EXPECT_EQ(config.mode, "lockstep");
  EXPECT_EQ(config.scale, 1e6);
  ASSERT_EQ(config.sites.size(), 1U);
  EXPECT_EQ(config.sites[0].weight, 4);
  EXPECT_EQ(config.listen, SampleConfig().listen);
  EXPECT_FALSE(LoadRecordedYaml("a: [", &config).ok());
}

}  // namespace
}  // namespace tributary
