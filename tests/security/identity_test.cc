#include "security/identity.h"

#include <gtest/gtest.h>

namespace tributary::security {
namespace {

TEST(IdentityTest, UriRoundTrips) {
  for (const Role role : {Role::kSite, Role::kLead, Role::kObserver, Role::kAdmin}) {
    const Identity identity{"chem-1", role, std::string(63, 'a')};
    EXPECT_EQ(*ParseIdentityUri(identity.ToUri()), identity);
  }
  EXPECT_EQ((Identity{"chem", Role::kLead, "ann"}.ToUri()), "tributary://chem/lead/ann");
}

TEST(IdentityTest, OtherUrisAreRefused) {
  for (const std::string_view uri : {"",
                                     "tributary://",
                                     "tributary://chem/site",
                                     "tributary://chem/site/",
                                     "tributary://chem//a",
                                     "tributary:///site/a",
                                     "tributary://chem/site/a/",
                                     "tributary://chem/site/a/b",
                                     "tributary://chem/root/a",
                                     "tributary://Chem/site/a",
                                     "tributary://chem/Site/a",
                                     "TRIBUTARY://chem/site/a",
                                     "http://chem/site/a",
                                     " tributary://chem/site/a",
                                     "tributary://chem/site/a ",
                                     "tributary://chem/site/a%41",
                                     "tributary://chem/site/-a",
                                     "tributary://chem/site/a?x",
                                     "tributary://u@chem/site/a",
                                     "tributary://chem:1/site/a"}) {
    EXPECT_FALSE(ParseIdentityUri(uri).ok()) << uri;
  }
  EXPECT_FALSE(ParseIdentityUri(std::string_view("tributary://chem/site/a\0b", 25)).ok());
}

TEST(IdentityTest, NamesSayWhatIsAllowed) {
  EXPECT_TRUE(CheckName("site", "a-1").ok());
  EXPECT_EQ(
      CheckName("site", "A\n").message(),
      "site name \"A\\n\" is not allowed; must be 1 to 63 of a-z, 0-9 and -, not starting with -");
  EXPECT_FALSE(CheckName("site", std::string(64, 'a')).ok());
  EXPECT_EQ(ParseRole("boss").status().message(),
            "role \"boss\" is not known; must be one of site, lead, observer, admin");
  EXPECT_EQ(*ParseRole("observer"), Role::kObserver);
}

}  // namespace
}  // namespace tributary::security
