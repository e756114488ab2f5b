// What `submit` would refuse, `validate` refuses, in the same words and at the same line, and
// without a server.
#include "cli/preparation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/files.h"
#include "tests/core/test_files.h"

namespace tributary::cli {
namespace {

using testing::HasSubstr;

constexpr const char* kConfig =
    R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 16,)"
    R"( "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1,)"
    R"( "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 32,)"
    R"( "rms_norm_eps": 1e-5})";

class PreparationTest : public testing::Test {
 protected:
  PreparationTest() { EXPECT_TRUE(WriteFileAtomic(directory_ / "config.json", kConfig).ok()); }

  // The file ends with `more`, from line 6 on.
  Status Check(const std::string& more) {
    const std::string yaml = "name: c\nmodel:\n  name: base\n  config: " + config_ +
                             "\nsites: [a, b]\n" + more + "data: {train: t}\n";
    EXPECT_TRUE(WriteFileAtomic(path_, yaml).ok());
    const auto draft = ReadDraft(path_);
    if (!draft.ok()) return draft.status();
    const Status checked = CheckInitial(*draft);
    const auto written = WriteInitial(*draft, directory_ / "initial");
    EXPECT_EQ(checked, written.status()) << "validate and submit say the same";
    return checked;
  }
  std::string At(int line) const { return path_ + ":" + std::to_string(line) + ": "; }

  TestDirectory directory_;
  std::string path_ = directory_ / "c.yaml";
  std::string config_ = "config.json";
};

TEST_F(PreparationTest, AcceptsAGoodFile) { EXPECT_EQ(Check(""), OkStatus()); }

TEST_F(PreparationTest, NamesTheLineOfWhatTheModelDoesNotHave) {
  EXPECT_THAT(Check("adapter:\n  rank: 4\n  target_modules: [c_attn]\n").message(),
              HasSubstr(At(8) + "adapter: target_modules: no such linear module: c_attn"));
  EXPECT_THAT(Check("adapter:\n  modules_to_save: [headd]\n").message(),
              HasSubstr(At(7) + "adapter: modules_to_save: no such module: headd"));
}

TEST_F(PreparationTest, NamesTheLineOfAModelThatCannotBeRead) {
  config_ = "none.json";
  EXPECT_THAT(Check("").message(), HasSubstr(At(4) + "model.config: "));
  config_ = "c.yaml";
  EXPECT_THAT(Check("").message(), HasSubstr(At(4) + "model.config: " + path_));
  config_ = "\"\"";
  EXPECT_THAT(Check("").message(), HasSubstr(At(4) + "model.config"));
}

TEST_F(PreparationTest, NamesTheLineOfAnAdapterThatCannotBeRead) {
  EXPECT_THAT(Check("adapter:\n  initial: none\n").message(),
              HasSubstr(At(7) + "adapter.initial: "));
}

TEST_F(PreparationTest, WeightsOfTheModelAreLookedForAndNotCopied) {
  EXPECT_THAT(Check("adapter: {kind: full}\n").message(), HasSubstr(At(4) + "model.config: "));
}

TEST_F(PreparationTest, NamesTheLineOfAWarning) {
  ASSERT_EQ(Check("walltime: 40s\n"), OkStatus());
  const auto draft = ReadDraft(path_);
  ASSERT_TRUE(draft.ok()) << draft.status();
  ASSERT_EQ(draft->warnings.size(), 1u);
  EXPECT_THAT(draft->warnings[0], HasSubstr(At(6) + "walltime: of 40s a job has 10s"));
}

}  // namespace
}  // namespace tributary::cli
