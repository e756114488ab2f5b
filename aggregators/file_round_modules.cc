// The passes that go module by module: what every site made of a LoRA pair, and what becomes of it.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <numeric>

#include "aggregators/file_round_passes.h"

namespace tributary::aggregators {
namespace {

// Rows `ranks` of a factor A [R, width]; all of them when `ranks` is empty.
void TakeRows(std::span<const float> from, std::size_t width, std::span<const std::int64_t> ranks,
              std::vector<float>* out) {
  if (ranks.empty()) {
    out->assign(from.begin(), from.end());
    return;
  }
  out->clear();
  for (const std::int64_t rank : ranks) {
    const auto row = from.subspan(static_cast<std::size_t>(rank) * width, width);
    out->insert(out->end(), row.begin(), row.end());
  }
}

// Columns `ranks` of a factor B [height, R].
void TakeColumns(std::span<const float> from, std::size_t columns,
                 std::span<const std::int64_t> ranks, std::vector<float>* out) {
  if (ranks.empty()) {
    out->assign(from.begin(), from.end());
    return;
  }
  out->clear();
  for (std::size_t at = 0; at < from.size(); at += columns) {
    for (const std::int64_t rank : ranks) {
      out->push_back(from[at + static_cast<std::size_t>(rank)]);
    }
  }
}

void AddUpdate(const TensorSource& update, std::vector<float>* delta, std::vector<float>* factor) {
  delta->resize(factor->size());
  const auto values = update.Read(0, factor->size(), delta->data());
  for (std::size_t i = 0; i < factor->size(); ++i) (*factor)[i] += values[i];
}

Status CheckFactors(const std::string& what, const Factors& factors, const ModulePair& pair) {
  const auto rank = static_cast<std::size_t>(factors.rank);
  if (factors.rank >= 0 && factors.a.size() == rank * static_cast<std::size_t>(pair.in) &&
      factors.b.size() == rank * static_cast<std::size_t>(pair.out)) {
    return OkStatus();
  }
  return InternalError(what + " of module " + pair.name + " has factors of the wrong size");
}

// Products for the sites' base weights. Their ranks are known only when every module is done, and
// with them the header of their file: until then they wait in a file without a name.
class MergedSpool {
 public:
  explicit MergedSpool(std::string directory) : directory_(std::move(directory)) {}

  Status Add(const ModulePair& pair, const Factors& factors) {
    if (factors.rank == 0) return OkStatus();
    if (!file_.valid()) TRIBUTARY_RETURN_IF_ERROR(Create());
    TRIBUTARY_RETURN_IF_ERROR(
        AddTensor(pair.name + ".merged_A.weight", {factors.rank, pair.in}, factors.a));
    return AddTensor(pair.name + ".merged_B.weight", {pair.out, factors.rank}, factors.b);
  }

  bool empty() const { return tensors_.empty(); }

  Result<SafetensorsWriter::Written> Write(const std::string& path) const {
    Manifest manifest;
    for (const auto& [name, spooled] : tensors_) manifest.push_back(spooled.spec);
    TRIBUTARY_ASSIGN_OR_RETURN(SafetensorsWriter writer, SafetensorsWriter::Create(path, manifest));
    std::vector<std::byte> buffer(std::size_t{1} << 20);
    for (const auto& [name, spooled] : tensors_) {
      const std::size_t size = spooled.spec.ByteCount();
      for (std::size_t at = 0; at < size; at += buffer.size()) {
        const std::size_t count = std::min(buffer.size(), size - at);
        TRIBUTARY_RETURN_IF_ERROR(ReadAt(spooled.offset + at, {buffer.data(), count}));
        TRIBUTARY_RETURN_IF_ERROR(writer.Append({buffer.data(), count}));
      }
    }
    return writer.Finish();
  }

 private:
  struct Spooled {
    TensorSpec spec;
    std::size_t offset = 0;
  };

  Status Create() {
    std::string path = JoinPath(directory_, "merged.tmp-XXXXXX");
    const int fd = mkostemp(path.data(), O_CLOEXEC);
    if (fd < 0) return ErrnoError("create " + path, errno);
    file_ = FileDescriptor(fd);
    unlink(path.c_str());
    return OkStatus();
  }

  Status AddTensor(const std::string& name, std::vector<std::int64_t> shape,
                   std::span<const float> values) {
    tensors_[name] = {{name, DType::kF32, std::move(shape)}, end_};
    const auto bytes = std::as_bytes(values);
    end_ += bytes.size();
    return WriteAll(file_.get(), bytes.data(), bytes.size()).Annotate("merged products");
  }

