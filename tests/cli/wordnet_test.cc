#include "cli/wordnet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/files.h"

namespace tributary::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kLicence = "  1 This software and database is being provided to you\n";
constexpr const char* kSubstance =
    "14629149 27 n 02 nitric_oxide 0 NO(p) 0 001 @ 14818238 n 0000 | a poisonous gas; \"NO is "
    "toxic\"; \"it burns\"  \n";
constexpr const char* kVerb =
    "00001740 29 v 01 breathe 0 001 $ 00005041 v 0000 02 + 02 00 + 08 00 | draw air into, and "
    "expel "
    "out of, the lungs; \"I can breathe better\"\n";

TEST(WordNetTest, ReadsSynsetsAfterTheLicence) {
  const auto entries = ParseWordNetData(std::string(kLicence) + kSubstance + kVerb, "data.noun");
  ASSERT_TRUE(entries.ok()) << entries.status();
  ASSERT_EQ(entries->size(), 2U);
  const WordNetEntry& gas = (*entries)[0];
  EXPECT_EQ(gas.offset, 14629149);
  EXPECT_EQ(gas.lexicographer_file, 27);
  EXPECT_THAT(gas.lemmas, ElementsAre("nitric oxide", "NO"));
  EXPECT_EQ(FieldOf(gas), WordNetField::kChemistryPhysics);
  EXPECT_EQ(FieldOf((*entries)[1]), WordNetField::kRest);
}

TEST(WordNetTest, InstructionsAskForTheFirstLemmaAndAnswerWithoutExamples) {
  const auto entries = ParseWordNetData(kSubstance, "data.noun");
  ASSERT_TRUE(entries.ok()) << entries.status();
  const InstructionPair pair = ToInstruction(entries->at(0));
  EXPECT_EQ(pair.prompt, "Define: nitric oxide\n");
  EXPECT_EQ(pair.completion, "a poisonous gas");
}

TEST(WordNetTest, QuotesInsideADefinitionStay) {
  WordNetEntry entry;
  entry.lemmas = {"x"};
  entry.gloss = "known as \"the bends\"; a disorder: \"he had it\"";
  EXPECT_EQ(ToInstruction(entry).completion, "known as \"the bends\"; a disorder");
}

TEST(WordNetTest, NamesFileAndLineOfWhatIsWrong) {
  for (const std::string line :
       {"14629149 27 n 02 nitric_oxide 0 001 | short of a word", "x 27 n 01 a 0 000 | bad offset",
        "00001740 45 n 01 a 0 000 | no such lexicographer file",
        "00001740 27 q 01 a 0 000 | bad type", "00001740 27 n 01 a 0 000 no gloss",
        "00001740 27 n 00 000 | no word", "00001740 27 n 01 a 0 000 | "}) {
    const auto entries = ParseWordNetData(kLicence + line + "\n", "data.noun");
    ASSERT_FALSE(entries.ok()) << line;
    EXPECT_THAT(entries.status().message(), HasSubstr("data.noun:2: ")) << line;
  }
  EXPECT_FALSE(ParseWordNetData(kLicence, "data.noun").ok());
  EXPECT_EQ(LoadWordNet("/nonexistent").status().code(), StatusCode::kNotFound);
}

TEST(WordNetTest, HoldsOutAnEighthTheSameEveryTime) {
  int held_out = 0;
  for (int offset = 0; offset < 8000; ++offset) held_out += IsHeldOut({offset, 27, {}, ""}) ? 1 : 0;
  EXPECT_NEAR(held_out, 1000, 100);
  EXPECT_EQ(IsHeldOut({14629149, 27, {}, ""}), IsHeldOut({14629149, 5, {"other"}, "x"}));
}

TEST(WordNetTest, WritesTrainAndHeldOutPerFieldAndTheRest) {
  const auto directory = TemporaryDirectory::Create("wordnet-test");
  ASSERT_TRUE(directory.ok());
  WordNetCorpus corpus;
  for (const int file : {19, 27, 5, 20, 8, 26, 29, 0}) {
    for (int offset = 0; offset < 40; ++offset)
      corpus.entries.push_back({offset, file, {"w"}, "g"});
  }
  ASSERT_TRUE(WriteWordNetData(corpus, directory->path()).ok());
  std::size_t lines = 0;
  for (const char* name :
       {"chemistry-physics/train.jsonl", "chemistry-physics/heldout.jsonl", "biology/train.jsonl",
        "biology/heldout.jsonl", "medicine/train.jsonl", "medicine/heldout.jsonl", "rest.jsonl"}) {
    const auto text = ReadFile(JoinPath(directory->path(), name));
    ASSERT_TRUE(text.ok()) << text.status();
    EXPECT_THAT(*text, HasSubstr(R"({"completion":"g","prompt":"Define: w\n"})"));
    lines += static_cast<std::size_t>(std::count(text->begin(), text->end(), '\n'));
  }
  EXPECT_EQ(lines, corpus.entries.size());
}

TEST(WordNetTest, ReadsTheInstalledDictionaryWhole) {
  if (!PathExists(JoinPath(kWordNetDirectory, "data.noun"))) GTEST_SKIP() << "no wordnet-base here";
  const auto corpus = LoadWordNet(std::string(kWordNetDirectory));
  ASSERT_TRUE(corpus.ok()) << corpus.status();
  EXPECT_GT(corpus->entries.size(), 100'000U);
}

}  // namespace
}  // namespace tributary::cli
