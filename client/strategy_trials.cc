#include "client/strategy_trials.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <utility>
#include <vector>

#include "core/files.h"
#include "core/safetensors.h"
#include "core/tensor_file.h"

namespace tributary::client {
namespace {

constexpr double kOffset = 10;       // of every element, per unit of learning rate
constexpr double kMeanRange = 0.15;  // around the shift: what training itself adds
constexpr double kHeldBack = 0.75;   // of the change without the proximal term, at most
constexpr double kSameEffect = 0.1;  // of a product's effect: what rounding in bf16 may change

std::string Number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

// What training changed, tensor by tensor; nothing where a file cannot be read.
struct Change {
  double norm = 0;
  std::vector<std::pair<std::string, double>> means;
};

std::optional<Change> ChangeOf(const Trial& trial, const std::string& start_path) {
  const auto start = TensorReader::Open(start_path);
  const auto trained = TensorReader::Open(trial.Update(kAdapterWeightsFile));
  if (!start.ok() || !trained.ok()) return std::nullopt;
  Change change;
  for (const TensorSpec& spec : start->ToManifest()) {
    const auto before = start->Find(spec.name);
    const auto after = trained->Find(spec.name);
    if (before.size() != after.size() || before.empty()) return std::nullopt;
    double sum = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
      const double moved = static_cast<double>(after[i]) - before[i];
      sum += moved;
      change.norm += moved * moved;
    }
    change.means.emplace_back(spec.name, sum / static_cast<double>(before.size()));
  }
  change.norm = std::sqrt(change.norm);
  return change;
}

// LoRA factors with values that do something: A as they are, B times `scale`.
std::vector<HostTensor> Factors(const SampleMaterial& material, bool merged, double scale) {
  std::vector<HostTensor> factors;
  const auto start = SafetensorsFile::Open(material.weights);
  for (const TensorSpec& spec : start.ok() ? start->ToManifest() : Manifest()) {
    const bool a = IsLoraA(spec.name);
    if (!a && !IsLoraB(spec.name)) continue;
    const std::string module = spec.name.substr(0, spec.name.rfind(".lora_"));
    const std::string name =
        merged ? module + std::string(a ? kMergedSuffixA : kMergedSuffixB) : spec.name;
    HostTensor tensor{{name, DType::kF32, spec.shape}, std::vector<std::byte>(spec.ByteCount())};
    auto* values = reinterpret_cast<float*>(tensor.bytes.data());
    for (std::size_t i = 0; i < spec.ElementCount(); ++i) {
      const double value = i % 3 == 0 ? 0.3 : -0.1;
      values[i] = static_cast<float>(a ? value : value * scale);
    }
    factors.push_back(std::move(tensor));
  }
  return factors;
}

std::optional<double> LossOf(const Trial& trial) {
  if (!trial.result || trial.result->completion != Completion::kComplete) return std::nullopt;
  const auto loss = trial.result->metrics.find("loss/sample");
  return loss == trial.result->metrics.end() ? std::nullopt : std::optional(loss->second);
}

class StrategyTrials {
 public:
  explicit StrategyTrials(const TrialBench& bench) : bench_(bench) {}

  void Frozen() {
    TaskFile task = bench_.TrainTask();
    task.frozen = FrozenFactor::kA;
    const Trial trial = bench_.RunTask("frozen", task.ToJson(), "train");
    if (bench_.Refuses("frozen", trial, "strategy.frozen", "ffa-lora, rolora, fedsvd")) return;
    Findings findings;
    ExpectEnd(trial, Completion::kComplete, &findings);
    ExpectUnchanged(trial, Weights(), IsLoraA, &findings);
    bench_.Tell("frozen", findings, "leaves the factor alone");
  }

  // Only the matrices between the factors are trained.
  void Middle() {
    AdapterConfig adapter = bench_.material().adapter;
    adapter.middle = true;
    const auto material = MakeMaterial(bench_.PathOf("middle-material"), bench_.material().model,
                                       bench_.material().data, adapter);
    if (!material.ok()) {
      return bench_.Report(Failed("middle", material.status().message(), "free some space"));
    }
    TaskFile task = bench_.TrainTask();
    task.frozen = FrozenFactor::kBoth;
    const Trial trial = bench_.RunTask("middle", task.ToJson(), "train", 0, &*material);
    if (bench_.Refuses("middle", trial, "middle matrices", "fed-sb")) return;
    Findings findings;
    ExpectEnd(trial, Completion::kComplete, &findings);
    ExpectAdapter(trial, material->weights, task.training.steps, &findings);
    ExpectUnchanged(
        trial, material->weights, [](std::string_view name) { return !IsLoraC(name); }, &findings);
    bench_.Tell("middle", findings, "trains the matrices between the factors");
  }

