#include "server/wire.h"

#include <string_view>
#include <vector>

#include "server/progress_board.h"
#include "server/strategy.h"

namespace tributary::server {
namespace {

constexpr std::size_t kMaxHistoryBytes = std::size_t{16} << 20;  // of the 64 MiB that readers take

v1::TaskKind ToWire(TaskKind kind) {
  return kind == TaskKind::kTrain ? v1::TASK_KIND_TRAIN : v1::TASK_KIND_EVALUATE;
}

void FillTraining(const TrainingSettings& settings, const Task& task, v1::Training* out) {
  out->set_steps(task.steps);
  out->set_learning_rate_scale(task.learning_rate_scale);
  out->set_batch_size(settings.batch_size);
  out->set_gradient_accumulation(settings.gradient_accumulation);
  out->set_sequence_length(settings.sequence_length);
  out->set_learning_rate(settings.learning_rate);
  out->set_schedule(settings.schedule);
  out->set_warmup_steps(settings.warmup_steps);
  out->set_weight_decay(settings.weight_decay);
  out->set_beta1(settings.beta1);
  out->set_beta2(settings.beta2);
  out->set_epsilon(settings.epsilon);
  out->set_max_grad_norm(settings.max_grad_norm);
  out->set_optimizer(settings.optimizer);
  out->set_momentum(settings.momentum);
  out->set_gradient_checkpointing(settings.gradient_checkpointing);
  out->set_base_precision(settings.base_precision);
}

void FillBlob(const BlobRef& blob, v1::Blob* out) {
  out->set_digest(blob.digest.ToHex());
  out->set_bytes(blob.bytes);
}

void FillDirective(const TrainDirective& directive, v1::Directive* out) {
  out->set_proximal(directive.proximal);
  out->set_offset(static_cast<std::uint32_t>(directive.offset));
  out->set_frozen(static_cast<std::uint32_t>(directive.frozen));
  out->set_ranks(static_cast<std::uint32_t>(directive.ranks));
  out->set_fold_untrained_ranks(directive.fold_untrained_ranks);
  out->set_keep_b_local(directive.keep_b_local);
  out->set_keep_optimizer(directive.keep_optimizer);
  for (const std::string& name : directive.server_state) out->add_server_state(name);
  out->set_dtype(static_cast<std::uint32_t>(directive.dtype));
  out->set_error_feedback(directive.error_feedback);
  if (directive.pruning.penalty > 0) {
    v1::RankPruning* pruning = out->mutable_pruning();
    pruning->set_penalty(directive.pruning.penalty);
    pruning->set_decay(directive.pruning.decay);
    pruning->set_least(directive.pruning.least);
  }
}

// What the task needs besides the version.
void FillStrategy(const Campaign& campaign, const Task& task, v1::TaskAssignment* out) {
  const TrainDirective directive = DirectiveFor(campaign, task);
  FillDirective(directive, out->mutable_directive());
  if (task.kind == TaskKind::kTrain) out->set_site_rank(SiteRank(campaign.file, task.site));
  for (const BlobRef& blob : MergedProducts(campaign, task.base_version)) {
    FillBlob(blob, out->add_merged());
  }
  const auto& state = campaign.versions[static_cast<std::size_t>(task.base_version)].state;
  for (const std::string& name : directive.server_state) {
    const auto it = state.find(name);
    if (it != state.end()) FillBlob(it->second, &(*out->mutable_server_state())[name]);
  }
}

std::string_view AnswerName(SiteAnswer::Kind kind) {
  switch (kind) {
    case SiteAnswer::Kind::kAccepted:
      return "accepted";
    case SiteAnswer::Kind::kRefused:
      return "refused";
    case SiteAnswer::Kind::kDropped:
      return "dropped";
    default:
      return "waiting";
  }
}

std::string_view OutcomeName(const Task& task) {
  switch (task.phase) {
    case TaskPhase::kAccepted:
      return task.facts.completion == Completion::kPartial ? "partial" : "accepted";
    case TaskPhase::kFailed:
      return "failed";
    case TaskPhase::kMissed:
      return "missed";
    case TaskPhase::kCancelled:
      return "cancelled";
    default:
      return "outstanding";
  }
}

// Why it is not what was asked for.
const std::string& ReasonOf(const Task& task) {
  const bool partial =
      task.phase == TaskPhase::kAccepted && task.facts.completion == Completion::kPartial;
  return partial ? task.facts.message : task.reason;
}

void FillContribution(const Task& task, v1::Contribution* out) {
  out->set_site(task.site);
  out->set_outcome(std::string(OutcomeName(task)));
  out->set_reason(ReasonOf(task));
  out->set_planned_steps(task.steps);
  out->set_samples(task.facts.samples);
  out->set_steps(task.facts.steps);
  out->set_loss(task.facts.loss_last);
  out->set_bytes(task.facts.bytes);
  if (!task.facts.digest.IsZero()) out->set_digest(task.facts.digest.ToHex());
  out->set_queue_seconds(task.facts.queue_seconds);
  out->set_startup_seconds(task.facts.startup_seconds);
  out->set_compute_seconds(task.facts.compute_seconds);
  out->set_transfer_seconds(task.facts.transfer_seconds);
  out->set_device(task.facts.device);
  out->set_peak_memory_bytes(task.facts.peak_memory_bytes);
}

// The last evaluation of each site that has none that counts, by round.
using MissingEvaluations = std::map<std::int64_t, std::map<std::string, const Task*>>;

MissingEvaluations MissingOf(const Campaign& campaign) {
  MissingEvaluations latest;
  for (const auto& [id, task] : campaign.tasks) {
    if (task.kind != TaskKind::kEvaluate) continue;
    const Task*& last = latest[task.round][task.site];
    if (last == nullptr || last->attempt < task.attempt) last = &task;
  }
  for (auto& [round, by_site] : latest) {
    std::erase_if(by_site,
                  [](const auto& entry) { return entry.second->phase == TaskPhase::kAccepted; });
  }
  return latest;
}

void FillRound(const Campaign& campaign, const Round& round, const MissingEvaluations& missing,
               v1::RoundStatus* out) {
  out->set_round(round.number);
  out->set_opened_at_us(ToMicros(round.opened_at));
  if (round.closed_at) {
    out->set_closed_at_us(ToMicros(*round.closed_at));
    out->set_version(round.number);
    out->set_mean_loss(round.mean_loss);
  }
  const std::set<std::string_view> counted(round.counted.begin(), round.counted.end());
  for (const std::string& site : round.sites) {
    const Task& task = campaign.tasks.at(round.tasks.at(site));
    const bool late = round.closed_at && !counted.empty() && !counted.contains(task.id);
    if (late && task.phase == TaskPhase::kAccepted) continue;  // the next round has it
    v1::Contribution* contribution = out->add_contributions();
    FillContribution(task, contribution);
    // A round's fold starts from the version before its own.
    contribution->set_staleness(std::max<std::int64_t>(round.number - 1 - task.base_version, 0));
  }
  for (const auto& [name, value] : round.metrics) (*out->mutable_metrics())[name] = value;
  const auto it = missing.find(round.number);
  if (it == missing.end()) return;
  for (const auto& [site, task] : it->second) {
    v1::MissingEvaluation* evaluation = out->add_missing_evaluations();
    evaluation->set_site(site);
    evaluation->set_outcome(std::string(OutcomeName(*task)));
    evaluation->set_reason(task->reason);
  }
}

void FillTask(const Task& task, const std::map<std::string, v1::TaskProgress>& progress,
              v1::TaskStatus* out) {
  out->set_task(task.id);
  out->set_site(task.site);
  out->set_kind(std::string(TaskKindName(task.kind)));
  out->set_steps(task.steps);
  const auto it = progress.find(ProgressKey(task.site, task.id));
  if (task.phase != TaskPhase::kOutstanding) {
    out->set_phase(std::string(OutcomeName(task)));
    out->set_step(task.facts.steps);
    out->set_loss(task.facts.loss_last);
    out->set_message(ReasonOf(task));
  } else if (it == progress.end()) {
    out->set_phase("assigned");
  } else {
    out->set_phase(it->second.phase());
    out->set_job(it->second.job());
    out->set_step(it->second.step());
    out->set_loss(it->second.loss());
    out->set_start_p50_us(it->second.start_p50_us());
    out->set_start_p80_us(it->second.start_p80_us());
    out->set_start_p95_us(it->second.start_p95_us());
    out->set_attempt(it->second.attempt());
    out->set_message(it->second.message());
  }
}

}  // namespace

std::vector<v1::RoundStatus> ToRounds(const Campaign& campaign) {
  const MissingEvaluations missing = MissingOf(campaign);
  std::vector<v1::RoundStatus> rounds;
  for (const Round& round : campaign.rounds) {
    if (!round.past) FillRound(campaign, round, missing, &rounds.emplace_back());
  }
  return rounds;
}

void SetHistory(std::vector<v1::RoundStatus> rounds, v1::CampaignStatus* status) {
  std::size_t bytes = 0;
  auto first = rounds.end();
  while (first != rounds.begin()) {
    bytes += std::prev(first)->ByteSizeLong();
    if (bytes > kMaxHistoryBytes) break;
    --first;
  }
  status->clear_round_history();
  status->set_rounds_left_out(first == rounds.end() ? status->round() : first->round() - 1);
  for (; first != rounds.end(); ++first) *status->add_round_history() = std::move(*first);
}

v1::CampaignOffer ToOffer(const Campaign& campaign, const Manifest& manifest) {
  v1::CampaignOffer offer;
  offer.set_campaign(campaign.id);
  offer.set_lead(campaign.lead);
  offer.set_model(campaign.file.model.name);
  offer.set_train_data(campaign.file.data.train);
  for (const std::string& name : campaign.file.data.evaluate) offer.add_evaluation_data(name);
  offer.set_adapter_config_json(campaign.file.ToAdapterConfig().ToPeftJson());
  for (const TensorSpec& spec : manifest) {
    v1::TensorInfo* info = offer.add_manifest();
    info->set_name(spec.name);
    info->set_dtype(std::string(DTypeName(spec.dtype)));
    for (const std::int64_t extent : spec.shape) info->add_shape(extent);
  }
  offer.set_campaign_yaml(campaign.yaml);
  offer.set_max_walltime_seconds(campaign.file.walltime.count());
  for (const std::string& need : TrainerNeeds(campaign.file)) offer.add_needs(need);
  return offer;
}

v1::TaskAssignment ToAssignment(const Campaign& campaign, const Task& task) {
  const Version& base = campaign.versions[static_cast<std::size_t>(task.base_version)];
  v1::TaskAssignment assignment;
  assignment.set_task(task.id);
  assignment.set_campaign(campaign.id);
  assignment.set_kind(ToWire(task.kind));
  assignment.set_round(task.round);
  assignment.set_global_version(base.number);
  assignment.set_global_digest(base.digest.ToHex());
  assignment.set_global_bytes(base.bytes);
  assignment.set_seed(task.seed);
  assignment.set_walltime_seconds(campaign.file.walltime.count());
  FillTraining(campaign.file.training, task, assignment.mutable_training());
  assignment.set_evaluation_batch_size(campaign.file.evaluation.batch_size);
  assignment.set_evaluation_max_examples(campaign.file.evaluation.max_examples);
  assignment.set_evaluation_answer_tokens(campaign.file.evaluation.answer_tokens);
  assignment.set_chat_template(campaign.file.data.chat_template);
  assignment.set_max_bad_lines(campaign.file.data.max_bad_lines);
  assignment.set_delay_seconds(task.delay.count());
  FillStrategy(campaign, task, &assignment);
  return assignment;
}

ReportFacts FromStatement(const v1::Statement& statement) {
  ReportFacts facts;
  facts.completion = statement.outcome() == v1::OUTCOME_COMPLETE  ? Completion::kComplete
                     : statement.outcome() == v1::OUTCOME_PARTIAL ? Completion::kPartial
                                                                  : Completion::kFailed;
  facts.message = statement.message();
  facts.bytes = statement.bytes();
  facts.samples = statement.samples();
  facts.tokens = statement.tokens();
  facts.steps = statement.steps();
  facts.learning_rate_sum = statement.learning_rate_sum();
  facts.loss_first = statement.loss_first();
  facts.loss_last = statement.loss_last();
  facts.metrics.insert(statement.metrics().begin(), statement.metrics().end());
  facts.queue_seconds = statement.queue_seconds();
  facts.startup_seconds = statement.startup_seconds();
  facts.compute_seconds = statement.compute_seconds();
  facts.transfer_seconds = statement.transfer_seconds();
  facts.device = statement.device();
  facts.peak_memory_bytes = statement.peak_memory_bytes();
  return facts;
}

v1::CampaignStatus ToSummary(const Campaign& campaign) {
  v1::CampaignStatus status;
  status.set_campaign(campaign.id);
  status.set_lead(campaign.lead);
  status.set_phase(std::string(CampaignPhaseName(campaign.phase)));
  status.set_paused(campaign.paused);
  status.set_note(campaign.note);
  status.set_round(static_cast<std::int64_t>(campaign.rounds.size()));
  status.set_rounds(campaign.file.pacing.rounds);
  const Version& latest = campaign.versions.back();
  status.set_version(latest.number);
  status.set_version_digest(latest.digest.ToHex());
  status.set_version_bytes(latest.bytes);
  status.set_submitted_at_us(ToMicros(campaign.submitted_at));
  if (campaign.ended_at) status.set_ended_at_us(ToMicros(*campaign.ended_at));
  status.set_aggregator(campaign.file.aggregator.kind);
  return status;
}

v1::CampaignStatus ToStatus(const Campaign& campaign,
                            const std::map<std::string, v1::TaskProgress>& progress) {
  v1::CampaignStatus status = ToSummary(campaign);
  for (const auto& [site, answer] : campaign.answers) {
    v1::SiteAnswer* out = status.add_answers();
    out->set_site(site);
    out->set_answer(std::string(AnswerName(answer.kind)));
    out->set_reason(answer.reason);
  }
  SetHistory(ToRounds(campaign), &status);
  const std::int64_t open = static_cast<std::int64_t>(campaign.rounds.size());
  for (const auto& [id, task] : campaign.tasks) {
    if (task.phase == TaskPhase::kOutstanding ||
        (task.counts_in() == open && task.kind == TaskKind::kTrain && !campaign.ended())) {
      FillTask(task, progress, status.add_tasks());
    }
  }
  status.set_adapter_config_json(campaign.file.ToAdapterConfig().ToPeftJson());
  status.set_effective_yaml(campaign.yaml);
  for (const Version& version : campaign.versions) {
    v1::VersionInfo* info = status.add_versions();
    info->set_version(version.number);
    info->set_digest(version.digest.ToHex());
    info->set_bytes(version.bytes);
    info->set_published_at_us(ToMicros(version.published_at));
    info->set_damage(version.damage);
    if (version.merged.digest.IsZero()) continue;
    info->set_merged_digest(version.merged.digest.ToHex());
    info->set_merged_bytes(version.merged.bytes);
  }
  return status;
}

}  // namespace tributary::server
