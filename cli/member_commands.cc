#include "cli/member_commands.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/listing_view.h"
#include "cli/output.h"
#include "cli/profile.h"
#include "core/clock.h"
#include "core/config.h"
#include "core/text.h"
#include "security/enroll.h"

namespace tributary::cli {

using Stub = v1::Control::StubInterface;

namespace {

// What a person may copy into a shell: letters, digits and marks that mean nothing there.
bool IsShellWord(const std::string& word) {
  constexpr std::string_view kMarks = "-_.:/+=@[]";
  return !word.empty() && word[0] != '-' && std::all_of(word.begin(), word.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kMarks.find(c) != kMarks.npos;
  });
}

// Brackets mean files to a shell.
std::string Quoted(const std::string& word) {
  return word.find('[') == word.npos ? word : "'" + word + "'";
}

}  // namespace

int ProvisionCommand(const GlobalOptions& options, const ProvisionOptions& provision) {
  const auto made = Provision(provision);
  if (!made.ok()) return Fail(made.status(), options.json);
  if (options.json) {
    PrintJson({{"federation", provision.name},
               {"server_config", made->server_config},
               {"lead_profile", made->lead_profile},
               {"ca_fingerprint", made->ca_fingerprint}});
    return kExitOk;
  }
  PrintLine("federation " + provision.name +
            " is ready\n"
            "  server     tributary-server --config " +
            made->server_config +
            "\n"
            "  lead       tributary --profile " +
            made->lead_profile +
            " list\n"
            "  site       tributary --profile " +
            made->lead_profile +
            " token --name SITE\n"
            "  CA         " +
            made->ca_fingerprint);
  return kExitOk;
}

int TokenCommand(const GlobalOptions& options, const TokenOptions& token) {
  const auto valid = ParseDuration(token.valid);
  if (!valid.ok()) return Fail(valid.status().Annotate("--valid"), options.json);
  auto session = Session::Open(options);
  if (!session.ok()) return Fail(session.status(), options.json);
  v1::CreateTokenRequest request;
  request.set_role(token.role);
  request.set_name(token.name);
  request.set_valid_seconds(std::chrono::duration_cast<std::chrono::seconds>(*valid).count());
  const auto response = session->Call(&Stub::CreateToken, request);
  if (!response.ok()) return Fail(response.status(), options.json);
  if (options.json) {
    PrintJson(ToJson(*response));
    return kExitOk;
  }
  for (const std::string& word :
       {response->address(), response->token(), response->ca_fingerprint(), token.name}) {
    if (!IsShellWord(word)) {
      return Fail(DataLossError("the server's answer has no place in a command line: \"" +
                                Excerpt(word) + "\""),
                  options.json);
    }
  }
  std::string notes;
  for (const std::string& note : response->notes()) notes += "# " + Printable(note) + "\n";
  const bool site = token.role == "site";
  PrintLine(
      "# one-time token for " + token.role + " " + token.name + ", valid until " +
      FormatTimestamp(TimestampFromMicros(response->expires_at_us())) + "\n" + response->token() +
      "\n" + notes +
      "# what the new member runs; it asks for the token, or reads it from --token-file FILE or "
      "TRIBUTARY_TOKEN\n"
      "# tell the fingerprint over another channel than the token\n" +
      (site ? "tributary-client join" : "tributary --profile " + token.name + " join") +
      " --server " + Quoted(response->address()) + " --ca-fingerprint " +
      response->ca_fingerprint() + (site ? " --dir " + token.name : ""));
  return kExitOk;
}

int JoinCommand(const GlobalOptions& options, const JoinOptions& join) {
  if (const Status there = CheckProfileDirectory(options.profile); !there.ok()) {
    return Fail(there, options.json);
  }
  const auto token = security::ReadToken(join.token);
  if (!token.ok()) return Fail(token.status(), options.json);
  const auto identity = security::Enroll(
      {join.server, *token, join.ca_fingerprint, options.profile, join.server_name});
  if (!identity.ok()) return Fail(identity.status(), options.json);
  const Status written = WriteProfile(options.profile, {join.server, join.server_name});
  if (!written.ok()) return Fail(written, options.json);
  if (options.json) {
    PrintJson({{"federation", identity->federation},
               {"role", std::string(security::RoleName(identity->role))},
               {"name", identity->name},
               {"profile", options.profile}});
  } else {
    PrintLine("joined federation " + identity->federation + " as " +
              std::string(security::RoleName(identity->role)) + " " + identity->name +
              "; profile in " + options.profile);
  }
  return kExitOk;
}

namespace {

// Each allocation with a limit also says what is left of it.
nlohmann::json WithLeft(nlohmann::json sites) {
  for (nlohmann::json& site : sites["sites"]) {
    if (!site.contains("facts") || !site["facts"].contains("allocations")) continue;
    for (nlohmann::json& a : site["facts"]["allocations"]) {
      const double limit = a.value("limit", 0.0);
      if (limit > 0) a["left"] = limit - a.value("used", 0.0) - a.value("pending", 0.0);
    }
  }
  return sites;
}

}  // namespace

int SitesCommand(const GlobalOptions& options) {
  auto session = Session::Open(options);
  if (!session.ok()) return Fail(session.status(), options.json);
  const auto response = session->Call(&Stub::Sites, v1::SitesRequest());
  if (!response.ok()) return Fail(response.status(), options.json);
  if (options.json) {
    PrintJson(WithLeft(ToJson(*response)));
    return kExitOk;
  }
  PrintText(RenderSites(*response));
  return kExitOk;
}

}  // namespace tributary::cli
