// What PBS prints about the jobs of everybody at a site.
#include <vector>

#include "scheduler_adapters/pbs_listing.h"
#include "scheduler_adapters/pbs_text.h"
#include "tests/fuzz/fuzz_targets.h"

namespace tributary {
namespace {

namespace sched = scheduler_adapters;

using Jobs = std::vector<std::pair<std::string, std::string>>;

Jobs Split(std::string_view listing, std::size_t piece) {
  Jobs jobs;
  sched::PbsListingSplitter splitter(
      [](std::string_view) { return true; },
      [&](std::string_view id, std::string_view text) { jobs.emplace_back(id, text); });
  for (std::size_t at = 0; at < listing.size(); at += piece) {
    splitter.Feed(listing.substr(at, piece));
  }
  splitter.Finish();
  return jobs;
}

void CheckStatus(const sched::PbsAttributes& job) {
  const sched::JobStatus status = sched::PbsJobStatus("1.pbs01", job);
  Require(status.message.size() <= sched::kMaxJobMessageBytes, "a message is bounded");
  Require(status.message.find('\n') == std::string::npos, "a message is one line");
  Require(sched::IsTerminal(status.state) || !status.exit_code, "a job without an end has no code");
  Require(!status.started || !status.ended || *status.started <= *status.ended,
          "a job starts before it ends");
  Require(status.usage.elapsed.count() >= 0 && status.usage.nodes >= 0, "usage is not negative");
}

// A listing in which somebody's job has the bytes as a variable.
std::string Quoting(std::string_view bytes) {
  std::string text = "{\"Jobs\":{\"1.a\":{\"job_state\":\"Q\",\"X\":\"";
  for (const char c : bytes) {
    if (c == '\n') {
      text += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  return text + "\"},\"2.a\":{\"job_state\":\"R\"}}}";
}

void CheckListing(std::string_view bytes) {
  const Jobs jobs = Split(bytes, 4096);
  Require(jobs == Split(bytes, 3), "a listing reads the same in pieces of any size");
  for (const auto& [id, text] : jobs) {
    if (const auto job = sched::ParsePbsJob(text); job.ok()) CheckStatus(*job);
  }
  const Jobs among = Split(Quoting(bytes), 4096);
  Require(among.size() == 2 && among[0].first == "1.a" && among[1].first == "2.a" &&
              sched::ParsePbsJob(among[1].second).ok(),
          "a text of somebody else is no job, and hides none");
}

}  // namespace

void FuzzPbs(std::string_view bytes) {
  CheckListing(bytes);
  if (const auto job = sched::ParsePbsJob(bytes); job.ok()) CheckStatus(*job);
  if (const auto job = sched::ParseQstatText(bytes); job.ok()) CheckStatus(*job);
  for (const std::string& id : sched::ParseQsubAnswer(bytes)) {
    Require(sched::IsPbsJobId(id) && sched::IsSamePbsJob(id, id), "qsub's ids are ids");
  }
  if (const auto duration = sched::ParsePbsDuration(bytes)) {
    Require(sched::ParsePbsDuration(sched::FormatPbsDuration(*duration)) == duration,
            "a duration is read back");
  }
  (void)sched::ParsePbsTime(bytes);
  (void)sched::IsQsubRefusal(1, bytes);
}

std::vector<std::string> PbsSeeds() {
  return {"",
          "{\n\t\"timestamp\":\t1795237513,\n\t\"pbs_version\":\t\"23.06.06\",\n"
          "\t\"pbs_server\":\t\"pbs01\"\n}\n",
          "{\"Jobs\":\t{\n\t\t\"1.pbs01\":\t{\n\t\t\t\"job_state\":\t\"F\",\n"
          "\t\t\t\"Exit_status\":\t-29,\n\t\t\t\"Resource_List\":\t{\n\t\t\t\t\"nodect\":\t1\n"
          "\t\t\t},\n\t\t\t\"stime\":\t\"Sat Nov 21 04:43:40 2026\",\n"
          "\t\t\t\"obittime\":\t\"Sat Nov 21 04:43:49 2026\"\n\t\t}\n\t}\n}\n",
          "{\n    \"Jobs\":{\n        \"2.pbs01\":{\n            \"Job_Name\":nan,\n"
          "            \"X\":\",Y=1\",\n            \"job_state\":\"R\",\n"
          "            \"run_count\":2\n        }\n        \"3.pbs01\":{\"a\":+4 \"b\":.5,}}}",
          "{\"Jobs\":{\"4.a\":{\"job_state\":\"Q\",\"5.a\":{\"job_state\":\"H\",\"X\":\"a\\\"{"
          "b\\\\\"}}}",
          "\"X\":\"\xE9 \\u0001 \\u00e9 no end\\\",\n",
          "Job Id: 1.pbs01\n    Job_Name = x\n    job_state = F\n    substate = 91\n"
          "    comment = Job run at Sat Nov 21 at 04:43 on (x3001c0s7b0n0:ncpus=64\n\t)\n"
          "    Exit_status = 271\n\n",
          "Server: pbs01\n    server_state = Active\n    pbs_version = 23.06.06\n\n",
          "349710.polaris-pbs-01.hsn.cm.polaris.alcf.anl.gov\n",
          "1035[1].pbs01",
          "Sat Nov 21 04:43:40 2026",
          "200:30:00",
          "qsub: would exceed queue generic's per-user limit\n"};
}

}  // namespace tributary
