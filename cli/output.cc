#include "cli/output.h"

#include <google/protobuf/descriptor.h>
#include <grpcpp/support/status.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/text.h"

namespace tributary::cli {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using nlohmann::json;

constexpr std::size_t kMaxPrinted = std::size_t{64} << 20;  // as long as a message of the server
// Fields that tell a program how to read a message, and people nothing.
constexpr std::array<std::string_view, 2> kForTheWire = {"tributary.v1.CampaignStatus.changes",
                                                         "tributary.v1.CampaignStatus.unchanged"};
constexpr std::size_t kMaxErrorPrinted = std::size_t{64} << 10;

json ScalarOf(const Message& message, const FieldDescriptor* field) {
  const Reflection* r = message.GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return r->GetInt32(message, field);
    case FieldDescriptor::CPPTYPE_INT64:
      return r->GetInt64(message, field);
    case FieldDescriptor::CPPTYPE_UINT32:
      return r->GetUInt32(message, field);
    case FieldDescriptor::CPPTYPE_UINT64:
      return r->GetUInt64(message, field);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return r->GetDouble(message, field);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return r->GetFloat(message, field);
    case FieldDescriptor::CPPTYPE_BOOL:
      return r->GetBool(message, field);
    case FieldDescriptor::CPPTYPE_ENUM:
      return r->GetEnum(message, field)->name();
    case FieldDescriptor::CPPTYPE_STRING:
      return r->GetString(message, field);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return ToJson(r->GetMessage(message, field));
  }
  return nullptr;
}

json RepeatedOf(const Message& message, const FieldDescriptor* field) {
  const Reflection* r = message.GetReflection();
  const int size = r->FieldSize(message, field);
  json values = field->is_map() ? json::object() : json::array();
  for (int i = 0; i < size; ++i) {
    if (field->is_map()) {
      const Message& entry = r->GetRepeatedMessage(message, field, i);
      const json pair = ToJson(entry);
      values[pair["key"].get<std::string>()] = pair["value"];
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      values.push_back(ToJson(r->GetRepeatedMessage(message, field, i)));
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      values.push_back(r->GetRepeatedString(message, field, i));
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_INT64) {
      values.push_back(r->GetRepeatedInt64(message, field, i));
    }
  }
  return values;
}

}  // namespace

int ExitCodeOf(const Status& status) {
  switch (status.code()) {
    case StatusCode::kOk:
      return kExitOk;
    case StatusCode::kInvalidArgument:
    case StatusCode::kOutOfRange:
      return kExitUsage;
    case StatusCode::kNotFound:
      return kExitNotFound;
    case StatusCode::kPermissionDenied:
    case StatusCode::kUnauthenticated:
      return kExitRefused;
    case StatusCode::kUnavailable:
    case StatusCode::kDeadlineExceeded:
      return kExitUnavailable;
    case StatusCode::kAlreadyExists:
    case StatusCode::kFailedPrecondition:
    case StatusCode::kAborted:
      return kExitConflict;
    default:
      return kExitFailed;
  }
}

Status FromGrpc(const grpc::Status& status) {
  return {static_cast<StatusCode>(status.error_code()), status.error_message()};
}

json ToJson(const Message& message) {
  json object = json::object();
  const auto* descriptor = message.GetDescriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor* field = descriptor->field(i);
    if (std::find(kForTheWire.begin(), kForTheWire.end(), field->full_name()) !=
        kForTheWire.end()) {
      continue;
    }
    if (field->is_repeated()) {
      object[field->name()] = RepeatedOf(message, field);
    } else if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE ||
               message.GetReflection()->HasField(message, field)) {
      object[field->name()] = ScalarOf(message, field);
    }
  }
  return object;
}

void MakePrintable(Message* message) {
  const Reflection* r = message->GetReflection();
  std::vector<const FieldDescriptor*> fields;
  r->ListFields(*message, &fields);
  for (const FieldDescriptor* field : fields) {
    const int size = field->is_repeated() ? r->FieldSize(*message, field) : 1;
    for (int i = 0; i < size; ++i) {
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        MakePrintable(field->is_repeated() ? r->MutableRepeatedMessage(message, field, i)
                                           : r->MutableMessage(message, field));
      } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING && field->is_repeated()) {
        r->SetRepeatedString(message, field, i,
                             Printable(r->GetRepeatedString(*message, field, i)));
      } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
        r->SetString(message, field, Printable(r->GetString(*message, field)));
      }
    }
  }
}

std::string Format(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  va_list again;
  va_copy(again, arguments);
  const int size = std::vsnprintf(nullptr, 0, format, arguments);
  va_end(arguments);
  std::string text(static_cast<std::size_t>(std::max(size, 0)), '\0');
  std::vsnprintf(text.data(), text.size() + 1, format, again);
  va_end(again);
  return text;
}

std::string NumberText(double number, int decimals) {
  constexpr double kLongest = 1e12;
  return std::abs(number) < kLongest ? Format("%.*f", decimals, number) : Format("%.3g", number);
}

void PrintText(const std::string& text) {
  const std::string shown = PrintableLines(text, kMaxPrinted);
  std::fwrite(shown.data(), 1, shown.size(), stdout);
  std::fflush(stdout);
}

void PrintLine(const std::string& text) { PrintText(text + "\n"); }

void PrintJson(const json& value, int indent) {
  std::printf("%s\n", value.dump(indent, ' ', true, json::error_handler_t::replace).c_str());
  std::fflush(stdout);
}

int Fail(const Status& status, bool as_json) {
  if (as_json) {
    const json error = {
        {"error",
         {{"code", std::string(StatusCodeName(status.code()))}, {"message", status.message()}}}};
    std::fprintf(stderr, "%s\n", error.dump(2, ' ', true, json::error_handler_t::replace).c_str());
  } else {
    std::fprintf(stderr, "tributary: %s\n",
                 PrintableLines(status.message(), kMaxErrorPrinted).c_str());
  }
  return ExitCodeOf(status);
}

std::string BytesText(std::uint64_t bytes) {
  static constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text;
}

std::string SecondsText(double seconds) {
  if (seconds < 120) return NumberText(seconds, 1) + " s";
  if (seconds < 7200) return NumberText(seconds / 60, 0) + " min";
  return NumberText(seconds / 3600, 1) + " h";
}

}  // namespace tributary::cli
