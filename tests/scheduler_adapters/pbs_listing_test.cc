// Quoted listings were printed by OpenPBS: qstat of 22.05.11, 23.06.06 and of the head of 2026.
#include "scheduler_adapters/pbs_listing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace tributary::scheduler_adapters {
namespace {

using testing::ElementsAre;
using testing::Pair;

struct Split {
  std::map<std::string, std::string> jobs;
  bool damaged = false;
};

Split SplitAll(
    std::string_view listing, std::size_t piece = 1,
    const PbsListingSplitter::Wanted& wanted = [](std::string_view) { return true; }) {
  Split split;
  PbsListingSplitter splitter(wanted, [&](std::string_view id, std::string_view text) {
    split.jobs[std::string(id)] = text;
  });
  for (std::size_t at = 0; at < listing.size(); at += piece) {
    splitter.Feed(listing.substr(at, piece));
  }
  splitter.Finish();
  split.damaged = splitter.damaged();
  return split;
}

// The state of each job that can be read.
std::map<std::string, std::string> States(std::string_view listing) {
  std::map<std::string, std::string> states;
  for (const auto& [id, text] : SplitAll(listing, 7).jobs) {
    const auto job = ParsePbsJob(text);
    states[id] = job.ok() ? job->at("job_state") : "unreadable";
  }
  return states;
}

PbsAttributes Parsed(std::string_view text) {
  const auto job = ParsePbsJob(text);
  EXPECT_TRUE(job.ok()) << job.status();
  return job.ok() ? *job : PbsAttributes();
}

constexpr std::string_view kFinished = R"pbs({
	"timestamp":	1795236230,
	"pbs_version":	"23.06.06",
	"pbs_server":	"pbs01",
	"Jobs":	{
		"1.pbs01":	{
			"Job_Name":	"myjob",
			"Job_Owner":	"user1@pbs01",
			"resources_used":	{
				"cpupercent":	0,
				"cput":	"00:00:00",
				"mem":	"0kb",
				"ncpus":	64,
				"vmem":	"0kb",
				"walltime":	"00:00:08"
			},
			"job_state":	"F",
			"queue":	"debug",
			"exec_vnode":	"(x3001c0s7b0n0:ncpus=64:ngpus=4)",
			"mtime":	"Sat Nov 21 04:43:49 2026",
			"Priority":	0,
			"Resource_List":	{
				"filesystems":	"home:eagle",
				"ncpus":	64,
				"ngpus":	4,
				"nodect":	1,
				"place":	"scatter",
				"select":	"1:system=polaris",
				"walltime":	"00:05:00"
			},
			"stime":	"Sat Nov 21 04:43:40 2026",
			"obittime":	"Sat Nov 21 04:43:49 2026",
			"substate":	92,
			"Variable_List":	{
				"PBS_O_HOME":	"/home/user1",
				"PBS_O_INTERACTIVE_ENCRYPT_METHOD":	"",
				"MYVAR":	"hello",
				"OTHER":	"a b"
			},
			"comment":	"Job run at Sat Nov 21 at 04:43 on (x3001c0s7b0n0:ncpus=64:ngpus=4) and finished",
			"run_count":	1,
			"Stageout_status":	1,
			"Exit_status":	0,
			"history_timestamp":	1795236229,
			"project":	"_pbs_project_default"
		}
	}
}
)pbs";

// A listing as the older writer prints it, of jobs that differ in one line.
std::string Older(const std::vector<std::pair<std::string, std::string>>& jobs) {
  std::string text =
      "{\n    \"timestamp\":1795237828,\n    \"pbs_version\":\"22.05.11\",\n"
      "    \"pbs_server\":\"pbs01\",\n    \"Jobs\":{";
  const char* between = "\n";
  for (const auto& [id, line] : jobs) {
    text += between;
    text += "        \"" + id + "\":{\n            " + line +
            "\n            \"job_state\":\"Q\",\n            \"Resource_List\":{\n"
            "                \"ncpus\":64,\n                \"nodect\":1\n            }\n        }";
    between = ",\n";
  }
  return text + "\n    }\n}";
}

TEST(PbsListingTest, ReadsAFinishedJobInPiecesOfAnySize) {
  for (const std::size_t piece : {1, 2, 3, 64, 100000}) {
    const Split split = SplitAll(kFinished, piece);
    EXPECT_FALSE(split.damaged);
    ASSERT_EQ(split.jobs.size(), 1u);
    const PbsAttributes job = Parsed(split.jobs.at("1.pbs01"));
    EXPECT_EQ(job.at("job_state"), "F");
    EXPECT_EQ(job.at("Exit_status"), "0");
    EXPECT_EQ(job.at("resources_used.walltime"), "00:00:08");
    EXPECT_EQ(job.at("Resource_List.walltime"), "00:05:00");
    EXPECT_EQ(job.at("history_timestamp"), "1795236229");
    EXPECT_FALSE(job.contains("Priority"));
  }
}

