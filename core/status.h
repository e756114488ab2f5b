// Errors as values. Every function of ours that can fail returns Status or Result<T>; nothing of
// ours throws.
//
// Wording of a message: lower case, no full stop; what, which value, what is allowed, what to do.
// Never a secret.
#pragma once

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

namespace tributary {

// The numbers are gRPC's, so that a code crosses the wire unchanged.
enum class StatusCode : std::uint8_t {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

// "invalid argument", "not found", ...
std::string_view StatusCodeName(StatusCode code);

class [[nodiscard]] Status {
 public:
  Status() = default;  // OK
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

  // The same error seen from further out: "<context>: <message>". OK stays OK.
  Status Annotate(std::string_view context) const;

  // "not found: campaign chem-lora", or "ok".
  std::string ToString() const;

  friend bool operator==(const Status&, const Status&) = default;

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

std::ostream& operator<<(std::ostream& out, const Status& status);

inline Status OkStatus() { return {}; }
Status CancelledError(std::string message);
Status InvalidArgumentError(std::string message);
Status DeadlineExceededError(std::string message);
Status NotFoundError(std::string message);
Status AlreadyExistsError(std::string message);
Status PermissionDeniedError(std::string message);
Status ResourceExhaustedError(std::string message);
Status FailedPreconditionError(std::string message);
Status AbortedError(std::string message);
Status InternalError(std::string message);
Status UnavailableError(std::string message);
Status DataLossError(std::string message);
Status UnauthenticatedError(std::string message);
Status UnimplementedError(std::string message);

// The error of a failed system call, with the text of errno: "open /x/y: permission denied (13)".
// The code follows errno (ENOENT not found, EACCES permission denied, ENOSPC resource exhausted,
// ...).
Status ErrnoError(std::string_view what, int error_number);

// A value, or the reason why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}          // NOLINT(google-explicit-constructor)
  Result(Status status) : status_(std::move(status)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  // Only after ok().
  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return *std::move(value_); }
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return *std::move(value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

  Result Annotate(std::string_view context) && {
    if (!ok()) status_ = status_.Annotate(context);
    return std::move(*this);
  }

 private:
  std::optional<T> value_;
  Status status_;
};

#define TRIBUTARY_CONCAT_INNER_(a, b) a##b
#define TRIBUTARY_CONCAT_(a, b) TRIBUTARY_CONCAT_INNER_(a, b)

// Returns early from a function that returns Status or Result.
#define TRIBUTARY_RETURN_IF_ERROR(expression)                                          \
  do {                                                                                 \
    if (::tributary::Status tributary_status_ = (expression); !tributary_status_.ok()) \
      return tributary_status_;                                                        \
  } while (false)

// TRIBUTARY_ASSIGN_OR_RETURN(auto file, OpenFile(path));
#define TRIBUTARY_ASSIGN_OR_RETURN(declaration, expression)                                \
  TRIBUTARY_ASSIGN_OR_RETURN_(TRIBUTARY_CONCAT_(tributary_result_, __LINE__), declaration, \
                              expression)
#define TRIBUTARY_ASSIGN_OR_RETURN_(result, declaration, expression) \
  auto result = (expression);                                        \
  if (!result.ok()) return result.status();                          \
  declaration = *std::move(result)

}  // namespace tributary
