#include "server/event_codec.h"

#include <nlohmann/json.hpp>

#include "core/json.h"
#include "server/field_codec.h"

namespace tributary::server {
namespace {

using codec::Reader;
using codec::Writer;
using nlohmann::json;

template <class F>
void EventFields(F& f, auto& e) requires requires {
  e.certificate_fingerprint;
}
{
  f("site", e.site);
  f("certificate_fingerprint", e.certificate_fingerprint);
}
template <class F>
void EventFields(F& f, auto& e) requires requires {
  e.initial_digest;
}
{
  f("campaign", e.campaign);
  f("lead", e.lead);
  f("yaml", e.yaml);
  f("initial_digest", e.initial_digest);
  f("initial_bytes", e.initial_bytes);
  f.Later("rules", e.rules, 0);
}
template <class F>
void EventFields(F& f, auto& e) requires requires {
  e.accepted;
}
{
  f("campaign", e.campaign);
  f("site", e.site);
  f("accepted", e.accepted);
  f("reason", e.reason);
}
template <class F>
void EventFields(F& f, auto& e) requires requires {
  e.by;
}
{
  f("campaign", e.campaign);
  f("by", e.by);
  if constexpr (requires { e.without; }) {
    f.Later("without", e.without);
    f.Later("again", e.again);
  }
  if constexpr (requires { e.drop; }) {
    f.Later("rounds", e.rounds, 0);
    f.Later("deadline_seconds", e.deadline_seconds, -1);
    f.Later("start", e.start);
    f.Later("drop", e.drop);
  }
}
template <class F>
void EventFields(F& f, auto& e) requires requires {
  e.facts;
}
{
  f("task", e.task);
  codec::FactFields(f, e.facts);
  f("statement", e.facts.statement_hex);
  f("signature", e.facts.signature_hex);
}
template <class F>
void EventFields(F& f, auto& e) requires requires {
  e.task;
  e.reason;
}
{
  f("task", e.task);
  f("reason", e.reason);
  if constexpr (requires { e.refused; }) f.Later("refused", e.refused);
  if constexpr (requires { e.phase; }) f("phase", e.phase);
}
template <class F>
void EventFields(F& f, auto& e) requires requires {
  e.tries;
}
{
  f("campaign", e.campaign);
  f("round", e.round);
  f("tries", e.tries);
  f.Later("closing", e.closing, 0);
}
template <class F>
void EventFields(F& f, auto& e) requires requires {
  e.round;
  e.digest;
}
{
  f("campaign", e.campaign);
  f("round", e.round);
  f("digest", e.digest);
  f("bytes", e.bytes);
  f("state", e.state);
  f("numbers", e.numbers);
  f("merged", e.merged);
  f.Later("closing", e.closing, 0);
}
template <class F>
void EventFields(F& f, auto& e) requires requires {
  e.round;
  e.reason;
}
{
  f("campaign", e.campaign);
  f("round", e.round);
  f("reason", e.reason);
  f.Later("closing", e.closing, 0);
}
template <class F>
void EventFields(F& f, auto& e) requires requires {
  e.version;
}
{
  f("campaign", e.campaign);
  f("version", e.version);
  if constexpr (requires { e.reason; }) f("reason", e.reason);
}
template <class F>
void EventFields(F& f, DeadlinePassed& e) {
  f("campaign", e.campaign);
}
template <class F>
void EventFields(F& f, const DeadlinePassed& e) {
  f("campaign", e.campaign);
}
template <class F>
void EventFields(F& f, auto& e) requires requires {
  e.deadline;
}
{
  f("campaign", e.campaign);
  f("phase", e.phase);
  f("deadline_us", e.deadline);
}
template <class F>
void EventFields(F& f, auto& e) requires requires {
  e.note;
}
{
  f("campaign", e.campaign);
  f("note", e.note);
}
template <class F>
void EventFields(F& f, auto& e) requires(
    requires { e.yaml; } && !requires { e.lead; }) {
  f("campaign", e.campaign);
  f("yaml", e.yaml);
}
template <class F>
void EventFields(F& f, auto& e) requires requires {
  e.tasks;
}
{
  f("campaign", e.campaign);
  if constexpr (requires { e.round; }) f("round", e.round);
  f.List("tasks", e.tasks);
  if constexpr (requires { e.carried; }) f.WholeList("carried", e.carried);
}
template <class F>
void EventFields(F& f, auto& e) requires requires {
  e.counted;
}
{
  f("campaign", e.campaign);
  f("round", e.round);
  f.Later("counted", e.counted);
}
template <class F>
void EventFields(F& f, auto& e) requires(
    requires { e.without; } && !requires { e.by; }) {
  f("campaign", e.campaign);
  f("round", e.round);
  f.Later("without", e.without);
}
template <class F>
void EventFields(F& f, auto& e) requires requires {
  e.mean_loss;
}
{
  f("campaign", e.campaign);
  f("round", e.round);
  f("mean_loss", e.mean_loss);
}
template <class F>
void EventFields(F& f, FoldRequested& e) {
  f("campaign", e.campaign);
  f("round", e.round);
}
template <class F>
void EventFields(F& f, const FoldRequested& e) {
  f("campaign", e.campaign);
  f("round", e.round);
}

const char* Name(const SiteEnrolled*) { return "site_enrolled"; }
const char* Name(const CampaignSubmitted*) { return "campaign_submitted"; }
const char* Name(const CampaignAnswered*) { return "campaign_answered"; }
const char* Name(const CampaignPaused*) { return "campaign_paused"; }
const char* Name(const CampaignResumed*) { return "campaign_resumed"; }
const char* Name(const CampaignCancelled*) { return "campaign_cancelled"; }
const char* Name(const UpdateAccepted*) { return "update_accepted"; }
const char* Name(const TaskFailed*) { return "task_failed"; }
const char* Name(const VersionPublished*) { return "version_published"; }
const char* Name(const AggregationFailed*) { return "aggregation_failed"; }
const char* Name(const DeadlinePassed*) { return "deadline_passed"; }
const char* Name(const AggregationTried*) { return "aggregation_tried"; }
const char* Name(const CampaignChanged*) { return "campaign_changed"; }
const char* Name(const VersionDamaged*) { return "version_damaged"; }
const char* Name(const VersionRestored*) { return "version_restored"; }
const char* Name(const UpdateDamaged*) { return "update_damaged"; }
const char* Name(const PhaseStarted*) { return "phase_started"; }
const char* Name(const CampaignNoted*) { return "campaign_noted"; }
const char* Name(const CampaignHeld*) { return "campaign_held"; }
const char* Name(const CampaignRevised*) { return "campaign_revised"; }
const char* Name(const RoundOpened*) { return "round_opened"; }
const char* Name(const TasksGiven*) { return "tasks_given"; }
const char* Name(const TaskSettled*) { return "task_settled"; }
const char* Name(const RoundClosed*) { return "round_closed"; }
const char* Name(const RoundReopened*) { return "round_reopened"; }
const char* Name(const FoldRequested*) { return "fold_requested"; }
const char* Name(const RoundFinished*) { return "round_finished"; }

// Programs of the second format know nothing of buffered pacing; all else is as they had it.
constexpr std::int64_t kFormatBefore = 2;

bool IsNew(const Event& event) {
  if (const auto* opened = std::get_if<RoundOpened>(&event)) return !opened->carried.empty();
  const auto* submitted = std::get_if<CampaignSubmitted>(&event);
  return submitted != nullptr && submitted->yaml.find("kind: buffered") != std::string::npos;
}

// Tries the variant's alternatives one after the other.
template <std::size_t I = 0>
Result<Event> DecodeAs(const std::string& type, const json& object) {
  if constexpr (I == std::variant_size_v<Event>) {
    return DataLossError("event type \"" + type + "\" is not known");
  } else {
    using E = std::variant_alternative_t<I, Event>;
    if (type != Name(static_cast<const E*>(nullptr))) return DecodeAs<I + 1>(type, object);
    E event;
    Reader reader(object);
    EventFields(reader, event);
    const Status status = reader.status();
    if (!status.ok()) return DataLossError(status.message());
    return Event(std::move(event));
  }
}

}  // namespace

std::string EncodeEvent(const Event& event) {
  nlohmann::json object;
  object["v"] = IsNew(event) ? kEventFormat : kFormatBefore;
  std::visit(
      [&](const auto& e) {
        object["type"] = Name(&e);
        Writer writer(&object);
        EventFields(writer, e);
      },
      event);
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<RecordedEvent> DecodeRecord(std::string_view text) {
  const auto object = ParseJson(text, "event");
  if (!object.ok()) return DataLossError(object.status().message());
  if (!object->is_object() || !object->contains("type") || !(*object)["type"].is_string()) {
    return DataLossError("event has no type");
  }
  std::int64_t format = 1;  // of before there were numbers
  if (const auto v = object->find("v"); v != object->end()) {
    if (!v->is_number_integer()) return DataLossError("event.v is no number");
    format = v->get<std::int64_t>();
  }
  if (format < 1 || format > kEventFormat) {
    return FailedPreconditionError("is of event format " + std::to_string(format) +
                                   "; this program knows those up to " +
                                   std::to_string(kEventFormat) + ": use a later version");
  }
  TRIBUTARY_ASSIGN_OR_RETURN(Event event, DecodeAs((*object)["type"].get<std::string>(), *object));
  return RecordedEvent{std::move(event), format};
}

Result<Event> DecodeEvent(std::string_view text) {
  TRIBUTARY_ASSIGN_OR_RETURN(RecordedEvent recorded, DecodeRecord(text));
  return std::move(recorded.event);
}

}  // namespace tributary::server
