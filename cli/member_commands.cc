#include "cli/member_commands.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/output.h"
#include "cli/profile.h"
#include "core/clock.h"
#include "core/config.h"
#include "security/enroll.h"

namespace tributary::cli {

using Stub = v1::Control::StubInterface;

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
  const std::string program = token.role == "site" ? "tributary-client" : "tributary";
  PrintLine("# one-time token for " + token.role + " " + token.name + ", valid until " +
            FormatTimestamp(TimestampFromMicros(response->expires_at_us())) + "\n" +
            "# tell the fingerprint over another channel than the token\n" + program +
            " join --server " + response->address() + " --token " + response->token() +
            " --ca-fingerprint " + response->ca_fingerprint());
  return kExitOk;
}

int JoinCommand(const GlobalOptions& options, const JoinOptions& join) {
  const auto identity =
      security::Enroll({join.server, join.token, join.ca_fingerprint, options.profile});
  if (!identity.ok()) return Fail(identity.status(), options.json);
  const Status written = WriteProfile(options.profile, {join.server, ""});
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

std::string LimitText(double limit, double left) {
  char text[80];
  std::snprintf(text, sizeof text, "of %.2f, %.2f left", limit, left);
  return limit > 0 ? text : "no limit";
}

std::string IdleText(double idle) {
  char text[80];
  std::snprintf(text, sizeof text, ", %.2f of it idle in pilots", idle);
  return idle > 0 ? text : "";
}

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

// What a site says of its allocation and its queue, one line each.
void PrintFacts(const v1::SiteFacts& facts) {
  if (!facts.scheduler().empty()) std::printf("  scheduler    %s\n", facts.scheduler().c_str());
  for (const v1::Allocation& a : facts.allocations()) {
    if (a.used() == 0 && a.pending() == 0 && a.limit() == 0) continue;
    std::printf("  %-12s %.2f %s used, %.2f pending%s (%s)\n",
                a.campaign().empty() ? "allocation" : a.campaign().c_str(), a.used(),
                a.unit().c_str(), a.pending(), IdleText(a.idle()).c_str(),
                LimitText(a.limit(), a.limit() - a.used() - a.pending()).c_str());
  }
  for (const v1::StartForecast& f : facts.forecasts()) {
    std::printf(
        "  queue %-6s a job waits %.0f s (half), %.0f s (8 of 10), %.0f s (19 of 20); from "
        "%lld waits",
        f.queue().empty() ? "" : f.queue().c_str(), f.p50_seconds(), f.p80_seconds(),
        f.p95_seconds(), static_cast<long long>(f.waits()));
    if (f.judged() > 0) {
      std::printf("; %.0f%% of %lld earlier ones were within the second, %.0f s off at the median",
                  100 * f.within_p80(), static_cast<long long>(f.judged()),
                  f.median_error_seconds());
    }
    std::printf("\n");
  }
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
  if (response->sites().empty()) PrintLine("no sites have joined; `tributary token` invites one");
  for (const v1::SiteStatus& site : response->sites()) {
    std::string campaigns;
    for (const std::string& campaign : site.campaigns()) campaigns += " " + campaign;
    std::printf("%-20s %-12s version %-10s last seen %s  campaigns:%s\n", site.site().c_str(),
                site.connected() ? "connected" : "away",
                site.client_version().empty() ? "-" : site.client_version().c_str(),
                site.last_seen_us() == 0
                    ? "never"
                    : FormatTimestamp(TimestampFromMicros(site.last_seen_us())).c_str(),
                campaigns.empty() ? " none" : campaigns.c_str());
    PrintFacts(site.facts());
  }
  return kExitOk;
}

}  // namespace tributary::cli
