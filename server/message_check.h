// The one door for what comes from a site: one bound for each field of each message, before the
// engine, the journal, the log or a person sees any of it. A member may say anything.
#pragma once

#include <string>

#include "core/status.h"
#include "server/rate_limit.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::server {

// Bounds `message` in place: texts for people become printable and short, numbers for people
// finite, lists of facts short; what a newer client may have added goes. Invalid argument where a
// name is none or there is too much of something: nothing of such a message is used.
Status CheckClientMessage(v1::ClientMessage* message);

// The bytes that a site signed, which are kept as they are. Invalid argument where they are no
// statement, or too many, or hold more unknown fields, metrics or larger numbers than any task can
// have made.
Result<v1::Statement> ReadStatement(const std::string& bytes);

// How often a member may say what. Each kind of message has a rate of its own, far above what a
// client says; what comes above it is dropped, and a client says durable things again. Thread-safe.
class MessageRates {
 public:
  using Time = RateLimit::Time;

  bool Admit(const std::string& site, v1::ClientMessage::KindCase kind, Time now);

 private:
  RateLimit rates_;  // only sites with a certificate get here: nobody can make many
};

}  // namespace tributary::server
