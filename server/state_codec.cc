#include "server/state_codec.h"

#include "server/field_codec.h"

namespace tributary::server {
namespace codec {

template <class T, class Of>
concept IsA = std::is_same_v<std::remove_const_t<T>, Of>;

template <class F, class T>
requires IsA<T, Member>
void Fields(F& f, T& member) {
  f("name", member.name);
  f("certificate_fingerprint", member.certificate_fingerprint);
  f("enrolled_at_us", member.enrolled_at);
}

template <class F, class T>
requires IsA<T, SiteAnswer>
void Fields(F& f, T& answer) {
  f("kind", answer.kind);
  f.Later("reason", answer.reason);
}

template <class F, class T>
requires IsA<T, Version>
void Fields(F& f, T& version) {
  f("number", version.number);
  f("digest", version.digest);
  f("bytes", version.bytes);
  f("published_at_us", version.published_at);
  f("state", version.state);
  f("numbers", version.numbers);
  f("merged", version.merged);
  f.Later("damage", version.damage);
}

template <class F, class T>
requires IsA<T, Round>
void Fields(F& f, T& round) {
  f("number", round.number);
  f("opened_at_us", round.opened_at);
  f("closed_at_us", round.closed_at);
  f.Later("sites", round.sites);
  f("tasks", round.tasks);
  f.Later("fold_tries", round.fold_tries, 0);
  f.Later("damaged", round.damaged, 0);
  f.Later("fold_failed", round.fold_failed);
  f("left_out", round.left_out);
  f.Later("counted", round.counted);
  f.Later("closings", round.closings, 0);
  f("mean_loss", round.mean_loss);
  f("metrics", round.metrics);
  f.Later("entry", round.entry, 0);
  f.Later("past", round.past);
}

template <class F, class T>
requires IsA<T, Campaign>
void Fields(F& f, T& campaign) {
  f("id", campaign.id);
  f("lead", campaign.lead);
  f("yaml", campaign.yaml);
  f("rules", campaign.rules);
  f("agreed_rounds", campaign.agreed_rounds);
  f("phase", campaign.phase);
  f("paused", campaign.paused);
  f.Later("note", campaign.note);
  f("submitted_at_us", campaign.submitted_at);
  f("ended_at_us", campaign.ended_at);
  f("deadline_us", campaign.deadline);
  f("deadline_passed", campaign.deadline_passed);
  f.Map("answers", campaign.answers);
  f.List("versions", campaign.versions);
  f.List("rounds", campaign.rounds);
  f.Map("tasks", campaign.tasks);
  // As when it was submitted, whatever is asked of such files today.
  if constexpr (!std::is_const_v<T>) {
    (void)LoadRecordedYaml(campaign.yaml, &campaign.file);
    IndexTasks(&campaign);
  }
}

}  // namespace codec

std::string EncodeState(const State& state) {
  nlohmann::json object;
  object["format"] = kStateFormat;
  codec::Writer writer(&object, /*whole=*/true);
  writer.Map("sites", state.sites);
  writer.Map("campaigns", state.campaigns);
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<State> DecodeState(std::string_view text) {
  const auto object = ParseJson(text, "snapshot");
  if (!object.ok()) return DataLossError(object.status().message());
  const auto format = object->is_object() ? object->find("format") : object->end();
  if (!object->is_object() || format == object->end() || !format->is_number_integer()) {
    return DataLossError("snapshot has no format");
  }
  if (*format < 1 || *format > kStateFormat) {
    return FailedPreconditionError("snapshot is of format " + format->dump() +
                                   "; this program knows those up to " +
                                   std::to_string(kStateFormat));
  }
  State state;
  codec::Reader reader(*object, /*whole=*/true);
  reader.Map("sites", state.sites);
  reader.Map("campaigns", state.campaigns);
  if (const Status status = reader.status(); !status.ok()) return DataLossError(status.message());
  for (const auto& [id, campaign] : state.campaigns) {
    if (campaign.versions.empty()) return DataLossError("campaign " + id + " has no version");
  }
  return state;
}

}  // namespace tributary::server
