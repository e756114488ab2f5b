#include "cli/provision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/files.h"

namespace tributary::cli {
namespace {

using testing::HasSubstr;

TEST(ProvisionTest, TheDataMayLieElsewhere) {
  const auto scratch = TemporaryDirectory::Create("tributary-provision-");
  ASSERT_TRUE(scratch.ok());
  ProvisionOptions options;
  options.name = "chem";
  options.directory = scratch->path() + "/a";
  options.hosts = {"::1"};
  const auto beside = Provision(options);
  ASSERT_TRUE(beside.ok()) << beside.status();
  EXPECT_THAT(*ReadFile(beside->server_config), HasSubstr("\ndata_dir: data  #"));
  EXPECT_THAT(*ReadFile(beside->server_config), HasSubstr("\nadvertise: \"[::1]:8443\"\n"));
  EXPECT_THAT(*ReadFile(beside->server_config), HasSubstr("\nlisten: 0.0.0.0:8443\n"));
  options.directory = scratch->path() + "/b";
  options.data_dir = "/var/lib/a: b";
  const auto elsewhere = Provision(options);
  ASSERT_TRUE(elsewhere.ok()) << elsewhere.status();
  EXPECT_THAT(*ReadFile(elsewhere->server_config), HasSubstr("\ndata_dir: \"/var/lib/a: b\"  #"));
}

}  // namespace
}  // namespace tributary::cli
