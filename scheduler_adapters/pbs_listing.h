// Reads the JSON of `qstat -f -F json`, which is often not quite JSON: older writers print what
// looks like a number bare (nan, .5, +4), join neighbouring variables, and forget commas and braces
// between jobs; newer ones print bytes that are no UTF-8.
//
// It holds texts of all users of the machine, some of which PBS prints as objects of their own
// (`qsub -M '{"1.pbs01":{...}}'`). So a job is only what stands where jobs stand, by the braces
// from the listing's first one on, and a listing whose braces or quotes do not match is damaged:
// the caller believes nothing of it and asks about its jobs one by one.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "core/status.h"

namespace tributary::scheduler_adapters {

inline constexpr std::size_t kMaxPbsJobBytes = std::size_t{1} << 20;

// What is of use of one job's attributes, as texts whatever their type was; members of objects as
// "Resource_List.ncpus".
using PbsAttributes = std::map<std::string, std::string, std::less<>>;

bool IsUsedPbsAttribute(std::string_view name);

// Takes a listing in pieces of any size and hands out the text of one job at a time. Its memory
// does not grow with the listing.
class PbsListingSplitter {
 public:
  using Wanted = std::function<bool(std::string_view id)>;
  // `text` is the job's object with its braces; empty when the listing broke off in it, or when it
  // is longer than kMaxPbsJobBytes.
  using Found = std::function<void(std::string_view id, std::string_view text)>;

  PbsListingSplitter(Wanted wanted, Found found)
      : wanted_(std::move(wanted)), found_(std::move(found)) {}

  void Feed(std::string_view piece);
  void Finish();  // after the last piece

  // After Finish(): the listing was not nested as it should be, or broke off. What it handed out
  // may then be anybody's words.
  bool damaged() const { return damaged_; }

 private:
  void Take(char c);
  void TakeInString(char c);
  void Open();
  void Close();
  void StartJob();
  void EndJob(bool whole);

  const Wanted wanted_;
  const Found found_;
  int depth_ = 0;
  bool in_string_ = false, escaped_ = false;
  bool in_jobs_ = false, had_jobs_ = false, in_job_ = false, collecting_ = false, damaged_ = false;
  std::string string_, key_;  // the last string, and the last before a colon; their first bytes
  std::string id_, text_;
};

// One job's object. Fails when it cannot be read, or has no job_state.
Result<PbsAttributes> ParsePbsJob(std::string_view text);

}  // namespace tributary::scheduler_adapters
