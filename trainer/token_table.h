// Token sequences, with the part that carries loss: one, those of a file, and what a task takes of
// them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/files.h"

namespace tributary::trainer {

// Tokens of `loss` are predicted from those before them: spans in order, none begins at 0.
struct TokenExample {
  struct Span {
    std::int64_t begin, end;
    friend bool operator==(const Span&, const Span&) = default;
  };
  std::vector<std::int32_t> ids;
  std::vector<Span> loss;
};

// Sequences one after another. `id_ends` and `span_ends` say where each ends in `ids` and `spans`;
// spans count from the beginning of their sequence.
struct TokenArrays {
  std::span<const std::uint64_t> id_ends, span_ends;
  std::span<const TokenExample::Span> spans;
  std::span<const std::int32_t> ids;
};

// The whole sequences of a data file, in memory of its own or mapped.
class TokenTable {
 public:
  TokenTable() = default;
  // `arrays` lie in `file` and are consistent.
  TokenTable(MappedFile file, TokenArrays arrays) : file_(std::move(file)), mapped_(arrays) {}

  void Add(const TokenExample& example);  // only to a table that is not mapped
  std::size_t size() const { return Arrays().id_ends.size(); }
  TokenArrays Arrays() const;
  // Sequence `i`, at most `length` tokens of it.
  TokenExample At(std::size_t i, std::int64_t length) const;
  std::int64_t Length(std::size_t i) const;  // of the whole sequence

 private:
  MappedFile file_;
  TokenArrays mapped_;
  std::vector<std::uint64_t> id_ends_, span_ends_;
  std::vector<TokenExample::Span> spans_;
  std::vector<std::int32_t> ids_;
};

// What a task trains on: sequences cut to its length, without those that carry no loss then.
class Dataset {
 public:
  std::int64_t truncated = 0;  // examples cut to the sequence length, with loss left
  std::int64_t cut_off = 0;    // examples left out because nothing that carries loss was left
  std::int64_t bad_lines = 0;  // of their files

  // Takes in all sequences of a file; the number of them that carry loss.
  std::size_t Add(std::shared_ptr<const TokenTable> table, std::int64_t length);
  std::size_t size() const { return places_.size(); }
  bool empty() const { return places_.empty(); }
  TokenExample At(std::size_t i) const;
  void Limit(std::size_t count);  // keeps the first ones
  std::int64_t LossTokens() const;

 private:
  struct Part {
    std::shared_ptr<const TokenTable> table;
    std::int64_t length;
  };
  struct Place {
    std::uint32_t part;
    std::uint32_t index;
  };
  std::vector<Part> parts_;
  std::vector<Place> places_;
};

}  // namespace tributary::trainer