  // Half of the ranks are given up, one more is on the way.
  void Pruning() {
    const std::int64_t kept = std::max<std::int64_t>(1, bench_.material().adapter.rank / 2);
    TaskFile task = bench_.TrainTask();
    task.pruning = PrunedRanks{0.1, std::max<std::int64_t>(1, kept - 1), kept};
    const Trial trial = bench_.RunTask("pruning", task.ToJson(), "train");
    if (bench_.Refuses("pruning", trial, "strategy.pruning", "hetlora with a rank_penalty")) return;
    Findings findings;
    ExpectEnd(trial, Completion::kComplete, &findings);
    ExpectAdapter(trial, Weights(), task.training.steps, &findings);
    ExpectEmptyRanks(trial, kept, &findings);
    bench_.Tell("pruning", findings, "leaves ranks that the site gave up empty");
  }

  // With mu = 1 / learning rate a step of plain gradient descent undoes the one before it.
  void Proximal() {
    TaskFile task = bench_.TrainTask();
    task.training.optimizer = "sgd";
    task.training.max_grad_norm = 0;
    task.proximal = 1 / task.training.learning_rate;
    const Trial trial = bench_.RunTask("proximal", task.ToJson(), "train");
    if (bench_.Refuses("proximal", trial, "strategy.proximal", "fedprox, feddyn")) return;
    task.proximal = 0;
    const Trial plain = bench_.RunTask("proximal-without", task.ToJson(), "train");
    Findings findings;
    ExpectEnd(trial, Completion::kComplete, &findings);
    ExpectAdapter(trial, Weights(), task.training.steps, &findings);
    ExpectEnd(plain, Completion::kComplete, &findings);
    const auto held = ChangeOf(trial, Weights());
    const auto freely = ChangeOf(plain, Weights());
    findings.Expect(held && freely, "left no adapter that can be read");
    if (findings.ok()) {
      findings.Expect(held->norm <= kHeldBack * freely->norm,
                      "the weights move by " + Number(held->norm) + " with strategy.proximal and " +
                          Number(freely->norm) + " without: it was ignored");
    }
    bench_.Tell("proximal", findings, "holds the weights back");
  }

  void GradientOffset() {
    const auto start = SafetensorsFile::Open(Weights());
    const std::string path = bench_.PathOf("offset.safetensors");
    Status written = start.status();
    if (written.ok()) {
      const auto values = [](const TensorSpec&, std::size_t, std::span<float> out) {
        std::fill(out.begin(), out.end(), static_cast<float>(kOffset));
      };
      written = WriteTensorFile(path, start->ToManifest(), values).status();
    }
    if (!written.ok()) {
      return bench_.Report(Failed("gradient-offset", written.message(), "free some space"));
    }
    TaskFile task = bench_.TrainTask();
    task.training.steps = 2;
    task.gradient_offset = path;
    const Trial trial = bench_.RunTask("gradient-offset", task.ToJson(), "train");
    if (bench_.Refuses("gradient-offset", trial, "strategy.gradient_offset",
                       "scaffold, scaffold-lora, feddyn")) {
      return;
    }
    Findings findings;
    ExpectEnd(trial, Completion::kComplete, &findings);
    ExpectAdapter(trial, Weights(), task.training.steps, &findings);
    const double shift = -kOffset * static_cast<double>(task.training.steps) *
                         task.training.learning_rate * task.training.learning_rate_scale;
    const auto change = ChangeOf(trial, Weights());
    findings.Expect(change.has_value(), "left no adapter that can be read");
    for (const auto& [name, mean] : change ? change->means : Change().means) {
      findings.Expect(std::abs(mean - shift) <= kMeanRange * std::abs(shift),
                      "tensor " + name + " moved by " + Number(mean) +
                          " in the mean; strategy.gradient_offset asks for about " + Number(shift));
    }
    bench_.Tell("gradient-offset", findings, "subtracts the offset in every step");
  }

  // The second task goes on with the optimizer of the first.
  void KeepOptimizer() {
    TaskFile task = bench_.TrainTask();
    task.keep_optimizer = true;
    const Trial trial = bench_.RunTask("keep-optimizer", task.ToJson(), "train");
    if (bench_.Refuses("keep-optimizer", trial, "strategy.keep_optimizer",
                       "campaigns that keep optimizers")) {
      return;
    }
    Findings findings;
    ExpectEnd(trial, Completion::kComplete, &findings);
    ExpectAdapter(trial, Weights(), task.training.steps, &findings);
    const std::string state = trial.Update(kOptimizerFile);
    findings.Expect(PathExists(state), "left no update/" + std::string(kOptimizerFile));
    if (findings.ok()) Continue(task, trial, state, &findings);
    bench_.Tell("keep-optimizer", findings, "leaves its optimizer's state and goes on with it");
  }

