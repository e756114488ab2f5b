// Keys and certificates on disk; private keys are for their owner alone.
#pragma once

#include <string>

#include "core/status.h"
#include "security/pki.h"

namespace tributary::security {

// Replaces the file atomically, mode 0600.
Status WriteKeyFile(const std::string& path, const PrivateKey& key);

// kPermissionDenied, with the command that puts it right, when group or others may access the file
// or another user owns it. A link is followed; what counts is the file it leads to.
Result<PrivateKey> ReadKeyFile(const std::string& path);

// The file's text. Invalid argument, with the path, when it holds no PEM certificate.
Result<std::string> ReadCertificateFile(const std::string& path);

}  // namespace tributary::security
