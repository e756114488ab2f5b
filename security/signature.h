// Signatures over bytes with a member's key: ECDSA on P-256 with SHA-256, DER form.
#pragma once

#include <string>
#include <string_view>

#include "core/status.h"
#include "security/pki.h"

namespace tributary::security {

Result<std::string> Sign(const PrivateKey& key, std::string_view bytes);

// kUnauthenticated when the signature is not by the certificate's key over these bytes.
Status Verify(std::string_view certificate_pem, std::string_view bytes, std::string_view signature);

}  // namespace tributary::security
