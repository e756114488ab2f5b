// What a site says to a server: whatever passes the check is small, printable and finite.
#include <google/protobuf/descriptor.h>

#include <cmath>

#include "core/text.h"
#include "core/wire_bounds.h"
#include "server/message_check.h"
#include "tests/fuzz/fuzz_targets.h"

namespace tributary {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// The statement and its signature are bytes, and have their own bounds.
void RequireHarmless(const Message& message) {
  const auto* reflection = message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  Require(reflection->GetUnknownFields(message).empty(), "nothing unknown stays");
  for (const FieldDescriptor* field : fields) {
    const int size = field->is_repeated() ? reflection->FieldSize(message, field) : 1;
    Require(size <= kMaxKnownTasks, "a list is bounded");
    for (int i = 0; i < size; ++i) {
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        RequireHarmless(field->is_repeated() ? reflection->GetRepeatedMessage(message, field, i)
                                             : reflection->GetMessage(message, field));
      } else if (field->type() == FieldDescriptor::TYPE_STRING) {
        const std::string text = field->is_repeated()
                                     ? reflection->GetRepeatedString(message, field, i)
                                     : reflection->GetString(message, field);
        Require(text.size() <= kMaxStatementMessage, "a text is short: " + field->name());
        Require(field->name() == "instance" || Printable(text) == text,
                "a text is printable: " + field->name());
      } else if (field->type() == FieldDescriptor::TYPE_DOUBLE) {
        Require(std::isfinite(reflection->GetDouble(message, field)), "a number is finite");
      }
    }
  }
}

}  // namespace

void FuzzSiteMessage(std::string_view bytes) {
  v1::ClientMessage message;
  if (message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    const Status status = server::CheckClientMessage(&message);
    if (status.ok()) {
      RequireHarmless(message);
      const std::string once = message.SerializeAsString();
      Require(server::CheckClientMessage(&message).ok() && message.SerializeAsString() == once,
              "what passed passes again and stays the same");
    } else {
      Require(!status.message().empty() && status.message().size() < 1000, "a refusal says why");
    }
  }
  const auto statement = server::ReadStatement(std::string(bytes));
  if (!statement.ok()) return;
  Require(bytes.size() <= kMaxStatementBytes, "a statement is small");
  Require(statement->metrics_size() <= kMaxMetrics, "metrics are few");
  for (const auto& [name, value] : statement->metrics()) {
    Require(std::isfinite(value) && Printable(name) == name, "a metric is a number with a name");
  }
}

std::vector<std::string> SiteMessageSeeds() {
  std::vector<std::string> seeds = {"", "\x0a\x00", "no message"};
  const auto add = [&](auto&& fill) {
    v1::ClientMessage message;
    fill(message);
    seeds.push_back(message.SerializeAsString());
  };
  using M = v1::ClientMessage;
  add([](M& m) {
    m.mutable_hello()->set_protocol_max(1);
    m.mutable_hello()->set_client_version("1.0");
    m.mutable_hello()->add_tasks("c.r1.a.t1");
    m.mutable_hello()->set_instance("0123");
    m.mutable_hello()->set_host("login1");
  });
  add([](M& m) { m.mutable_heartbeat()->set_sent_at_us(1); });
  add([](M& m) {
    m.mutable_campaign_answer()->set_campaign("c");
    m.mutable_campaign_answer()->set_reason("no \x1b[2J\n");
  });
  add([](M& m) {
    m.mutable_progress()->set_task("c.r1.a.t1");
    m.mutable_progress()->set_loss(HUGE_VAL);
    m.mutable_progress()->set_start_p50_us(INT64_MAX);
    m.mutable_progress()->set_message("\u202e");
  });
  add([](M& m) {
    m.mutable_facts()->set_scheduler("slurm 22");
    m.mutable_facts()->add_allocations()->set_limit(std::nan(""));
    m.mutable_facts()->add_allocations()->set_unit("node-hours");
    m.mutable_facts()->add_forecasts()->set_queue("q");
  });
  add([](M& m) {
    m.mutable_report()->set_task("c.r1.a.t1");
    m.mutable_report()->set_statement("x");
    m.mutable_report()->set_signature("y");
  });
  v1::Statement statement;
  statement.set_task("c.r1.a.t1");
  (*statement.mutable_metrics())["loss/h"] = 1.5;
  seeds.push_back(statement.SerializeAsString());
  return seeds;
}

}  // namespace tributary
