#include "trainer/token_table.h"

#include <algorithm>
#include <utility>

namespace tributary::trainer {
namespace {

std::size_t Begin(std::span<const std::uint64_t> ends, std::size_t i) {
  return i == 0 ? 0 : static_cast<std::size_t>(ends[i - 1]);
}

template <typename T>
std::span<const T> Slice(std::span<const T> all, std::span<const std::uint64_t> ends,
                         std::size_t i) {
  const std::size_t begin = Begin(ends, i);
  return all.subspan(begin, static_cast<std::size_t>(ends[i]) - begin);
}

}  // namespace

void TokenTable::Add(const TokenExample& example) {
  ids_.insert(ids_.end(), example.ids.begin(), example.ids.end());
  spans_.insert(spans_.end(), example.loss.begin(), example.loss.end());
  id_ends_.push_back(ids_.size());
  span_ends_.push_back(spans_.size());
}

TokenArrays TokenTable::Arrays() const {
  if (!file_.bytes().empty()) return mapped_;
  return {id_ends_, span_ends_, spans_, ids_};
}

std::int64_t TokenTable::Length(std::size_t i) const {
  const TokenArrays arrays = Arrays();
  return static_cast<std::int64_t>(Slice(arrays.ids, arrays.id_ends, i).size());
}

TokenExample TokenTable::At(std::size_t i, std::int64_t length) const {
  const TokenArrays arrays = Arrays();
  auto ids = Slice(arrays.ids, arrays.id_ends, i);
  ids = ids.first(std::min(ids.size(), static_cast<std::size_t>(length)));
  const auto end = static_cast<std::int64_t>(ids.size());
  TokenExample example{{ids.begin(), ids.end()}, {}};
  for (const TokenExample::Span& span : Slice(arrays.spans, arrays.span_ends, i)) {
    if (span.begin < end) example.loss.push_back({span.begin, std::min(span.end, end)});
  }
  return example;
}

std::size_t Dataset::Add(std::shared_ptr<const TokenTable> table, std::int64_t length) {
  const std::size_t before = places_.size();
  const TokenArrays arrays = table->Arrays();
  for (std::size_t i = 0; i < table->size(); ++i) {
    const auto spans = Slice(arrays.spans, arrays.span_ends, i);
    if (spans.empty() || spans.front().begin >= length) {
      ++cut_off;
      continue;
    }
    if (table->Length(i) > length) ++truncated;
    places_.push_back({static_cast<std::uint32_t>(parts_.size()), static_cast<std::uint32_t>(i)});
  }
  parts_.push_back({std::move(table), length});
  return places_.size() - before;
}

TokenExample Dataset::At(std::size_t i) const {
  const Part& part = parts_[places_[i].part];
  return part.table->At(places_[i].index, part.length);
}

void Dataset::Limit(std::size_t count) { places_.resize(std::min(count, places_.size())); }

std::int64_t Dataset::LossTokens() const {
  std::int64_t tokens = 0;
  for (std::size_t i = 0; i < size(); ++i) {
    for (const TokenExample::Span& span : At(i).loss) tokens += span.end - span.begin;
  }
  return tokens;
}

}  // namespace tributary::trainer
