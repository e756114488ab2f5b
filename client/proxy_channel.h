// A channel's proxy, as client/proxy.h reads it from the environment.
#pragma once

#include <grpcpp/support/channel_arguments.h>

#include <string>

#include "client/proxy.h"

namespace tributary::client {

inline void SetProxy(const std::string& server, grpc::ChannelArguments* arguments) {
  const auto endpoint = SplitHostAndPort(server);
  const ProxyChoice proxy = endpoint ? ChooseProxy(*endpoint, VariableOfProcess) : ProxyChoice();
  arguments->SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, proxy.in_use ? 1 : 0);
  if (proxy.in_use) arguments->SetString(GRPC_ARG_HTTP_PROXY, proxy.uri);
}

}  // namespace tributary::client
