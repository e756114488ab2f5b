// Every strategy from end to end, with real processes: three rounds over five sites, once in peace
// and once with servers and sites killed meanwhile. The bits are the same.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "aggregators/aggregator.h"
#include "cli/campaign_commands.h"
#include "client/site_adapter.h"
#include "tests/core/test_files.h"
#include "tests/integration/federation_harness.h"

namespace tributary::integration {
namespace {

constexpr int kSites = 5;
constexpr std::chrono::seconds kLimit{240};

using aggregators::Strategy;

// A LoRA adapter of rank 4 on two modules; with a middle matrix where the strategy trains that.
void WriteAdapter(const std::string& directory, bool middle) {
  const auto values = [](std::size_t count, float step) {
    std::vector<float> list(count);
    for (std::size_t i = 0; i < count; ++i) list[i] = step * static_cast<float>(i % 7 + 1);
    return list;
  };
  std::vector<NamedFloats> tensors;
  for (const std::string module : {"m.q_proj", "m.v_proj"}) {
    tensors.push_back({module + ".lora_A.weight", values(4 * 6, 0.01F), {4, 6}});
    tensors.push_back({module + ".lora_B.weight", values(8 * 4, 0.02F), {8, 4}});
    if (middle) tensors.push_back({module + ".lora_C.weight", values(4 * 4, 0.005F), {4, 4}});
  }
  ASSERT_TRUE(MakeDirectories(directory).ok());
  WriteFloats(directory + "/adapter_model.safetensors", tensors);
}

// Updates that travel rounded, with what rounding takes kept at the sites.
std::vector<CampaignFile> RoundedCampaigns(const FederationHarness& harness) {
  std::vector<CampaignFile> files;
  for (const std::string dtype : {"bf16", "int8"}) {
    files.push_back(harness.Campaign("allowed-" + dtype, kRounds));
    files.back().data.evaluate.clear();
    files.back().update.dtype = dtype;
  }
  return files;
}

CampaignFile CampaignFor(const FederationHarness& harness, const Strategy& strategy) {
  CampaignFile file = harness.Campaign("allowed-" + std::string(strategy.kind), kRounds);
  file.data.evaluate.clear();
  file.adapter.rank = 4;
  file.adapter.alpha = 8;
  file.adapter.initial = strategy.kind == "fed-sb" ? "lora-sb" : "lora";
  file.adapter.middle = strategy.kind == "fed-sb";
  file.aggregator.kind = strategy.kind;
  if (strategy.kind == "fltrust") file.aggregator.options["root_site"] = "site-0";
  if (strategy.kind == "hetlora") {  // every site halves its ranks in each round, down to one
    file.aggregator.options = {{"rank_decay", "0.5"}, {"least_rank", "1"}};
  }
  if (strategy.capabilities.mixed_ranks) {
    file.adapter.site_ranks = {{"site-0", 2}, {"site-3", 1}};
  }
  return file;
}

// All sites gave up all ranks but the first, and sent zeros for the others.
void ExpectOneRank(const std::string& version) {
  constexpr float kRounding = 1e-7F;  // of weights that add up to one
  for (const std::string module : {"m.q_proj", "m.v_proj"}) {
    const auto a = ReadFloats(version, module + ".lora_A.weight");
    const auto b = ReadFloats(version, module + ".lora_B.weight");
    ASSERT_EQ(a.size(), 4U * 6);
    ASSERT_EQ(b.size(), 8U * 4);
    for (std::size_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(std::abs(a[i]) > kRounding, i / 6 == 0) << module << " A " << i << ": " << a[i];
    }
    for (std::size_t i = 0; i < b.size(); ++i) {
      EXPECT_EQ(std::abs(b[i]) > kRounding, i % 4 == 0) << module << " B " << i << ": " << b[i];
    }
  }
}

// The last version of a campaign of each strategy.
std::map<std::string, std::string> RunAll(bool disturbed) {
  std::map<std::string, std::string> digests;
  auto started = FederationHarness::Start(kSites);
  EXPECT_TRUE(started.ok()) << started.status();
  if (!started.ok()) return digests;
  FederationHarness& harness = **started;
  WriteAdapter(harness.directory() + "/lora", false);
  WriteAdapter(harness.directory() + "/lora-sb", true);
  std::vector<CampaignFile> files = RoundedCampaigns(harness);
  for (const Strategy* strategy : aggregators::Strategies()) {
    if (strategy->capabilities.min_sites > kSites) continue;
    files.push_back(CampaignFor(harness, *strategy));
  }
  std::vector<std::string> campaigns;
  for (const CampaignFile& file : files) {
    const auto id = harness.Submit(file);
    EXPECT_TRUE(id.ok()) << id.status();
    if (id.ok()) campaigns.push_back(*id);
    if (disturbed && campaigns.size() % 12 == 5) {
      harness.KillServer();
      EXPECT_TRUE(harness.StartServer().ok());
      harness.KillClient("site-1");
      EXPECT_TRUE(harness.StartClient("site-1").ok());
    }
  }
  for (const std::string& campaign : campaigns) {
    const auto status = harness.AwaitEnd(campaign, kLimit);
    EXPECT_TRUE(status.ok()) << campaign << ": " << status.status();
    if (!status.ok()) continue;
    EXPECT_EQ(status->phase(), "completed") << campaign << ": " << status->note();
    EXPECT_EQ(status->version(), kRounds);
    for (const v1::RoundStatus& round : status->round_history()) {
      for (const v1::Contribution& c : round.contributions()) {
        EXPECT_EQ(c.outcome(), "accepted") << campaign << " " << c.site() << ": " << c.reason();
      }
    }
    digests[campaign] = status->version_digest();
    if (campaign.find("hetlora") != std::string::npos) {
      const std::string& digest = digests[campaign];
      ExpectOneRank(harness.directory() + "/server/data/blobs/" + digest.substr(0, 2) + "/" +
                    digest);
    }
  }
  return digests;
}

// What such a strategy learns is whole at the sites alone, and must outlive the campaign there.
TEST(StrategiesTest, EverySiteOfAPersonalisedStrategyKeepsAnAdapterOfItsOwn) {
  auto started = FederationHarness::Start(2);
  ASSERT_TRUE(started.ok()) << started.status();
  FederationHarness& harness = **started;
  WriteAdapter(harness.directory() + "/lora", false);
  int personalised = 0;
  for (const Strategy* strategy : aggregators::Strategies()) {
    if (!strategy->capabilities.personalised) continue;
    ++personalised;
    CampaignFile file = CampaignFor(harness, *strategy);
    file.data.evaluate = {"none"};
    const auto id = harness.Submit(file);
    ASSERT_TRUE(id.ok()) << id.status();
    ASSERT_EQ(harness.AwaitEnd(*id, kLimit)->phase(), "completed");
    const std::string exported = harness.directory() + "/exported";
    const auto version = cli::ExportAdapter(harness.lead(), {*id, exported, -1, ""});
    ASSERT_TRUE(version.ok()) << version.status();
    EXPECT_TRUE(version->shared_part_only);
    const std::string a = "m.q_proj.lora_A.weight";
    const std::string b = "m.q_proj.lora_B.weight";
    std::vector<std::vector<float>> own;
    for (const std::string site : {"site-0", "site-1"}) {
      const std::string work = harness.SiteHome(site) + "/work";
      ASSERT_TRUE(WaitFor([&] { return !PathExists(work + "/" + *id); }));
      const auto kept = client::ListSiteAdapters(work);
      ASSERT_TRUE(kept.ok() && kept->size() == 1) << kept.status();
      EXPECT_EQ(kept->front().version, kRounds);
      EXPECT_TRUE(kept->front().evaluated);
      EXPECT_EQ(kept->front().metrics.at("loss/none"), 1);
      const std::string weights = kept->front().directory + "/adapter_model.safetensors";
      EXPECT_EQ(ReadFloats(weights, a), ReadFloats(exported + "/adapter_model.safetensors", a));
      own.push_back(ReadFloats(weights, b));
      EXPECT_TRUE(PathExists(kept->front().directory + "/adapter_config.json"));
    }
    EXPECT_NE(own[0], own[1]);
    EXPECT_NE(own[0], ReadFloats(exported + "/adapter_model.safetensors", b));
  }
  EXPECT_GE(personalised, 1);
}

TEST(StrategiesTest, AllEndWithTheSameBitsWhateverIsKilled) {
  const auto in_peace = RunAll(false);
  EXPECT_GE(in_peace.size(), 35u);
  EXPECT_EQ(RunAll(true), in_peace);
}

}  // namespace
}  // namespace tributary::integration
