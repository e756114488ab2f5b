#include "core/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/child_process.h"
#include "core/files.h"
#include "core/manual_page.h"
#include "core/shell_completion.h"
#include "tests/core/test_files.h"

namespace tributary {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class CommandLineTest : public testing::Test {
 protected:
  CommandLineTest() {
    app_.add_option("--profile", path_, "a folder; 'its' keys\\")->envname("PROFILE");
    CLI::App* run = app_.add_subcommand("run", "run it: now");
    run->add_option("-c,--config", path_, "the file")->capture_default_str();
    run->add_option("--kind", kind_, "what")
        ->required()
        ->check(CLI::IsMember({"train", "evaluate"}));
    run->add_flag("--json", flag_, "one [object]");
    app_.add_subcommand("show", "show one")->add_option("campaign", kind_)->required();
    AddSelfDescription(&app_, "1.2");
  }

  // What a shell offers for these words, the last of which is incomplete.
  std::string Complete(const std::string& words, int last) const {
    const TestDirectory directory;
    const std::string script = "source " + (directory / "program") + "\nCOMP_WORDS=(" + words +
                               ")\nCOMP_CWORD=" + std::to_string(last) +
                               "\n_tool_one\necho ${COMPREPLY[*]}\n";
    EXPECT_TRUE(WriteFileAtomic(directory / "program", BashCompletion(Describe(app_))).ok());
    auto process = ChildProcess::Start({"/bin/bash", "-c", script}, directory / "out");
    EXPECT_TRUE(process.ok()) << process.status();
    while (!process->Poll()) usleep(1000);
    EXPECT_EQ(process->Poll(), 0);
    return *ReadFile(directory / "out");
  }

  CLI::App app_{"tool-one: does one thing"};
  std::string path_ = "client.yaml", kind_;
  bool flag_ = false;
};

TEST_F(CommandLineTest, IsWhatTheParserTakes) {
  const CommandText text = Describe(app_);
  EXPECT_EQ(text.name, "tool-one");
  EXPECT_EQ(text.description, "does one thing");
  ASSERT_EQ(text.options.size(), 2u) << "--manual and --completion are not listed";
  EXPECT_THAT(text.options[0].names, ElementsAre("-h", "--help"));
  EXPECT_EQ(text.options[0].value, "");
  EXPECT_EQ(text.options[1].variable, "PROFILE");
  EXPECT_EQ(text.options[1].value, "PROFILE");
  ASSERT_EQ(text.commands.size(), 2u);
  const CommandText& run = text.commands[0];
  EXPECT_EQ(run.name, "run");
  ASSERT_EQ(run.options.size(), 4u);
  EXPECT_THAT(run.options[1].names, ElementsAre("-c", "--config"));
  EXPECT_EQ(run.options[1].default_value, "client.yaml");
  EXPECT_THAT(run.options[2].choices, ElementsAre("train", "evaluate"));
  EXPECT_TRUE(run.options[2].required);
  EXPECT_TRUE(text.commands[1].options[1].names.empty());
  EXPECT_EQ(text.commands[1].options[1].value, "CAMPAIGN");
}

TEST_F(CommandLineTest, ThePageEscapesWhatRoffTakesForItsOwn) {
  const std::string page = ManualPage(Describe(app_), "1.2");
  EXPECT_THAT(page, HasSubstr(".TH tool-one 1 \"\" \"Tributary 1.2\" \"Tributary\"\n"
                              ".SH NAME\ntool\\-one \\- does one thing\n"));
  EXPECT_THAT(page, HasSubstr(".TP\n\\fB\\-\\-profile\\fR \\fIPROFILE\\fR\n"
                              "a folder; 'its' keys\\e; or the variable \\fBPROFILE\\fR\n"));
  EXPECT_THAT(page, HasSubstr(".SS \\fBrun\\fR [\\fIoptions\\fR] \\fB\\-\\-kind\\fR \\fIKIND\\fR\n"
                              "run it: now\n"));
  EXPECT_THAT(page, HasSubstr("what; required; one of \\fBtrain\\fR, \\fBevaluate\\fR\n"));
  EXPECT_THAT(page, HasSubstr(".SS \\fBshow\\fR [\\fIoptions\\fR] \\fICAMPAIGN\\fR\n"));
}

TEST_F(CommandLineTest, BashOffersCommandsOptionsAndValues) {
  EXPECT_EQ(Complete("tool-one ''", 1), "run show\n");
  EXPECT_EQ(Complete("tool-one s", 1), "show\n");
  EXPECT_EQ(Complete("tool-one --p", 1), "--profile\n");
  EXPECT_EQ(Complete("tool-one run --", 2), "--help --config --kind --json\n");
  EXPECT_EQ(Complete("tool-one run --kind ''", 3), "train evaluate\n");
  EXPECT_EQ(Complete("tool-one run --config ''", 3), "\n") << "files are the shell's own to offer";
  EXPECT_EQ(Complete("tool-one --profile ''", 2), "\n");
}

TEST_F(CommandLineTest, ZshGetsSpecificationsOfArguments) {
  const std::string text = ZshCompletion(Describe(app_));
  EXPECT_THAT(text, HasSubstr("#compdef tool-one\n"));
  EXPECT_THAT(text, HasSubstr("'--profile[a folder; '\\''its'\\'' keys\\\\]:PROFILE:_files'"));
  EXPECT_THAT(text, HasSubstr("'run:run it\\: now'"));
  EXPECT_THAT(text, HasSubstr("'(-c --config)'{-c,--config}'[the file]:CONFIG:_files'"));
  EXPECT_THAT(text, HasSubstr("'--kind[what]:KIND:(train evaluate)'"));
  EXPECT_THAT(text, HasSubstr("'--json[one \\[object\\]]'"));
  EXPECT_THAT(text, HasSubstr("':CAMPAIGN:_files'"));
}

TEST_F(CommandLineTest, TheNameIsNotHowItWasCalled) {
  app_.name("/opt/somewhere/tool");
  EXPECT_EQ(Describe(app_).name, "tool-one");
}

TEST_F(CommandLineTest, PrintingEndsTheProgramWithoutACommand) {
  testing::internal::CaptureStdout();
  EXPECT_THROW(app_.parse("--manual"), CLI::Success);
  EXPECT_THAT(testing::internal::GetCapturedStdout(), HasSubstr(".TH tool-one"));
  EXPECT_THROW(app_.parse("--completion fish"), CLI::ValidationError);
}

}  // namespace
}  // namespace tributary
