#include "cli/campaign_commands.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "aggregators/aggregator.h"
#include "cli/initial_adapter.h"
#include "cli/listing_view.h"
#include "cli/middle_matrix.h"
#include "cli/output.h"
#include "cli/preparation.h"
#include "cli/profile.h"
#include "cli/stacked_adapter.h"
#include "cli/watch_view.h"
#include "client/transfer.h"
#include "core/clock.h"
#include "core/files.h"
#include "core/json.h"
#include "core/peft_adapter.h"
#include "core/text.h"
#include "proto/campaign_changes.h"

namespace tributary::cli {
namespace {

using nlohmann::json;
using Stub = v1::Control::StubInterface;

constexpr std::size_t kMaxEventPrinted = std::size_t{4} << 20;  // as long as any the server has

const client::KeepGoing kAlways = [] { return true; };

v1::SubmitRequest RequestFor(const CampaignDraft& draft) {
  v1::SubmitRequest request;
  request.set_yaml(draft.yaml);
  request.set_file_name(draft.path);
  return request;
}

v1::CampaignRequest RequestFor(const std::string& campaign) {
  v1::CampaignRequest request;
  request.set_campaign(campaign);
  return request;
}

template <class Response>
int Print(const GlobalOptions& options, const Result<Response>& response,
          const std::function<void(const Response&)>& text) {
  if (!response.ok()) return Fail(response.status(), options.json);
  if (options.json) {
    PrintJson(ToJson(*response));
  } else {
    text(*response);
  }
  return kExitOk;
}

// What a command did. `paused`: where the campaign is paused after it, with the note.
struct Done {
  std::string live;
  std::string paused = {};  // empty: as `live`
};

template <class Request>
int Command(const GlobalOptions& options, const Request& request, const Done& done,
            grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                         v1::CampaignStatus*)) {
  auto session = Session::Open(options);
  if (!session.ok()) return Fail(session.status(), options.json);
  const auto status = session->Call(method, request);
  return Print<v1::CampaignStatus>(options, status, [&](const v1::CampaignStatus& s) {
    const bool waits = s.paused() && !done.paused.empty();
    PrintLine("campaign " + Printable(s.campaign()) + " " +
              (waits ? done.paused + ": " + Printable(s.note()) : done.live));
  });
}

// A model keeps its directory for itself: what loads it would take the adapter for a part of it.
// Another adapter is somebody's work.
Status CheckExportDirectory(const std::string& directory, bool overwrite) {
  for (const char* model : {"config.json", "model.safetensors", "model.safetensors.index.json"}) {
    if (!PathExists(JoinPath(directory, model))) continue;
    return AlreadyExistsError(JoinPath(directory, model) +
                              " is there: this is the directory of a model; name another one");
  }
  for (const std::string_view file : {kAdapterWeightsFile, kAdapterConfigFile}) {
    const std::string path = JoinPath(directory, file);
    if (!PathExists(path)) continue;
    if (overwrite) continue;
    return AlreadyExistsError(path +
                              " is there already; name another directory, or give --overwrite");
  }
  return OkStatus();
}

// A server keeps so many versions as its file says.
Status DownloadVersion(Session& session, const v1::VersionInfo& version, const std::string& path) {
  TRIBUTARY_ASSIGN_OR_RETURN(const Digest digest, Digest::FromHex(version.digest()));
  const Status status =
      client::Transfer(session.channel()).Download(digest, version.bytes(), path, kAlways);
  if (status.code() != StatusCode::kNotFound || !version.removed()) return status;
  return NotFoundError("version " + std::to_string(version.version()) +
                       " was removed: the server keeps the newest versions and version 0, not all "
                       "(keep_versions, keep_every)");
}

// What the campaign's versions added to the base weights becomes part of the adapter at `weights`.
Status AddProducts(Session& session, const v1::CampaignStatus& status, std::int64_t version,
                   const std::string& weights, AdapterConfig* config) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto scratch, TemporaryDirectory::Create("tributary-export-"));
  std::vector<std::string> products;
  for (const v1::VersionInfo& info : status.versions()) {
    if (info.version() > version || info.merged_digest().empty()) continue;
    TRIBUTARY_ASSIGN_OR_RETURN(const Digest digest, Digest::FromHex(info.merged_digest()));
    products.push_back(JoinPath(scratch.path(), std::to_string(info.version())));
    TRIBUTARY_RETURN_IF_ERROR(client::Transfer(session.channel())
                                  .Download(digest, info.merged_bytes(), products.back(), kAlways));
  }
  if (products.empty()) return OkStatus();
  const double scale = config->Scale();
  const std::string stacked = weights + ".stacked";
  TRIBUTARY_ASSIGN_OR_RETURN(const std::int64_t rank,
                             StackProducts(weights, products, scale, stacked));
  *config = config->AtRank(rank);
  return RenameDurably(stacked, weights);
}