  Status ReadAt(std::size_t offset, std::span<std::byte> out) const {
    while (!out.empty()) {
      const ssize_t got = pread(file_.get(), out.data(), out.size(), static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return ErrnoError("read merged products", got < 0 ? errno : EIO);
      out = out.subspan(static_cast<std::size_t>(got));
      offset += static_cast<std::size_t>(got);
    }
    return OkStatus();
  }

  const std::string directory_;
  FileDescriptor file_;
  std::map<std::string, Spooled> tensors_;  // in the order of the file to come
  std::size_t end_ = 0;
};

}  // namespace

// What FoldModules does in turn: appends tensors in manifest order. A factor B that comes before
// its place waits; its place is next to A's, or nearly.
struct FileRound::ModulePass {
  const Manifest& manifest;
  Output output;
  MergedSpool merged;
  std::size_t next = 0;  // tensors before it are written
  std::map<std::size_t, std::vector<float>> waiting;

  Status Advance() {
    while (next < manifest.size()) {
      const auto it = waiting.find(next);
      if (it != waiting.end()) {
        TRIBUTARY_RETURN_IF_ERROR(output.writer.Append(std::as_bytes(std::span(it->second))));
        waiting.erase(it);
      } else if (manifest[next].ElementCount() > 0) {
        break;
      }
      ++next;
    }
    return OkStatus();
  }

  Status AppendModule(const ModulePair& pair, ModuleResult result) {
    waiting[pair.a] = std::move(result.next.a);
    waiting[pair.b] = std::move(result.next.b);
    TRIBUTARY_RETURN_IF_ERROR(merged.Add(pair, result.merged));
    return Advance();
  }

