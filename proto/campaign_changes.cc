#include "proto/campaign_changes.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <map>
#include <string>

namespace tributary {
namespace {

using google::protobuf::RepeatedPtrField;

std::int64_t NumberOf(const v1::RoundStatus& round) { return round.round(); }
std::int64_t NumberOf(const v1::VersionInfo& version) { return version.version(); }

// The same for equal messages, whatever the order of their maps.
template <class Item>
std::string BytesOf(const Item& item) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream out(&stream);
  out.SetSerializationDeterministic(true);
  item.SerializeToCodedStream(&out);
  out.Trim();
  return bytes;
}

template <class Item>
bool AreSame(const Item& a, const Item& b) {
  return BytesOf(a) == BytesOf(b);
}
template <class Item>
bool AreSame(const RepeatedPtrField<Item>& a, const RepeatedPtrField<Item>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Item& x, const Item& y) { return AreSame(x, y); });
}

// Leaves out of `now` what is the same in `before`. Both are in the order of their numbers.
template <class Item>
void KeepChanged(const RepeatedPtrField<Item>& before, RepeatedPtrField<Item>* now) {
  std::map<std::int64_t, const Item*> known;
  for (const Item& item : before) known[NumberOf(item)] = &item;
  const auto same = [&](const Item& item) {
    const auto it = known.find(NumberOf(item));
    return it != known.end() && AreSame(*it->second, item);
  };
  now->erase(std::remove_if(now->begin(), now->end(), same), now->end());
}

// Puts those of `before` that are not in `change` in their places among them; `before` is used up.
template <class Item>
void Complete(RepeatedPtrField<Item>* before, RepeatedPtrField<Item>* change) {
  std::map<std::int64_t, Item> all;
  for (Item& item : *before) {
    const std::int64_t number = NumberOf(item);
    all[number] = std::move(item);
  }
  for (Item& item : *change) {
    const std::int64_t number = NumberOf(item);
    all[number] = std::move(item);
  }
  change->Clear();
  for (auto& [number, item] : all) *change->Add() = std::move(item);
}

bool IsUnchanged(const v1::CampaignStatus& status, const char* field) {
  const auto& names = status.unchanged();
  return std::find(names.begin(), names.end(), field) != names.end();
}

}  // namespace

v1::CampaignStatus ChangesBetween(const v1::CampaignStatus& before, const v1::CampaignStatus& now) {
  v1::CampaignStatus change = now;
  change.set_changes(true);
  KeepChanged(before.round_history(), change.mutable_round_history());
  KeepChanged(before.versions(), change.mutable_versions());
  if (AreSame(before.answers(), now.answers())) {
    change.clear_answers();
    change.add_unchanged("answers");
  }
  if (AreSame(before.tasks(), now.tasks())) {
    change.clear_tasks();
    change.add_unchanged("tasks");
  }
  if (before.adapter_config_json() == now.adapter_config_json()) {
    change.clear_adapter_config_json();
    change.add_unchanged("adapter_config_json");
  }
  if (before.effective_yaml() == now.effective_yaml()) {
    change.clear_effective_yaml();
    change.add_unchanged("effective_yaml");
  }
  return change;
}

void MergeChanges(const v1::CampaignStatus& change, v1::CampaignStatus* whole) {
  v1::CampaignStatus next = change;
  next.set_changes(whole->changes());
  next.clear_unchanged();
  Complete(whole->mutable_round_history(), next.mutable_round_history());
  Complete(whole->mutable_versions(), next.mutable_versions());
  const auto keep = [&](const char* field) {
    if (!IsUnchanged(change, field)) return false;
    if (IsUnchanged(*whole, field)) next.add_unchanged(field);
    return true;
  };
  if (keep("answers")) next.mutable_answers()->Swap(whole->mutable_answers());
  if (keep("tasks")) next.mutable_tasks()->Swap(whole->mutable_tasks());
  if (keep("adapter_config_json")) next.set_adapter_config_json(whole->adapter_config_json());
  if (keep("effective_yaml")) next.set_effective_yaml(whole->effective_yaml());
  // The page of the history that `whole` began with goes on.
  if (next.round_history_size() > 0) {
    next.set_rounds_left_out(next.round_history(0).round() - 1);
  }
  *whole = std::move(next);
}

}  // namespace tributary