// PEFT has no middle matrices: those of the adapter at `weights` become part of B.
Status TakeOutMiddle(const std::string& weights, AdapterConfig* config) {
  if (!config->middle) return OkStatus();
  const std::string plain = weights + ".plain";
  TRIBUTARY_RETURN_IF_ERROR(WorkInMiddle(weights, plain));
  config->middle = false;
  return RenameDurably(plain, weights);
}

// "3", "3..20", "3..", "..20".
Status ParseRounds(const std::string& text, v1::CampaignRequest* request) {
  const auto number = [](std::string_view digits, std::int64_t* value) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), *value);
    return error == std::errc() && end == digits.data() + digits.size() && *value > 0;
  };
  const std::size_t dots = text.find("..");
  const std::string first = text.substr(0, dots);
  const std::string last = dots == std::string::npos ? first : text.substr(dots + 2);
  std::int64_t from = 0;
  std::int64_t to = 0;
  const bool good = (first.empty() || number(first, &from)) &&
                    (last.empty() || number(last, &to)) && !(first.empty() && last.empty()) &&
                    (to == 0 || from <= to);
  if (!good) {
    return InvalidArgumentError("--rounds: \"" + Excerpt(text) +
                                "\" must be a round or a range of them, as 3, 3..20, 3.. or ..20");
  }
  request->set_rounds_from(from);
  request->set_rounds_to(to);
  return OkStatus();
}

// Asks for page after page, from the last one on: one answer takes so many rounds only.
Result<v1::CampaignStatus> FetchRounds(Session& session, const std::string& campaign,
                                       const std::string& rounds) {
  v1::CampaignRequest request = RequestFor(campaign);
  if (!rounds.empty()) TRIBUTARY_RETURN_IF_ERROR(ParseRounds(rounds, &request));
  TRIBUTARY_ASSIGN_OR_RETURN(v1::CampaignStatus status, session.Call(&Stub::Show, request));
  while (!rounds.empty() && status.round_history_size() > 0 &&
         status.rounds_left_out() >= std::max<std::int64_t>(request.rounds_from(), 1)) {
    request.set_rounds_to(status.rounds_left_out());
    TRIBUTARY_ASSIGN_OR_RETURN(v1::CampaignStatus earlier, session.Call(&Stub::Show, request));
    const bool is_earlier = earlier.round_history_size() > 0 &&
                            earlier.round_history(0).round() < status.round_history(0).round();
    if (!is_earlier) break;  // a server that knows of no pages
    MergeChanges(status, &earlier);
    status = std::move(earlier);
  }
  return status;
}

}  // namespace

Result<std::string> SubmitFile(const GlobalOptions& options, const std::string& path,
                               std::vector<std::string>* warnings) {
  TRIBUTARY_ASSIGN_OR_RETURN(const CampaignDraft draft, ReadDraft(path));  // before any network
  if (warnings != nullptr) *warnings = draft.warnings;
  TRIBUTARY_ASSIGN_OR_RETURN(const auto scratch, TemporaryDirectory::Create("tributary-submit-"));
  const std::string initial = JoinPath(scratch.path(), kAdapterWeightsFile);
  TRIBUTARY_ASSIGN_OR_RETURN(const auto written, WriteInitial(draft, initial));
  TRIBUTARY_ASSIGN_OR_RETURN(Session session, Session::Open(options));
  v1::SubmitRequest request = RequestFor(draft);
  TRIBUTARY_RETURN_IF_ERROR(session.Call(&Stub::Validate, request).status());
  TRIBUTARY_RETURN_IF_ERROR(client::Transfer(session.channel())
                                .Upload(initial, written.digest, written.bytes, "", kAlways));
  request.set_initial_digest(written.digest.ToHex());
  TRIBUTARY_ASSIGN_OR_RETURN(const auto response, session.Call(&Stub::Submit, request));
  return Printable(response.campaign());
}

