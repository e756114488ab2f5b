// Who the user is and where the server is: a directory with profile.yaml, ca.crt, member.crt and
// member.key, as `tributary provision` and `tributary join` make it.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "core/config.h"
#include "core/status.h"

namespace tributary::cli {

struct Profile {
  std::string server;       // host:port
  std::string server_name;  // expected in the server's certificate when it differs from the host
  void Describe(ConfigVisitor& v);
};

// $TRIBUTARY_PROFILE, else ~/.config/tributary; empty without a home.
std::string DefaultProfileDirectory();
// Not found, with what to do, for an empty one.
Status CheckProfileDirectory(const std::string& directory);
bool HasProfile(const std::string& directory);
std::string ProfileFile(const std::string& directory);
Result<Profile> ReadProfile(const std::string& directory);
Status WriteProfile(const std::string& directory, const Profile& profile);
// A channel with the profile's identity. Connects when first used.
Result<std::shared_ptr<grpc::Channel>> OpenChannel(const std::string& directory);

}  // namespace tributary::cli
