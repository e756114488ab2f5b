// WordNet, as Debian's package wordnet-base installs it, read into instruction pairs for the
// demonstration. File format: wndb(5WN).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace tributary::cli {

inline constexpr std::string_view kWordNetDirectory = "/usr/share/wordnet";

// The fields of knowledge that the demonstration's sites hold, and everything else.
enum class WordNetField : std::uint8_t { kChemistryPhysics, kBiology, kMedicine, kRest };
inline constexpr WordNetField kSiteFields[] = {WordNetField::kChemistryPhysics,
                                               WordNetField::kBiology, WordNetField::kMedicine};
// "chemistry-physics", "biology", "medicine", "rest"; used as names of files and data.
std::string_view FieldName(WordNetField field);

// One set of synonyms.
struct WordNetEntry {
  std::int64_t offset = 0;          // where data.<pos> has it; unique in its file
  int lexicographer_file = 0;       // 27 = noun.substance; lexnames(5WN)
  std::vector<std::string> lemmas;  // with spaces, without adjective markers
  std::string gloss;                // definition and examples as written
};

struct WordNetCorpus {
  std::vector<WordNetEntry> entries;  // nouns, verbs, adjectives, adverbs, in file order
};

// Reads data.noun, data.verb, data.adj and data.adv. The error names file, line and what is wrong
// there.
Result<WordNetCorpus> LoadWordNet(const std::string& directory);

// Reads the text of one data file; `name` is for errors.
Result<std::vector<WordNetEntry>> ParseWordNetData(std::string_view text, std::string_view name);

WordNetField FieldOf(const WordNetEntry& entry);

// One entry in `kHeldOutEvery` is held out, by a hash of its offset: the same ones everywhere and
// always.
inline constexpr std::uint64_t kHeldOutEvery = 8;
bool IsHeldOut(const WordNetEntry& entry);

// "Define: nitric oxide\n" and "a poisonous red-brown gas": the first lemma, and the gloss without
// its examples.
struct InstructionPair {
  std::string prompt;
  std::string completion;
};
InstructionPair ToInstruction(const WordNetEntry& entry);

// Writes DIRECTORY/<field>/train.jsonl and heldout.jsonl for each of kSiteFields, and
// DIRECTORY/rest.jsonl.
Status WriteWordNetData(const WordNetCorpus& corpus, const std::string& directory);

}  // namespace tributary::cli