  Status AppendStretch(const Stretch& stretch, std::span<const float> values) {
    TRIBUTARY_RETURN_IF_ERROR(Advance());  // past empty tensors
    TRIBUTARY_RETURN_IF_ERROR(output.writer.Append(std::as_bytes(values)));
    if (stretch.begin + stretch.count < manifest[stretch.tensor].ElementCount()) return OkStatus();
    ++next;
    return Advance();
  }
};

void FileRound::LoadModule(const ModulePair& pair, ModuleScratch* scratch, Module* module) const {
  const auto rank = static_cast<std::size_t>(pair.rank);
  const auto in = static_cast<std::size_t>(pair.in);
  const std::size_t a_size = rank * in;
  const std::size_t b_size = rank * static_cast<std::size_t>(pair.out);
  scratch->a.resize(updates_.size());
  scratch->b.resize(updates_.size());
  scratch->sites.resize(updates_.size());
  scratch->global_a.resize(a_size);
  scratch->global_b.resize(b_size);
  const FactorView global{pair.rank,
                          global_.tensors[pair.a].Read(0, a_size, scratch->global_a.data()),
                          global_.tensors[pair.b].Read(0, b_size, scratch->global_b.data())};
  for (std::size_t k = 0; k < updates_.size(); ++k) {
    const std::vector<std::int64_t>& ranks = contributions_[k].ranks;
    TakeRows(global.a, in, ranks, &scratch->a[k]);
    TakeColumns(global.b, rank, ranks, &scratch->b[k]);
    AddUpdate(updates_[k].tensors[pair.a], &scratch->delta, &scratch->a[k]);
    AddUpdate(updates_[k].tensors[pair.b], &scratch->delta, &scratch->b[k]);
    const auto site_rank = ranks.empty() ? pair.rank : static_cast<std::int64_t>(ranks.size());
    scratch->sites[k] = {site_rank, scratch->a[k], scratch->b[k]};
  }
  *module = {pair.name, pair.out, pair.in, input_.lora_scale, global, scratch->sites};
}

void FileRound::ReleaseModule(const ModulePair& pair) const {
  const auto release = [&](const OpenUpdate& update, std::size_t rank) {
    update.tensors[pair.a].Release(0, rank * static_cast<std::size_t>(pair.in));
    update.tensors[pair.b].Release(0, rank * static_cast<std::size_t>(pair.out));
  };
  const auto rank = static_cast<std::size_t>(pair.rank);
  release(global_, rank);
  for (std::size_t k = 0; k < updates_.size(); ++k) {
    const std::size_t trained = contributions_[k].ranks.size();
    release(updates_[k], trained == 0 ? rank : trained);
  }
}

Status FileRound::VisitModules(const ModuleVisitor& visit) {
  TRIBUTARY_RETURN_IF_ERROR(RequireModules());
  std::vector<ModuleScratch> scratch(std::max(1U, input_.threads));
  return RunItems(modules_.size(), {}, [&](unsigned thread, std::size_t item) {
    Module module;
    LoadModule(modules_[item], &scratch[thread], &module);
    visit(item, module);
    ReleaseModule(modules_[item]);
    return OkStatus();
  });
}

Status FileRound::FoldModules(const ModuleKernel& kernel, const BlockKernel& others) {
  if (made_) return InternalError("the next version of this round has been made");
  made_ = true;
  TRIBUTARY_RETURN_IF_ERROR(RequireModules());
  TRIBUTARY_ASSIGN_OR_RETURN(Output output, CreateOutput("next"));
  ModulePass pass{manifest_, std::move(output), MergedSpool(directory_), 0, {}};

  // Modules at the place of their factor A, among the stretches of all other tensors.
  std::vector<Stretch> items = Cut(StretchFor(updates_.size() + 1), /*factors=*/false);
  std::vector<std::size_t> module_at(manifest_.size(), modules_.size());
  for (std::size_t m = 0; m < modules_.size(); ++m) {
    module_at[modules_[m].a] = m;
    items.push_back({modules_[m].a, 0, 0});
  }
  std::stable_sort(items.begin(), items.end(),
                   [](const Stretch& x, const Stretch& y) { return x.tensor < y.tensor; });

  std::vector<double> dropped(modules_.size());
  std::vector<ModuleScratch> scratch(std::max(1U, input_.threads));
  std::vector<Turns> turns(1);
  const auto fold_module = [&](unsigned thread, std::size_t item, std::size_t m) -> Status {
    const ModulePair& pair = modules_[m];
    Module module;
    LoadModule(pair, &scratch[thread], &module);
    auto result = kernel(m, module);
    ReleaseModule(pair);
    if (!result.ok()) return result.status().Annotate("module " + pair.name);
    if (result->next.rank != pair.rank)
      return InternalError("module " + pair.name + " changed rank");
    TRIBUTARY_RETURN_IF_ERROR(CheckFactors("the next version", result->next, pair));
    TRIBUTARY_RETURN_IF_ERROR(CheckFactors("the merged product", result->merged, pair));
    TRIBUTARY_RETURN_IF_ERROR(CheckFinite("the next version", {pair.a, 0, 0}, result->next.a));
    TRIBUTARY_RETURN_IF_ERROR(CheckFinite("the next version", {pair.b, 0, 0}, result->next.b));
    TRIBUTARY_RETURN_IF_ERROR(CheckFinite("the merged product", {pair.a, 0, 0}, result->merged.a));
    TRIBUTARY_RETURN_IF_ERROR(CheckFinite("the merged product", {pair.b, 0, 0}, result->merged.b));
    dropped[m] = result->dropped_energy;
    if (!turns[0].Wait(item)) return AbortedError("another thread failed");
    TRIBUTARY_RETURN_IF_ERROR(pass.AppendModule(pair, *std::move(result)));
    turns[0].Pass();
    return OkStatus();
  };
  const auto fold_stretch = [&](unsigned thread, std::size_t item) -> Status {
    const Stretch& stretch = items[item];
    BlockScratch& block = scratch[thread].block;
    FoldStretch(stretch, {}, others, &block);
    TRIBUTARY_RETURN_IF_ERROR(CheckFinite("the next version", stretch, block.out[0]));
    if (!turns[0].Wait(item)) return AbortedError("another thread failed");
    TRIBUTARY_RETURN_IF_ERROR(pass.AppendStretch(stretch, block.out[0]));
    turns[0].Pass();
    Release(stretch, {});
    return OkStatus();
  };
  TRIBUTARY_RETURN_IF_ERROR(RunItems(items.size(), turns, [&](unsigned thread, std::size_t item) {
    const std::size_t m = module_at[items[item].tensor];
    return m < modules_.size() ? fold_module(thread, item, m) : fold_stretch(thread, item);
  }));
  TRIBUTARY_RETURN_IF_ERROR(FinishOutput(&pass.output, &output_.next));
  output_.dropped_energy = std::accumulate(dropped.begin(), dropped.end(), 0.0);
  if (pass.merged.empty()) return OkStatus();
  const std::string path = JoinPath(directory_, prefix_ + "merged");
  TRIBUTARY_ASSIGN_OR_RETURN(const auto written, pass.merged.Write(path));
  output_.merged = RoundOutput::File{path, written};
  paths_.push_back(path);
  return OkStatus();
}

}  // namespace tributary::aggregators
