#include "security/key_file.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "core/files.h"

namespace tributary::security {
namespace {

constexpr std::size_t kMaxKeyFileBytes = 16384;
constexpr std::size_t kMaxCertificateFileBytes = std::size_t{1} << 20;

Status CheckOwnership(int fd, const std::string& path) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return ErrnoError("stat " + path, errno);
  if (!S_ISREG(info.st_mode)) return InvalidArgumentError(path + ": is not a regular file");
  if (info.st_uid != geteuid()) {
    return PermissionDeniedError(path + ": belongs to user " + std::to_string(info.st_uid) +
                                 "; a private key must belong to the user that runs the program (" +
                                 std::to_string(geteuid()) + ")");
  }
  if ((info.st_mode & 077) != 0) {
    std::array<char, 8> mode{};
    std::snprintf(mode.data(), mode.size(), "%04o", static_cast<unsigned>(info.st_mode & 07777));
    return PermissionDeniedError(path + ": mode " + mode.data() +
                                 " lets others access a private key; run: chmod 600 " + path);
  }
  return OkStatus();
}

}  // namespace

Status WriteKeyFile(const std::string& path, const PrivateKey& key) {
  TRIBUTARY_ASSIGN_OR_RETURN(std::string pem, key.ToPem());
  Status written = WriteFileAtomic(path, pem, 0600);
  OPENSSL_cleanse(pem.data(), pem.size());
  return written;
}

Result<PrivateKey> ReadKeyFile(const std::string& path) {
  // The checks and the bytes come from one open file: nothing can be swapped in between.
  TRIBUTARY_ASSIGN_OR_RETURN(const FileDescriptor file, OpenFile(path, O_RDONLY | O_NONBLOCK));
  TRIBUTARY_RETURN_IF_ERROR(CheckOwnership(file.get(), path));
  std::string pem(kMaxKeyFileBytes, '\0');
  std::size_t size = 0;
  while (size < pem.size()) {
    const ssize_t got = read(file.get(), pem.data() + size, pem.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoError("read " + path, errno);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  Result<PrivateKey> key = PrivateKey::FromPem(std::string_view(pem).substr(0, size));
  OPENSSL_cleanse(pem.data(), pem.size());
  return std::move(key).Annotate(path);
}

Result<std::string> ReadCertificateFile(const std::string& path) {
  TRIBUTARY_ASSIGN_OR_RETURN(std::string pem, ReadFile(path, kMaxCertificateFileBytes));
  TRIBUTARY_RETURN_IF_ERROR(CertificateFingerprint(pem).status().Annotate(path));
  return pem;
}

}  // namespace tributary::security
