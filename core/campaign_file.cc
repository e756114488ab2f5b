#include "core/campaign_file.h"

#include <algorithm>
#include <set>

namespace tributary {

void ModelSection::Describe(ConfigVisitor& v) {
  v.Field(
      "name", &name,
      {.doc = "what the sites' files call the base model", .required = true, .non_empty = true});
  v.Field("config", &config,
          {.doc = "config.json of the model, or its directory, on the lead's machine; only shapes "
                  "are read"});
}

void AdapterSection::Describe(ConfigVisitor& v) {
  v.Field("kind", &kind, {.doc = "lora, or full: all weights", .one_of = {"lora", "full"}});
  v.Field("rank", &rank, {.min = 1, .max = 4096});
  v.Field("alpha", &alpha, {.doc = "update scale is alpha / rank", .min = 1e-6, .max = 1e6});
  v.Field("dropout", &dropout, {.min = 0, .max = 0.95});
  v.Field("target_modules", &target_modules, {.doc = "linear modules that get factors"});
  v.Field("target_pattern", &target_pattern,
          {.doc = "instead of them: all-linear, or a regular expression for whole module names"});
  v.Field("use_rslora", &use_rslora, {.doc = "update scale is alpha / sqrt(rank)"});
  v.Field("middle", &middle, {.doc = "a square matrix between the factors; for kind fed-sb"});
  v.Field("rank_pattern", &rank_pattern,
          {.doc = "other ranks; module or regular expression, and rank", .min = 1, .max = 4096});
  v.Field("alpha_pattern", &alpha_pattern, {.doc = "the same for alpha", .min = 1e-6, .max = 1e6});
  v.Field("modules_to_save", &modules_to_save,
          {.doc = "modules that are trained as a whole, for example lm_head"});
  v.Field("site_ranks", &site_ranks,
          {.doc = "sites that train fewer ranks than rank; site and rank", .min = 1, .max = 4096});
  v.Field("initial", &initial,
          {.doc = "PEFT adapter directory to start from; empty: A random, B zero"});
}

void DataSection::Describe(ConfigVisitor& v) {
  v.Field(
      "train", &train,
      {.doc = "data name; each site maps it to its own path", .required = true, .non_empty = true});
  v.Field("evaluate", &evaluate, {.doc = "data names for held-out loss"});
  v.Field("template", &chat_template,
          {.doc = "how conversations are written; empty: as the tokenizer's tokens tell"});
  v.Field("max_bad_lines", &max_bad_lines,
          {.doc = "that are left out of a file before its task fails", .min = 0, .max = 1e12});
}

void AggregatorSection::Describe(ConfigVisitor& v) {
  v.Field("kind", &kind);
  v.Field("weights", &weights,
          {.doc = "what an update counts by",
           .one_of = {"equal", "samples", "tokens", "steps", "custom"}});
  v.Field("custom_weights", &custom_weights,
          {.doc = "with weights: custom; site and weight", .min = 0, .max = 1e12});
  v.Field("weight_cap", &weight_cap,
          {.doc = "what one site counts for at most; 0: no limit", .min = 0, .max = 1e18});
  v.Field("max_update_norm", &max_update_norm,
          {.doc = "a larger update is refused; 0: no limit", .min = 0});
  v.Field("server_learning_rate", &server_learning_rate, {.min = 1e-9, .max = 1e3});
  v.Field("options", &options, {.doc = "of this kind; `tributary strategies` lists them"});
}

void UpdateSection::Describe(ConfigVisitor& v) {
  v.Field(
      "dtype", &dtype,
      {.doc = "what the values of an update travel as; bf16 halves the bytes, int8 quarters them",
       .one_of = {"f32", "bf16", "int8"}});
  v.Field("error_feedback", &error_feedback,
          {.doc = "a site adds what bf16 or int8 rounded away to its next update"});
}

void PacingSection::Describe(ConfigVisitor& v) {
  v.Field("kind", &kind);
  v.Field("rounds", &rounds, {.min = 1, .max = 1000000});
  v.Field("sites_per_round", &sites_per_round,
          {.doc = "0: every site that accepted", .min = 0, .max = 10000});
  v.Field("quorum", &quorum,
          {.doc = "updates that make a version; 0: all selected sites", .min = 0, .max = 10000});
  v.Field("deadline", &deadline,
          {.doc = "a round with a quorum closes then; 0s: waits for every site", .min = 0});
  v.Field("attempts", &attempts, {.doc = "of a task that fails", .min = 1, .max = 100});
}

void EvaluationSection::Describe(ConfigVisitor& v) {
  v.Field("every", &every, {.doc = "rounds between evaluations; 0: never", .min = 0});
  v.Field("batch_size", &batch_size, {.min = 1, .max = 65536});
  v.Field("max_examples", &max_examples, {.doc = "per data name; 0: all", .min = 0});
  v.Field("answer_tokens", &answer_tokens,
          {.doc = "longest answer for exact match; 0: no exact match", .min = 0, .max = 65536});
}

void TrainingSection::Describe(ConfigVisitor& v) {
  v.Field("steps", &steps, {.doc = "optimizer steps per round", .min = 1, .max = 1e9});
  v.Field("batch_size", &batch_size, {.min = 1, .max = 65536});
  v.Field("gradient_accumulation", &gradient_accumulation, {.min = 1, .max = 65536});
  v.Field("sequence_length", &sequence_length, {.doc = "tokens", .min = 8, .max = 1048576});
  v.Field("learning_rate", &learning_rate, {.min = 1e-12, .max = 100});
  v.Field("schedule", &schedule, {.one_of = {"constant", "cosine"}});
  v.Field("warmup_steps", &warmup_steps, {.min = 0, .max = 1e9});
  v.Field("weight_decay", &weight_decay, {.min = 0, .max = 10});
  v.Field("beta1", &beta1, {.min = 0, .max = 0.999999});
  v.Field("beta2", &beta2, {.min = 0, .max = 0.999999});
  v.Field("epsilon", &epsilon, {.min = 1e-16, .max = 1});
  v.Field("max_grad_norm", &max_grad_norm, {.doc = "0: no clipping", .min = 0, .max = 1e6});
  v.Field("optimizer", &optimizer, {.one_of = {"adamw", "sgd"}});
  v.Field("momentum", &momentum, {.doc = "of sgd", .min = 0, .max = 0.999999});
  v.Field("gradient_checkpointing", &gradient_checkpointing,
          {.doc = "less memory for about a third more time; the update stays the same"});
  v.Field("base_precision", &base_precision,
          {.doc = "what the frozen base weights are kept as, also in evaluations; stored: as their "
                  "file has them",
           .one_of = {"fp32", "stored", "int8"}});
}

void CampaignFile::Describe(ConfigVisitor& v) {
  v.Field("name", &name, {.required = true});
  v.Field("model", &model, {.required = true});
  v.Field("adapter", &adapter);
  v.Field("data", &data, {.required = true});
  v.Field("sites", &sites, {.required = true, .non_empty = true});
  v.Field("aggregator", &aggregator);
  v.Field("update", &update);
  v.Field("pacing", &pacing);
  v.Field("training", &training);
  v.Field("evaluation", &evaluation);
  v.Field("walltime", &walltime, {.doc = "of one task's job", .min = 1, .max = 30 * 86400});
  v.Field("seed", &seed, {.min = 0, .max = 9007199254740992.0});
}

namespace {

template <typename Value>
void CheckSiteNames(const std::string& key, const std::map<std::string, Value>& by_site,
                    const std::set<std::string>& sites, ConfigProblems& problems) {
  for (const auto& [site, value] : by_site) {
    if (!sites.contains(site)) {
      problems.Add(key, "\"" + Excerpt(site) + "\" is not a site of this campaign");
    }
  }
}

}  // namespace

void CampaignFile::Check(ConfigProblems& problems) const {
  const auto site_count = static_cast<std::int64_t>(sites.size());
  if (!IsPlainName(name)) {
    problems.Add("name", "\"" + name +
                             "\" is not a name; must be 1 to 63 of a-z, 0-9 and -, not "
                             "starting with -");
  }
  std::set<std::string> seen;
  for (const std::string& site : sites) {
    if (!IsPlainName(site)) problems.Add("sites", "\"" + Excerpt(site) + "\" is not a site name");
    if (!seen.insert(site).second) problems.Add("sites", "\"" + site + "\" appears twice");
  }
  const auto selected = pacing.sites_per_round == 0 ? site_count : pacing.sites_per_round;
  if (selected > site_count) {
    problems.Add("pacing", "sites_per_round is " + std::to_string(selected) +
                               "; must be at most the number of sites (" +
                               std::to_string(site_count) + ")");
  }
  if (pacing.quorum > selected) {
    problems.Add("pacing", "quorum is " + std::to_string(pacing.quorum) +
                               "; must be at most the sites of a round (" +
                               std::to_string(selected) + ")");
  }
  if (adapter.kind == "lora" && adapter.target_modules.empty() && adapter.target_pattern.empty()) {
    problems.Add("adapter",
                 "target_modules is empty; name at least one linear module, "
                 "for example q_proj");
  }
  CheckSiteNames("adapter.site_ranks", adapter.site_ranks, seen, problems);
  CheckSiteNames("aggregator.custom_weights", aggregator.custom_weights, seen, problems);
  for (const auto& [site, rank] : adapter.site_ranks) {
    if (rank > adapter.rank) {
      problems.Add("adapter.site_ranks", site + " has rank " + std::to_string(rank) +
                                             "; must be at most adapter.rank (" +
                                             std::to_string(adapter.rank) + ")");
    }
  }
  const bool patterns = !adapter.rank_pattern.empty() || !adapter.alpha_pattern.empty();
  if (patterns && !adapter.site_ranks.empty()) {
    problems.Add("adapter.site_ranks",
                 "cannot be combined with rank_pattern or alpha_pattern; leave one of them out");
  }
  const bool lora_options = patterns || adapter.use_rslora || adapter.middle ||
                            !adapter.target_pattern.empty() || !adapter.modules_to_save.empty();
  if (lora_options && adapter.kind != "lora") {
    problems.Add(
        "adapter",
        "target_pattern, use_rslora, middle, rank_pattern, alpha_pattern and modules_to_save "
        "belong to kind lora; leave them out");
  }
  if (training.base_precision != "fp32" && adapter.kind != "lora") {
    problems.Add("training.base_precision",
                 "with adapter.kind full every weight is trained; must be fp32");
  }
  if (!adapter.site_ranks.empty() && adapter.kind != "lora") {
    problems.Add("adapter.site_ranks", "only an adapter of kind lora has ranks");
  }
  if ((aggregator.weights == "custom") == aggregator.custom_weights.empty()) {
    problems.Add("aggregator.custom_weights", "must be given with weights: custom, and only then");
  }
  if (aggregator.weights == "custom" && aggregator.custom_weights.size() < seen.size()) {
    problems.Add("aggregator.custom_weights", "must name every site of the campaign");
  }
  if (evaluation.every > 0 && data.evaluate.empty() && evaluation.every != 1) {
    problems.Add("evaluation", "every is set but data.evaluate names no data");
  }
}

AdapterConfig CampaignFile::ToAdapterConfig() const {
  AdapterConfig config;
  config.kind = adapter.kind == "full" ? AdapterKind::kFull : AdapterKind::kLora;
  config.rank = adapter.rank;
  config.alpha = adapter.alpha;
  config.dropout = adapter.dropout;
  config.target_modules = adapter.target_modules;
  config.target_pattern = adapter.target_pattern;
  if (!config.target_pattern.empty()) config.target_modules.clear();
  config.use_rslora = adapter.use_rslora;
  config.middle = adapter.middle;
  config.rank_pattern.assign(adapter.rank_pattern.begin(), adapter.rank_pattern.end());
  config.alpha_pattern.assign(adapter.alpha_pattern.begin(), adapter.alpha_pattern.end());
  config.modules_to_save = adapter.modules_to_save;
  config.base_model = model.name;
  return config;
}

bool IsPlainName(std::string_view name) {
  if (name.empty() || name.size() > 63 || name.front() == '-') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

bool IsCampaignId(std::string_view id) {
  const std::string_view name = CampaignNameOf(id);
  if (!IsPlainName(name)) return false;
  if (name.size() == id.size()) return true;
  const std::string_view nth = id.substr(name.size() + 1);
  return nth.size() <= 4 && nth.find_first_not_of("0123456789") == nth.npos && !nth.empty() &&
         nth.front() != '0' && nth != "1";
}

std::string NthCampaignId(std::string_view name, std::int64_t nth) {
  return std::string(name) + "@" + std::to_string(nth);
}

std::string_view CampaignNameOf(std::string_view id) { return id.substr(0, id.find('@')); }

bool IsTaskId(std::string_view campaign, std::string_view id) {
  if (!IsCampaignId(campaign) || id.size() > 200 || !id.starts_with(campaign)) return false;
  const std::string_view rest = id.substr(campaign.size());
  if (!rest.starts_with('.')) return false;
  return rest.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") == rest.npos;
}

}  // namespace tributary