TEST(PbsListingTest, AListingWithoutJobsIsEmpty) {
  const Split split = SplitAll(
      "{\n\t\"timestamp\":\t1795237513,\n\t\"pbs_version\":\t\"23.06.06\",\n"
      "\t\"pbs_server\":\t\"pbs01\"\n}\n");
  EXPECT_TRUE(split.jobs.empty());
  EXPECT_FALSE(split.damaged);
}

TEST(PbsListingTest, KeepsOnlyWantedJobs) {
  const std::string listing =
      Older({{"1.pbs01", "\"a\":1,"}, {"2.pbs01", "\"a\":1,"}, {"3.pbs01", "\"a\":1,"}});
  const Split split = SplitAll(listing, 5, [](std::string_view id) { return id == "2.pbs01"; });
  ASSERT_EQ(split.jobs.size(), 1u);
  EXPECT_TRUE(ParsePbsJob(split.jobs.at("2.pbs01")).ok());
}

TEST(PbsListingTest, BareWordsOfTheOlderWriterAreTexts) {
  for (const std::string word :
       {"nan", "inf", "infinity", "NaN", ".5", "5.", "+4", "-0", "1e400", "12345678901234567890"}) {
    const std::string listing = Older(
        {{"1.pbs01", "\"Job_Name\":" + word + ","},
         {"2.pbs01", "\"Variable_List\":{\n                \"X\":" + word + "\n            },"},
         {"3.pbs01", "\"Account_Name\":" + word + ","}});
    EXPECT_THAT(States(listing),
                ElementsAre(Pair("1.pbs01", "Q"), Pair("2.pbs01", "Q"), Pair("3.pbs01", "Q")))
        << word;
    EXPECT_EQ(Parsed(SplitAll(listing).jobs.at("1.pbs01")).at("Job_Name"), word);
  }
}

TEST(PbsListingTest, ValuesOfAnyTypeAreTexts) {
  const PbsAttributes job = Parsed(
      R"({"Job_Name": 123, "Account_Name":true, "queue": null, "substate":"41", "run_count": 2 ,
          "Resource_List": {"ncpus": "64", "select": 1}, "job_state":"R"})");
  EXPECT_EQ(job.at("Job_Name"), "123");
  EXPECT_EQ(job.at("Account_Name"), "true");
  EXPECT_FALSE(job.contains("queue"));
  EXPECT_EQ(job.at("substate"), "41");
  EXPECT_EQ(job.at("run_count"), "2");
  EXPECT_EQ(job.at("Resource_List.ncpus"), "64");
}

TEST(PbsListingTest, StringsOfBothWritersDoNotMislead) {
  const std::vector<std::string> lines = {
      R"("X":",Y=1",)",
      R"("X":"C:\\\\\\\\dir\\\\\\,PBS_O_QUEUE=stopped",)",
      R"("X":"a\\\\\\\\b",)",
      R"("X":"{1,2}",)",
      R"("X":"{a}",)",
      R"("X":"\\\\\\\\{a:1\\\\\\\\}",)",
      R"("Output_Path":"pbs01:/scratch/a\"b",)",
      R"("BASH_FUNC_myf%%":"() {  echo \\\"hi\\\"\n}",)",
      R"("argument_list":"<jsdl-hpcpa:Argument>a\b</jsdl-hpcpa:Argument>",)",
      "\"X\":\"\xE9\",",
      "\"X\":\"^)\",",
      R"("X":"a\u0001b",)"};
  std::vector<std::pair<std::string, std::string>> jobs;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    jobs.emplace_back(std::to_string(10 + i) + ".pbs01", lines[i]);
  }
  const std::string listing = Older(jobs);
  EXPECT_FALSE(SplitAll(listing).damaged);
  for (const auto& [id, state] : States(listing)) EXPECT_EQ(state, "Q") << id;
  EXPECT_EQ(States(listing).size(), lines.size());
}

TEST(PbsListingTest, MissingCommasBetweenJobsLoseNoOther) {
  const std::string good = "{\"job_state\":\"R\"}";
  const std::string no_comma =
      "{\"Jobs\":{\"1.a\":" + good + "\n\"2.a\":" + good + " \"3.a\":" + good + ",}}";
  EXPECT_THAT(States(no_comma), ElementsAre(Pair("1.a", "R"), Pair("2.a", "R"), Pair("3.a", "R")));
  EXPECT_FALSE(SplitAll(no_comma).damaged);
}

