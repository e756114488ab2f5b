#include "cli/profile.h"

#include <grpcpp/create_channel.h>

#include <cstdlib>

#include "core/files.h"
#include "security/grpc_credentials.h"
#include "security/key_file.h"

namespace tributary::cli {
namespace {

constexpr int kMaxMessageBytes = 64 << 20;  // the status of a long campaign

std::string Environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread here
  return value == nullptr ? "" : value;
}

}  // namespace

void Profile::Describe(ConfigVisitor& v) {
  v.Field("server", &server, {.doc = "host:port", .required = true, .non_empty = true});
  v.Field("server_name", &server_name,
          {.doc = "name in the server's certificate, where `server` is a tunnel or an alias"});
}

std::string DefaultProfileDirectory() {
  if (std::string set = Environment("TRIBUTARY_PROFILE"); !set.empty()) return set;
  const std::string home = Environment("HOME");
  return home.starts_with('/') ? JoinPath(home, ".config/tributary") : "";
}

std::string ProfileFile(const std::string& directory) {
  return JoinPath(directory, "profile.yaml");
}

Status WriteProfile(const std::string& directory, const Profile& profile) {
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(directory));
  return WriteFileAtomic(ProfileFile(directory), PrintYaml(profile));
}

Status CheckProfileDirectory(const std::string& directory) {
  if (!directory.empty()) return OkStatus();
  return NotFoundError("neither TRIBUTARY_PROFILE nor HOME names a directory; use --profile DIR");
}

bool HasProfile(const std::string& directory) {
  return !directory.empty() && PathExists(ProfileFile(directory));
}

Result<Profile> ReadProfile(const std::string& directory) {
  TRIBUTARY_RETURN_IF_ERROR(CheckProfileDirectory(directory));
  if (!HasProfile(directory)) {
    return NotFoundError("no profile in " + directory +
                         "; use --profile DIR, or `tributary join` to make one");
  }
  Profile profile;
  TRIBUTARY_RETURN_IF_ERROR(LoadYamlFile(ProfileFile(directory), &profile));
  return profile;
}

Result<std::shared_ptr<grpc::Channel>> OpenChannel(const std::string& directory) {
  TRIBUTARY_ASSIGN_OR_RETURN(const Profile profile, ReadProfile(directory));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string ca,
                             security::ReadCertificateFile(JoinPath(directory, "ca.crt")));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string certificate,
                             security::ReadCertificateFile(JoinPath(directory, "member.crt")));
  TRIBUTARY_ASSIGN_OR_RETURN(auto key, security::ReadKeyFile(JoinPath(directory, "member.key")));
  TRIBUTARY_ASSIGN_OR_RETURN(
      const auto credentials,
      security::MakeChannelCredentials(ca, security::CertificateAndKey{certificate, key}));
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  if (!profile.server_name.empty()) arguments.SetSslTargetNameOverride(profile.server_name);
  return grpc::CreateCustomChannel(profile.server, credentials, arguments);
}

}  // namespace tributary::cli
