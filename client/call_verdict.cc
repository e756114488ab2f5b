#include "client/call_verdict.h"

#include <array>

namespace tributary::client {
namespace {

constexpr Verdict kD = Verdict::kDone;
constexpr Verdict kT = Verdict::kTransient;
constexpr Verdict kR = Verdict::kRefused;
constexpr Verdict kP = Verdict::kPermanent;

struct Row {
  StatusCode code;
  std::array<Verdict, 4> on;  // Connect, UploadStatus, Upload, Download
};

// Cancelled: by the server, of a transfer that stalled, or of all calls when it ends. Resource
// exhausted: its files, its disk, a full queue. Not found: a download was of a blob that the server
// itself has named. Data loss: an upload whose bytes are not those that it announced; whether the
// line or the file changed them is for the one who has the file.
constexpr std::array<Row, 17> kTable = {{
    {StatusCode::kOk, {kD, kD, kD, kD}},
    {StatusCode::kCancelled, {kT, kT, kT, kT}},
    {StatusCode::kUnknown, {kT, kT, kT, kT}},
    {StatusCode::kInvalidArgument, {kP, kR, kR, kR}},
    {StatusCode::kDeadlineExceeded, {kT, kT, kT, kT}},
    {StatusCode::kNotFound, {kP, kR, kR, kT}},
    {StatusCode::kAlreadyExists, {kR, kR, kR, kR}},
    {StatusCode::kPermissionDenied, {kR, kR, kR, kR}},
    {StatusCode::kResourceExhausted, {kT, kT, kT, kT}},
    {StatusCode::kFailedPrecondition, {kR, kR, kR, kR}},
    {StatusCode::kAborted, {kT, kT, kT, kT}},
    {StatusCode::kOutOfRange, {kP, kR, kR, kR}},
    {StatusCode::kUnimplemented, {kP, kP, kP, kP}},
    {StatusCode::kInternal, {kT, kT, kT, kT}},
    {StatusCode::kUnavailable, {kT, kT, kT, kT}},
    {StatusCode::kDataLoss, {kT, kT, kR, kT}},
    {StatusCode::kUnauthenticated, {kP, kP, kP, kP}},
}};

}  // namespace

Verdict VerdictOn(Call call, StatusCode code) {
  for (const Row& row : kTable) {
    if (row.code == code) return row.on[static_cast<std::size_t>(call)];
  }
  return Verdict::kTransient;
}

}  // namespace tributary::client
