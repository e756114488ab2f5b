#include "cli/listing_view.h"

#include "cli/output.h"
#include "cli/watch_view.h"
#include "core/clock.h"
#include "core/config.h"

namespace tributary::cli {
namespace {

using std::chrono::seconds;

std::string LimitText(double limit, double left) {
  if (limit <= 0) return "no limit";
  return "of " + NumberText(limit, 2) + ", " + NumberText(left, 2) + " left";
}

std::string IdleText(double idle) {
  return idle > 0 ? ", " + NumberText(idle, 2) + " of it idle in pilots" : "";
}

const char* PresenceText(const v1::SiteStatus& site) {
  if (site.connected()) return "connected";
  if (site.visit_seconds() == 0) return "away";
  return site.overdue() ? "overdue" : "visits";
}

// What a site says of its allocation and its queue, one line each.
std::string FactsText(const v1::SiteFacts& facts) {
  std::string text;
  if (!facts.scheduler().empty()) text += "  scheduler    " + facts.scheduler() + "\n";
  for (const v1::Allocation& a : facts.allocations()) {
    if (a.used() == 0 && a.pending() == 0 && a.limit() == 0) continue;
    text += Format("  %-12s %s %s used, %s pending%s (%s)\n",
                   a.campaign().empty() ? "allocation" : a.campaign().c_str(),
                   NumberText(a.used(), 2).c_str(), a.unit().c_str(),
                   NumberText(a.pending(), 2).c_str(), IdleText(a.idle()).c_str(),
                   LimitText(a.limit(), a.limit() - a.used() - a.pending()).c_str());
  }
  for (const v1::StartForecast& f : facts.forecasts()) {
    text += Format(
        "  queue %-6s a job waits %s s (half), %s s (8 of 10), %s s (19 of 20); from %lld waits",
        f.queue().c_str(), NumberText(f.p50_seconds(), 0).c_str(),
        NumberText(f.p80_seconds(), 0).c_str(), NumberText(f.p95_seconds(), 0).c_str(),
        static_cast<long long>(f.waits()));
    if (f.judged() > 0) {
      text +=
          Format("; %s%% of %lld earlier ones were within the second, %s s off at the median",
                 NumberText(100 * f.within_p80(), 0).c_str(), static_cast<long long>(f.judged()),
                 NumberText(f.median_error_seconds(), 0).c_str());
    }
    text += "\n";
  }
  return text;
}

}  // namespace

std::string RenderCampaigns(const v1::ListResponse& list) {
  if (list.campaigns().empty()) return "no campaigns\n";
  const v1::ListResponse shown = Shown(list);
  std::string text;
  for (const v1::CampaignStatus& c : shown.campaigns()) {
    text += Format("%-24s %-12s round %lld/%lld  version %lld  lead %s%s%s\n", c.campaign().c_str(),
                   PhaseText(c).c_str(), static_cast<long long>(c.round()),
                   static_cast<long long>(c.rounds()), static_cast<long long>(c.version()),
                   c.lead().c_str(), c.note().empty() ? "" : "  ", c.note().c_str());
  }
  return text;
}

std::string RenderSites(const v1::SitesResponse& sites) {
  if (sites.sites().empty()) return "no sites have joined; `tributary token` invites one\n";
  const v1::SitesResponse shown = Shown(sites);
  std::string text;
  for (const v1::SiteStatus& site : shown.sites()) {
    std::string campaigns;
    for (const std::string& campaign : site.campaigns()) campaigns += " " + campaign;
    if (site.unknown()) {
      text +=
          Format("%-20s %-12s unknown to this server's journal: is its data_dir the right one?\n",
                 site.site().c_str(), "connected");
      continue;
    }
    text += Format("%-20s %-12s version %-10s last seen %s  campaigns:%s\n", site.site().c_str(),
                   PresenceText(site),
                   site.client_version().empty() ? "-" : site.client_version().c_str(),
                   site.last_seen_us() == 0
                       ? "never"
                       : FormatTimestamp(TimestampFromMicros(site.last_seen_us())).c_str(),
                   campaigns.empty() ? " none" : campaigns.c_str());
    if (site.visit_seconds() > 0) {
      text += "  visits       about every " + FormatDuration(seconds(site.visit_seconds())) +
              ", and keeps no daemon\n";
    }
    text += FactsText(site.facts());
  }
  return text;
}

}  // namespace tributary::cli