int SubmitCommand(const GlobalOptions& options, const std::string& path) {
  std::vector<std::string> warnings;
  const auto campaign = SubmitFile(options, path, &warnings);
  if (!campaign.ok()) return Fail(campaign.status(), options.json);
  if (options.json) {
    PrintJson({{"campaign", *campaign}, {"warnings", warnings}});
    return kExitOk;
  }
  for (const std::string& warning : warnings) PrintLine("warning: " + warning);
  PrintLine("campaign " + *campaign + " submitted; follow it with: tributary watch " + *campaign);
  return kExitOk;
}

int ValidateCommand(const GlobalOptions& options, const std::string& path) {
  const auto draft = ReadDraft(path);
  if (!draft.ok()) return Fail(draft.status(), options.json);
  if (const Status initial = CheckInitial(*draft); !initial.ok()) {
    return Fail(initial, options.json);
  }
  const auto asked = [&]() -> Status {
    TRIBUTARY_ASSIGN_OR_RETURN(Session session, Session::Open(options));
    return session.Call(&Stub::Validate, RequestFor(*draft)).status();
  }();
  // What the file itself says is checked here; whether name and sites are free and known, there.
  const bool away = asked.code() == StatusCode::kUnavailable ||
                    asked.code() == StatusCode::kDeadlineExceeded ||
                    (asked.code() == StatusCode::kNotFound && !HasProfile(options.profile));
  if (!asked.ok() && !away) return Fail(asked, options.json);
  const std::string text = PrintYaml(draft->file);
  if (options.json) {
    PrintJson({{"effective_yaml", text},
               {"warnings", draft->warnings},
               {"asked_server", asked.ok()},
               {"reason", asked.message()}});
    return kExitOk;
  }
  PrintLine("# " + path + " is valid; with every default:");
  for (const std::string& warning : draft->warnings) PrintLine("# warning: " + warning);
  if (away) {
    PrintLine("# no server was asked whether its name is free and its sites are enrolled: " +
              Printable(asked.message()));
  }
  PrintLine(text);
  return kExitOk;
}

int ListCommand(const GlobalOptions& options) {
  auto session = Session::Open(options);
  if (!session.ok()) return Fail(session.status(), options.json);
  const auto response = session->Call(&Stub::List, v1::ListRequest());
  return Print<v1::ListResponse>(options, response,
                                 [](const v1::ListResponse& r) { PrintText(RenderCampaigns(r)); });
}

int ShowCommand(const GlobalOptions& options, const ShowOptions& what) {
  auto session = Session::Open(options);
  if (!session.ok()) return Fail(session.status(), options.json);
  const auto status = FetchRounds(*session, what.campaign, what.rounds);
  return Print<v1::CampaignStatus>(options, status, [](const v1::CampaignStatus& s) {
    PrintText(RenderStatus(s, /*max_rounds=*/0));
  });
}

int PauseCommand(const GlobalOptions& options, const std::string& campaign) {
  return Command(options, RequestFor(campaign), Done{"paused; tasks under way run on"},
                 &Stub::Pause);
}
int ResumeCommand(const GlobalOptions& options, const ResumeOptions& what) {
  v1::CampaignRequest request = RequestFor(what.campaign);
  for (const std::string& site : what.without) request.add_without(site);
  request.set_again(what.again);
  return Command(options, request, Done{"resumed", "was resumed and is paused again"},
                 &Stub::Resume);
}
int CancelCommand(const GlobalOptions& options, const std::string& campaign) {
  return Command(options, RequestFor(campaign), Done{"cancelled"}, &Stub::Cancel);
}

int StartCommand(const GlobalOptions& options, const std::string& campaign) {
  v1::ChangeRequest request;
  request.set_campaign(campaign);
  request.set_start(true);
  const std::string what = "starts with the sites that accepted";
  return Command(options, request, Done{what, what + " when it is resumed"}, &Stub::Change);
}
int DropCommand(const GlobalOptions& options, const ChangeOptions& what) {
  v1::ChangeRequest request;
  request.set_campaign(what.campaign);
  std::string names;
  for (const std::string& site : what.sites) {
    request.add_drop(site);
    names += (names.empty() ? "" : ", ") + Printable(site);
  }
  const std::string done = "goes on without " + names;
  return Command(options, request, Done{done, done + " when it is resumed"}, &Stub::Change);
}
int ChangeCommand(const GlobalOptions& options, const ChangeOptions& what) {
  v1::ChangeRequest request;
  request.set_campaign(what.campaign);
  request.set_rounds(what.rounds);
  if (!what.deadline.empty()) {
    const auto deadline = ParseDuration(what.deadline);
    if (!deadline.ok()) return Fail(deadline.status().Annotate("--deadline"), options.json);
    request.set_deadline_seconds(
        std::chrono::duration_cast<std::chrono::seconds>(*deadline).count());
  }
  return Command(options, request, Done{"changed"}, &Stub::Change);
}

