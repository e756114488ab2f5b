#include "security/grpc_log.h"

#include <grpc/support/log.h>

#include <string>
#include <string_view>

#include "core/log_limit.h"
#include "core/text.h"

namespace tributary::security {
namespace {

constexpr std::size_t kMaxMessage = 500;

LogLevel g_errors = LogLevel::kWarning;

void Forward(gpr_log_func_args* args) {
  const std::string_view file(args->file);
  const std::string source(file.substr(file.find_last_of('/') + 1));
  const LogLevel level = args->severity == GPR_LOG_SEVERITY_ERROR ? g_errors : LogLevel::kDebug;
  // Never destroyed: gRPC's threads may log until the process ends. Any stranger can cause a line.
  static auto* limit = new LogLimit;
  limit->Log(source + std::to_string(args->line), level, "grpc",
             Excerpt(args->message, kMaxMessage), {{"source", source}, {"line", args->line}});
}

}  // namespace

void RouteGrpcLog(LogLevel errors) {
  g_errors = errors;
  gpr_set_log_function(Forward);
}

}  // namespace tributary::security
