// Text from peers and files: plain JSON, and the formats built on it.
#include <nlohmann/json.hpp>

#include "core/json.h"
#include "core/peft_adapter.h"
#include "core/task_contract.h"
#include "core/text.h"
#include "server/event_codec.h"
#include "tests/fuzz/fuzz_targets.h"

namespace tributary {

void FuzzJson(std::string_view bytes) {
  const auto value = ParseJson(bytes, "input");
  if (value.ok()) {
    const auto again = ParseJson(value->dump(), "dumped");
    Require(again.ok() && *again == *value, "what parses, prints to text that parses to the same");
    Require(IsUtf8(value->dump()), "what parses is UTF-8");
  } else {
    Require(!value.status().message().empty(), "an error says why");
  }
  if (const auto task = TaskFile::FromJson(bytes); task.ok()) {
    const auto again = TaskFile::FromJson(task->ToJson());
    Require(again.ok() && again->ToJson() == task->ToJson(), "a task file round trips");
  }
  if (const auto result = TaskResult::FromJson(bytes); result.ok()) {
    const auto again = TaskResult::FromJson(result->ToJson());
    Require(again.ok() && again->ToJson() == result->ToJson(), "a result round trips");
  }
  (void)ProgressLine::FromJson(bytes).ok();
  (void)AdapterConfig::FromPeftJson(bytes).ok();
  (void)ModelShape::FromConfigJson(bytes).ok();
  if (const auto event = server::DecodeEvent(bytes); event.ok()) {
    const std::string text = server::EncodeEvent(*event);
    const auto again = server::DecodeEvent(text);
    Require(again.ok() && server::EncodeEvent(*again) == text, "an event round trips");
  }
}

std::vector<std::string> JsonSeeds() {
  TaskFile task;
  task.task = "c.r1.a.t1";
  task.campaign = "c";
  task.site = "a";
  task.model_path = "/models/base";
  task.data = {{"notes", "/data/notes.jsonl"}};
  TaskResult result;
  result.samples = 3;
  result.metrics = {{"loss/heldout", 1.5}};
  AdapterConfig adapter;
  adapter.target_modules = {"q_proj", "v_proj"};
  std::vector<std::string> seeds = {
      "",
      "null",
      "[1, -2.5e3, \"\\u00e9\\n\", true, {\"a\": {}}]",
      R"({"a": 1, "a": 2})",
      std::string(70, '['),
      "\"\xC3\xA9\"",
      "18446744073709551616",
      task.ToJson(),
      result.ToJson(),
      ProgressLine{1, 2, 0.5, 10, 1.5}.ToJson(),
      adapter.ToPeftJson(),
      R"({"model_type": "llama", "vocab_size": 32, "hidden_size": 8, "intermediate_size": 12,)"
      R"( "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2})"};
  server::UpdateAccepted update{"c.r1.a.t1", {}};
  update.facts.metrics = {{"loss", 0.1}};
  update.facts.digest = Sha256Of("x");
  for (const server::Event& event : std::vector<server::Event>{
           server::SiteEnrolled{"a", "f"}, server::CampaignSubmitted{"c", "l", "y", {}, 1},
           server::CampaignAnswered{"c", "a", true, ""}, update,
           server::VersionPublished{"c", 1, Sha256Of("v"), 2}}) {
    seeds.push_back(server::EncodeEvent(event));
  }
  return seeds;
}

}  // namespace tributary
