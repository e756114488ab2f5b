#include "cli/wordnet.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/files.h"
#include "core/random.h"

namespace tributary::cli {
namespace {

// Words of one line, from left to right. A missing or malformed word makes ok() false for good.
class Words {
 public:
  explicit Words(std::string_view line) : rest_(line) {}

  std::string_view Next() {
    const std::size_t end = std::min(rest_.find(' '), rest_.size());
    const std::string_view word = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    if (word.empty()) ok_ = false;
    return word;
  }

  std::int64_t Number(int base, std::int64_t max) {
    const std::string_view word = Next();
    std::int64_t value = -1;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value, base);
    if (error != std::errc() || end != word.data() + word.size() || value < 0 || value > max) {
      ok_ = false;
      return 0;
    }
    return value;
  }

  bool ok() const { return ok_; }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

// "nitric_oxide" -> "nitric oxide"; "galore(ip)" -> "galore".
std::string ToLemma(std::string_view word) {
  if (word.ends_with(')')) word = word.substr(0, word.rfind('('));
  std::string lemma(word);
  std::replace(lemma.begin(), lemma.end(), '_', ' ');
  return lemma;
}

std::string_view Trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

// offset lexicographer_file type word_count(hex) {word lex_id(hex)} pointer_count ... | gloss
Result<WordNetEntry> ParseLine(std::string_view line) {
  const std::size_t bar = line.find(" | ");
  if (bar == std::string_view::npos) return InvalidArgumentError("has no gloss after \" | \"");
  Words words(line.substr(0, bar));
  WordNetEntry entry;
  entry.offset = words.Number(10, 99'999'999);
  entry.lexicographer_file = static_cast<int>(words.Number(10, 44));
  const std::string_view type = words.Next();
  const std::int64_t count = words.Number(16, 255);
  for (std::int64_t i = 0; i < count && words.ok(); ++i) {
    entry.lemmas.push_back(ToLemma(words.Next()));
    words.Number(16, 15);
  }
  words.Number(10, 999);  // pointers; what follows is not read
  entry.gloss = Trim(line.substr(bar + 3));
  if (!words.ok() || type.size() != 1 ||
      std::string_view("nvasr").find(type) == std::string_view::npos) {
    return InvalidArgumentError(
        "is no synset: must start with offset, file, type, words, pointers");
  }
  if (entry.lemmas.empty() || entry.lemmas[0].empty()) return InvalidArgumentError("has no word");
  if (entry.gloss.empty()) return InvalidArgumentError("has an empty gloss");
  return entry;
}

// The definition ends where the first quoted example begins: `; "...` or, rarely, `: "...`.
std::string_view Definition(std::string_view gloss) {
  std::size_t end = gloss.size();
  for (const std::string_view mark : {"; \"", ": \"", ";\""}) {
    end = std::min(end, gloss.find(mark));
  }
  std::string_view text = Trim(gloss.substr(0, end));
  while (text.ends_with(';') || text.ends_with(':')) text = Trim(text.substr(0, text.size() - 1));
  return text.empty() ? gloss : text;
}

std::string ToJsonLine(const InstructionPair& pair) {
  const nlohmann::json object = {{"prompt", pair.prompt}, {"completion", pair.completion}};
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string_view FieldName(WordNetField field) {
  switch (field) {
    case WordNetField::kChemistryPhysics:
      return "chemistry-physics";
    case WordNetField::kBiology:
      return "biology";
    case WordNetField::kMedicine:
      return "medicine";
    case WordNetField::kRest:
      break;
  }
  return "rest";
}

Result<std::vector<WordNetEntry>> ParseWordNetData(std::string_view text, std::string_view name) {
  std::vector<WordNetEntry> entries;
  std::int64_t number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    at = end + 1;
    ++number;
    if (line.empty() || line.starts_with("  ")) continue;  // the licence at the head
    TRIBUTARY_ASSIGN_OR_RETURN(
        WordNetEntry entry,
        ParseLine(line).Annotate(std::string(name) + ":" + std::to_string(number)));
    entries.push_back(std::move(entry));
  }
  if (entries.empty()) return InvalidArgumentError(std::string(name) + ": has no synset");
  return entries;
}

Result<WordNetCorpus> LoadWordNet(const std::string& directory) {
  WordNetCorpus corpus;
  for (const char* name : {"data.noun", "data.verb", "data.adj", "data.adv"}) {
    const std::string path = JoinPath(directory, name);
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
    TRIBUTARY_ASSIGN_OR_RETURN(std::vector<WordNetEntry> part, ParseWordNetData(text, path));
    std::move(part.begin(), part.end(), std::back_inserter(corpus.entries));
  }
  return corpus;
}

WordNetField FieldOf(const WordNetEntry& entry) {
  switch (entry.lexicographer_file) {
    case 19:  // noun.phenomenon
    case 27:  // noun.substance
      return WordNetField::kChemistryPhysics;
    case 5:   // noun.animal
    case 20:  // noun.plant
      return WordNetField::kBiology;
    case 8:   // noun.body
    case 26:  // noun.state
      return WordNetField::kMedicine;
    default:
      return WordNetField::kRest;
  }
}

bool IsHeldOut(const WordNetEntry& entry) {
  return SplitMix64(static_cast<std::uint64_t>(entry.offset)).Next() % kHeldOutEvery == 0;
}

InstructionPair ToInstruction(const WordNetEntry& entry) {
  return {"Define: " + entry.lemmas[0] + "\n", std::string(Definition(entry.gloss))};
}

Status WriteWordNetData(const WordNetCorpus& corpus, const std::string& directory) {
  std::map<std::string, std::string> files;
  for (const WordNetEntry& entry : corpus.entries) {
    const WordNetField field = FieldOf(entry);
    const std::string name(FieldName(field));
    const bool rest = field == WordNetField::kRest;
    const std::string path =
        rest ? "rest.jsonl" : name + (IsHeldOut(entry) ? "/heldout.jsonl" : "/train.jsonl");
    files[path] += ToJsonLine(ToInstruction(entry));
  }
  for (const auto& [name, text] : files) {
    const std::string path = JoinPath(directory, name);
    TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(DirectoryOf(path)));
    TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(path, text));
  }
  return OkStatus();
}

}  // namespace tributary::cli
