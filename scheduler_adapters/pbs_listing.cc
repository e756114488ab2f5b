#include "scheduler_adapters/pbs_listing.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <utility>

namespace tributary::scheduler_adapters {
namespace {

constexpr std::size_t kMaxKeyBytes = 512;
constexpr int kMaxDepth = 16;
constexpr std::string_view kBlank = " \t\r\n";

constexpr std::array<std::string_view, 24> kUsed = {"Account_Name",
                                                    "Execution_Time",
                                                    "Exit_status",
                                                    "Hold_Types",
                                                    "Job_Name",
                                                    "Job_Owner",
                                                    "Resource_List.ncpus",
                                                    "Resource_List.ngpus",
                                                    "Resource_List.nodect",
                                                    "Resource_List.walltime",
                                                    "Stageout_status",
                                                    "comment",
                                                    "ctime",
                                                    "estimated.start_time",
                                                    "history_timestamp",
                                                    "job_state",
                                                    "mtime",
                                                    "obittime",
                                                    "queue",
                                                    "resources_used.walltime",
                                                    "run_count",
                                                    "stime",
                                                    "substate",
                                                    "pbs_version"};

void AppendUtf8(std::uint32_t code, std::string* text) {
  const auto put = [&](std::uint32_t byte) { *text += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | (code >> 6));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xE0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

// Objects, strings and bare words; commas are not needed and too many of them do not matter.
class TolerantReader {
 public:
  explicit TolerantReader(std::string_view text) : text_(text) {}

  Result<PbsAttributes> Read() {
    if (!ReadObject("", 0)) {
      return InvalidArgumentError("unreadable at byte " + std::to_string(at_));
    }
    if (!attributes_.contains("job_state")) return InvalidArgumentError("no job_state");
    return std::move(attributes_);
  }

 private:
  bool Done() const { return at_ >= text_.size(); }
  bool Accept(char c) {
    if (Done() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void Skip(std::string_view characters) {
    at_ = std::min(text_.find_first_not_of(characters, at_), text_.size());
  }
  std::string Bare(std::string_view ends) {
    const std::size_t end = std::min(text_.find_first_of(ends, at_), text_.size());
    std::string_view word = text_.substr(at_, end - at_);
    at_ = end;
    word = word.substr(0, word.find_last_not_of(kBlank) + 1);
    return std::string(word);
  }

  bool ReadObject(const std::string& prefix, int depth) {
    if (depth > kMaxDepth || !Accept('{')) return false;
    while (true) {
      Skip(" \t\r\n,");
      if (Accept('}')) return true;
      if (Done()) return false;
      const std::string key = prefix + (Accept('"') ? String() : Bare(":,}\n\""));
      Skip(kBlank);
      if (!Accept(':')) return false;
      Skip(kBlank);
      if (Done() || !ReadValue(key, depth)) return false;
    }
  }

  bool ReadValue(const std::string& key, int depth) {
    if (text_[at_] == '{') return ReadObject(key + ".", depth + 1);
    if (Accept('[')) return SkipArray();
    const bool quoted = Accept('"');
    const std::string value = quoted ? String() : Bare(",}\n\"");
    if (IsUsedPbsAttribute(key) && (quoted || value != "null")) attributes_.try_emplace(key, value);
    return true;
  }

  // After the opening bracket. A variable whose value looks like an array is printed as one.
  bool SkipArray() {
    for (int open = 1; !Done();) {
      const char c = text_[at_++];
      if (c == '"') (void)String();
      if (c == '[') ++open;
      if (c == ']' && --open == 0) return true;
    }
    return false;
  }

  // After the opening quote. A line's end ends it too: writers escape those that belong to a text.
  std::string String() {
    std::string value;
    while (!Done()) {
      const char c = text_[at_++];
      if (c == '"' || c == '\n') break;
      if (c == '\\' && !Done()) {
        Escape(text_[at_++], &value);
      } else {
        value += c;
      }
    }
    return value;
  }

  void Escape(char c, std::string* value) {
    constexpr std::string_view kLetters = "bfnrt", kMeant = "\b\f\n\r\t";
    if (const std::size_t i = kLetters.find(c); i != std::string_view::npos) {
      *value += kMeant[i];
    } else if (c == 'u') {
      std::uint32_t code = 0;
      const std::string_view digits = text_.substr(at_, 4);
      const auto [end, error] =
          std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
      at_ += static_cast<std::size_t>(end - digits.data());
      AppendUtf8(error == std::errc() ? code : '?', value);
    } else {
      *value += c;
    }
  }

  const std::string_view text_;
  std::size_t at_ = 0;
  PbsAttributes attributes_;
};

}  // namespace

bool IsUsedPbsAttribute(std::string_view name) {
  return std::find(kUsed.begin(), kUsed.end(), name) != kUsed.end();
}

Result<PbsAttributes> ParsePbsJob(std::string_view text) { return TolerantReader(text).Read(); }

void PbsListingSplitter::Feed(std::string_view piece) {
  for (const char c : piece) Take(c);
}

void PbsListingSplitter::Take(char c) {
  if (collecting_ && text_.size() <= kMaxPbsJobBytes) text_ += c;
  if (in_string_) {
    TakeInString(c);
  } else if (c == '"') {
    in_string_ = true;
    string_.clear();
  } else if (c == ':') {
    key_ = string_;
  } else if (c == ',') {
    key_.clear();
  } else if (c == '{') {
    Open();
  } else if (c == '}') {
    Close();
  }
}

void PbsListingSplitter::TakeInString(char c) {
  if (escaped_) {
    escaped_ = false;
  } else if (c == '\\') {
    escaped_ = true;
  } else if (c == '"') {
    in_string_ = false;
    return;
  }
  if (c == '\n') {  // a quote is missing: texts have their line ends escaped
    in_string_ = escaped_ = false;
    damaged_ = true;
  } else if (string_.size() < kMaxKeyBytes) {
    string_ += c;
  }
}

void PbsListingSplitter::Open() {
  ++depth_;
  if (depth_ == 2 && key_ == "Jobs") {
    if (std::exchange(had_jobs_, true)) damaged_ = true;
    in_jobs_ = true;
  } else if (in_jobs_ && depth_ == 3) {
    StartJob();
  }
  key_.clear();
}

void PbsListingSplitter::Close() {
  if (depth_ == 3 && in_job_) EndJob(true);
  if (depth_ == 0) {
    damaged_ = true;
  } else {
    --depth_;
  }
  if (depth_ < 2) in_jobs_ = false;
}

void PbsListingSplitter::StartJob() {
  in_job_ = true;
  id_ = key_;
  collecting_ = wanted_(id_);
  text_ = "{";
}

void PbsListingSplitter::EndJob(bool whole) {
  in_job_ = false;
  if (!std::exchange(collecting_, false)) return;
  const bool readable = whole && text_.size() <= kMaxPbsJobBytes;
  found_(id_, readable ? std::string_view(text_) : std::string_view());
}

void PbsListingSplitter::Finish() {
  if (in_job_) EndJob(false);
  if (depth_ != 0 || in_string_) damaged_ = true;
}

}  // namespace tributary::scheduler_adapters