Result<ExportedVersion> ExportAdapter(const GlobalOptions& options, const ExportOptions& what) {
  TRIBUTARY_ASSIGN_OR_RETURN(Session session, Session::Open(options));
  v1::CampaignRequest request = RequestFor(what.campaign);
  request.set_rounds_from(INT64_MAX);  // none: its versions are enough
  TRIBUTARY_ASSIGN_OR_RETURN(const auto status, session.Call(&Stub::Show, request));
  TRIBUTARY_ASSIGN_OR_RETURN(v1::VersionInfo version, [&]() -> Result<v1::VersionInfo> {
    const std::int64_t wanted = what.version < 0 ? status.version() : what.version;
    for (const v1::VersionInfo& info : status.versions()) {
      if (info.version() == wanted) return info;
    }
    return NotFoundError("campaign " + what.campaign + " has versions 0.." +
                         std::to_string(status.version()) + ", not " + std::to_string(wanted));
  }());
  TRIBUTARY_RETURN_IF_ERROR(CheckExportDirectory(what.directory, what.overwrite));
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(what.directory, 0755));
  const std::string weights = JoinPath(what.directory, kAdapterWeightsFile);
  const std::string config_path = JoinPath(what.directory, kAdapterConfigFile);
  const std::string fresh = weights + ".new";  // an earlier export stays until this one is whole
  TRIBUTARY_RETURN_IF_ERROR(DownloadVersion(session, version, fresh));
  TRIBUTARY_ASSIGN_OR_RETURN(auto config,
                             AdapterConfig::FromPeftJson(status.adapter_config_json()));
  TRIBUTARY_RETURN_IF_ERROR(TakeOutMiddle(fresh, &config));
  TRIBUTARY_RETURN_IF_ERROR(AddProducts(session, status, version.version(), fresh, &config));
  if (!what.base_model.empty()) config.base_model = what.base_model;
  // Never the weights of one version beside the configuration of another.
  TRIBUTARY_RETURN_IF_ERROR(RemoveFile(config_path));
  TRIBUTARY_RETURN_IF_ERROR(RenameDurably(fresh, weights));
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(config_path, config.ToPeftJson(), 0644));
  const auto strategy = aggregators::FindStrategy(status.aggregator());
  return ExportedVersion{version.version(),
                         strategy.ok() && (*strategy)->capabilities.personalised};
}

int ExportCommand(const GlobalOptions& options, const ExportOptions& what) {
  const auto version = ExportAdapter(options, what);
  if (!version.ok()) return Fail(version.status(), options.json);
  if (options.json) {
    PrintJson({{"campaign", what.campaign},
               {"version", version->number},
               {"directory", what.directory},
               {"shared_part_only", version->shared_part_only}});
    return kExitOk;
  }
  PrintLine("version " + std::to_string(version->number) + " of campaign " + what.campaign +
            " is in " + what.directory);
  if (version->shared_part_only) {
    PrintLine(
        "this is the shared part alone, which is no model: every lora_B in it is zero, and each "
        "site "
        "keeps its own;\nat a site `tributary-client adapters` says where its whole adapter is");
  }
  return kExitOk;
}

int AuditCommand(const GlobalOptions& options, const std::string& campaign) {
  auto session = Session::Open(options);
  if (!session.ok()) return Fail(session.status(), options.json);
  v1::AuditRequest request;
  request.set_campaign(campaign);
  grpc::ClientContext context;
  const auto reader = session->control().Audit(&context, request);
  v1::AuditEntry entry;
  while (reader->Read(&entry)) {
    if (!options.json) {
      PrintLine(std::to_string(entry.sequence()) + " " +
                FormatTimestamp(TimestampFromMicros(entry.at_us())) + " " +
                Printable(entry.event_json(), kMaxEventPrinted));
      continue;
    }
    const auto event = ParseJson(entry.event_json(), "event");
    const json line = {{"sequence", entry.sequence()},
                       {"at_us", entry.at_us()},
                       {"event", event.ok() ? *event : json(nullptr)}};
    PrintJson(line, /*indent=*/-1);
  }
  const Status status = session->Outcome(reader->Finish());
  return status.ok() ? kExitOk : Fail(status, options.json);
}

}  // namespace tributary::cli