 private:
  const std::string& Weights() const { return bench_.material().weights; }

  void Continue(const TaskFile& task, const Trial& before, const std::string& state,
                Findings* findings) {
    const std::string name = "keep-optimizer-again";
    const Status staged = StageTask(bench_.PathOf(name), bench_.material(), task.ToJson());
    const auto linked =
        LinkFile(state, bench_.PathOf(name) + "/state/" + std::string(kOptimizerFile));
    findings->Expect(staged.ok() && linked.ok(), "its second task cannot be staged");
    if (!findings->ok()) return;
    const Trial again = bench_.RunStaged(name, "train");
    ExpectEnd(again, Completion::kComplete, findings);
    const auto one = Sha256OfFile(before.Update(kAdapterWeightsFile));
    const auto other = Sha256OfFile(again.Update(kAdapterWeightsFile));
    findings->Expect(one.ok() && other.ok() && *one != *other,
                     "with state/" + std::string(kOptimizerFile) +
                         " the same comes out as without: it was ignored");
  }

  const TrialBench& bench_;
};

}  // namespace

void RunStrategyTrials(const TrialBench& bench) {
  StrategyTrials trials(bench);
  using Step = void (StrategyTrials::*)();
  for (const Step step : {&StrategyTrials::Frozen, &StrategyTrials::Middle,
                          &StrategyTrials::Pruning, &StrategyTrials::Proximal,
                          &StrategyTrials::GradientOffset, &StrategyTrials::KeepOptimizer}) {
    if (!bench.GoesOn()) return;
    (trials.*step)();
  }
}

void RunMergedTrial(const TrialBench& bench, const Trial& plain, const Trial& first) {
  const auto without = LossOf(plain);
  if (!without) {
    return bench.Report(Skipped("merged", "without an evaluation there is nothing to compare"));
  }
  const SampleMaterial& given = bench.material();
  SampleMaterial as_adapter = given;
  as_adapter.weights = bench.PathOf("product-adapter.safetensors");
  TaskFile task = bench.EvaluateTask();
  task.merged = {bench.PathOf("merged.safetensors")};
  const Status written = [&]() -> Status {
    TRIBUTARY_RETURN_IF_ERROR(
        WriteSafetensors(as_adapter.weights, Factors(given, false, 1)).status());
    return WriteSafetensors(task.merged[0], Factors(given, true, given.adapter.Scale())).status();
  }();
  if (!written.ok()) return bench.Report(Failed("merged", written.message(), "free some space"));
  const Trial trial = bench.RunTask("merged", task.ToJson(), "evaluate");
  if (bench.Refuses("merged", trial, "merged products", "flora, fedex-lora")) return;
  const Trial adapter =
      bench.RunTask("merged-as-adapter", bench.EvaluateTask().ToJson(), "evaluate", 0, &as_adapter);
  TaskFile train = bench.TrainTask();
  train.training.steps = 1;
  train.merged = task.merged;
  const Trial trained = bench.RunTask("merged-train", train.ToJson(), "train");
  Findings findings;
  ExpectEnd(trial, Completion::kComplete, &findings);
  ExpectEnd(adapter, Completion::kComplete, &findings);
  ExpectEnd(trained, Completion::kComplete, &findings);
  const auto with = LossOf(trial);
  const auto same = LossOf(adapter);
  findings.Expect(with && same, "metric loss/sample is missing");
  if (findings.ok()) {
    const double effect = std::abs(*same - *without);
    findings.Expect(effect > 0, "the loss does not depend on the adapter");
    findings.Expect(*with != *without,
                    "the loss is the same with and without a product: it was ignored");
    findings.Expect(std::abs(*with - *same) <= kSameEffect * effect,
                    "the loss is " + Number(*with) + " with a product, and " + Number(*same) +
                        " with an adapter of the same product; " + Number(*without) +
                        " without either");
    findings.Expect(
        std::abs(trained.result->loss_first - first.result->loss_first) > kSameEffect * effect,
        "a train task has the loss " + Number(trained.result->loss_first) +
            " with and without a product: it was ignored there");
  }
  bench.Tell("merged", findings, "adds the products to the base weights");
}

}  // namespace tributary::client