TEST(PbsListingTest, MissingAndSuperfluousBracesAreDamage) {
  const std::string good = "{\"job_state\":\"R\"}";
  const std::string no_brace =
      "{\"Jobs\":{\"1.a\":{\"job_state\":\"R\"\n,\"2.a\":" + good + ",\"3.a\":" + good + "}}";
  const std::string extra_brace =
      "{\"Jobs\":{\"1.a\":{\"job_state\":\"R\"}},\"2.a\":" + good + ",\"3.a\":" + good + "}}";
  const std::string twice = "{\"Jobs\":{\"1.a\":" + good + "},\"Jobs\":{\"2.a\":" + good + "}}";
  for (const std::string& listing : {no_brace, extra_brace, twice}) {
    EXPECT_TRUE(SplitAll(listing).damaged) << listing;
  }
  // What is inside a job is its owner's text; that the listing is damaged makes all of it
  // worthless.
  EXPECT_THAT(States(no_brace), ElementsAre(Pair("1.a", "R")));
}

// `qsub -M '{"1023.vm":{...}}'` of another user, as OpenPBS's head printed it.
TEST(PbsListingTest, JobsInsideAJobAreTextsOfItsOwner) {
  const std::string listing = R"pbs({
	"timestamp":	1796017062,
	"Jobs":	{
		"1023.vm":	{
			"Job_Name":	"my-own-work",
			"Job_Owner":	"tester@vm",
			"job_state":	"R"
		},
		"1025.vm":	{
			"Job_Name":	"evil",
			"Job_Owner":	"other@vm",
			"job_state":	"H",
			"Mail_Users":	{
				"1023.vm":	{
					"Job_Name":	"trib-a9cd2479.zz",
					"Job_Owner":	"tester@vm",
					"job_state":	"F"
				},
				"1024.vm":	{
					"Job_Name":	"trib-a9cd2479.yy",
					"Job_Owner":	"tester@vm",
					"job_state":	"R"
				},
				"Jobs":	{
					"1024.vm":	{
						"job_state":	"R"
					}
				}
			},
			"Variable_List":	{
				"X":	[1, {"1024.vm": {"job_state": "R"}}, "]"],
				"PBS_O_HOST":	"vm"
			}
		}
	}
}
)pbs";
  EXPECT_FALSE(SplitAll(listing).damaged);
  EXPECT_THAT(States(listing), ElementsAre(Pair("1023.vm", "R"), Pair("1025.vm", "H")));
  const PbsAttributes evil = Parsed(SplitAll(listing).jobs.at("1025.vm"));
  EXPECT_EQ(evil.at("Job_Name"), "evil");
  EXPECT_EQ(evil.at("Job_Owner"), "other@vm");
}

TEST(PbsListingTest, AMissingQuoteCostsOneLine) {
  const std::string listing = Older({{"1.pbs01", "\"X\":\"no end\\\","}, {"2.pbs01", "\"a\":1,"}});
  EXPECT_THAT(States(listing), ElementsAre(Pair("1.pbs01", "Q"), Pair("2.pbs01", "Q")));
  EXPECT_TRUE(SplitAll(listing).damaged);
}

TEST(PbsListingTest, ABrokenOffListingIsDamagedAndItsLastJobUnreadable) {
  const std::string listing = Older({{"1.pbs01", "\"a\":1,"}, {"2.pbs01", "\"a\":1,"}});
  const std::string cut = listing.substr(0, listing.size() - 30);
  EXPECT_TRUE(SplitAll(cut).damaged);
  EXPECT_THAT(States(cut), ElementsAre(Pair("1.pbs01", "Q"), Pair("2.pbs01", "unreadable")));
}

TEST(PbsListingTest, AJobLargerThanTheLimitIsUnreadableAndTheNextIsRead) {
  const std::string listing =
      Older({{"1.pbs01", "\"X\":\"" + std::string(kMaxPbsJobBytes, 'x') + "\","},
             {"2.pbs01", "\"a\":1,"}});
  EXPECT_THAT(States(listing), ElementsAre(Pair("1.pbs01", "unreadable"), Pair("2.pbs01", "Q")));
}

TEST(PbsListingTest, AJobThatSaysNothingIsUnreadable) {
  for (const std::string text :
       {"", "{", "{}", "[]", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"Job_Name\":\"x\"}"}) {
    EXPECT_FALSE(ParsePbsJob(text).ok()) << text;
  }
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "{\"a\":";
  EXPECT_FALSE(ParsePbsJob(deep).ok());
}

TEST(PbsListingTest, EscapesMeanTheirCharacters) {
  const PbsAttributes job = Parsed(R"({"comment":"a\nb\t\"c\" \u00e9 \/ \\","job_state":"R"})");
  EXPECT_EQ(job.at("comment"), "a\nb\t\"c\" \xC3\xA9 / \\");
}

}  // namespace
}  // namespace tributary::scheduler_adapters
