#include "trainer/token_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "core/files.h"

namespace tributary::trainer {
namespace {

// Header, id_ends, span_ends, spans, ids, problems (each with a zero byte behind it), SHA-256 of
// all that. Numbers are the machine's own: on another kind of machine the first one does not fit.
struct Header {
  std::uint64_t magic = 0x31'4e'45'4b'4f'54'52'54;  // "TRTOKEN1"
  std::uint64_t sequences = 0, spans = 0, ids = 0;
  std::uint64_t bad_lines = 0, problem_bytes = 0;
  Digest key;
};
static_assert(sizeof(Header) == 80 && sizeof(TokenExample::Span) == 16);

constexpr std::size_t kDigestBytes = sizeof(Digest);

template <typename T>
std::string_view Bytes(std::span<const T> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

std::string ProblemText(const BadLines& bad) {
  std::string text;
  for (const std::string& problem : bad.first) {
    text += problem;
    text += '\0';
  }
  return text;
}

Header HeaderOf(const Digest& key, const TokenFile& file, const std::string& problems) {
  const TokenArrays arrays = file.table->Arrays();
  Header header;
  header.sequences = arrays.id_ends.size();
  header.spans = arrays.spans.size();
  header.ids = arrays.ids.size();
  header.bad_lines = static_cast<std::uint64_t>(file.bad.count);
  header.problem_bytes = problems.size();
  header.key = key;
  return header;
}

std::uint64_t BytesFor(const Header& header) {
  return sizeof(Header) + 16 * header.sequences + 16 * header.spans + 4 * header.ids +
         header.problem_bytes + kDigestBytes;
}

Status WritePieces(int fd, const std::vector<std::string_view>& pieces) {
  Sha256 hash;
  for (const std::string_view piece : pieces) {
    hash.Update(piece);
    TRIBUTARY_RETURN_IF_ERROR(WriteAll(fd, piece.data(), piece.size()));
  }
  const Digest digest = hash.Finish();
  return WriteAll(fd, digest.bytes.data(), digest.bytes.size());
}

// Takes typed parts from the front of the bytes.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <typename T>
  std::span<const T> Take(std::uint64_t count) {
    const auto part = bytes_.first(static_cast<std::size_t>(count) * sizeof(T));
    bytes_ = bytes_.subspan(part.size());
    return {reinterpret_cast<const T*>(part.data()), static_cast<std::size_t>(count)};
  }

 private:
  std::span<const std::byte> bytes_;
};

bool Rises(std::span<const std::uint64_t> ends, std::size_t last) {
  return std::is_sorted(ends.begin(), ends.end()) && (ends.empty() ? 0 : ends.back()) == last;
}

// Spans of one sequence: in order, apart, none at 0, none beyond its end.
bool SpansFit(std::span<const TokenExample::Span> spans, std::int64_t length) {
  std::int64_t from = 1;
  for (const TokenExample::Span& span : spans) {
    if (span.begin < from || span.end <= span.begin || span.end > length) return false;
    from = span.end;
  }
  return true;
}

bool Consistent(const TokenArrays& arrays, std::int64_t vocab_size) {
  if (!Rises(arrays.id_ends, arrays.ids.size())) return false;
  if (!Rises(arrays.span_ends, arrays.spans.size())) return false;
  std::uint64_t id = 0;
  std::uint64_t span = 0;
  for (std::size_t i = 0; i < arrays.id_ends.size(); ++i) {
    const auto spans = arrays.spans.subspan(span, arrays.span_ends[i] - span);
    if (!SpansFit(spans, static_cast<std::int64_t>(arrays.id_ends[i] - id))) return false;
    id = arrays.id_ends[i];
    span = arrays.span_ends[i];
  }
  return std::all_of(arrays.ids.begin(), arrays.ids.end(),
                     [&](std::int32_t token) { return token >= 0 && token < vocab_size; });
}

BadLines ReadProblems(std::uint64_t count, std::string_view text) {
  BadLines bad{static_cast<std::int64_t>(count), {}};
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\0'), text.size() - 1);
    bad.first.emplace_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  return bad;
}

}  // namespace

std::uint64_t TokenFileBytes(const TokenFile& file) {
  return BytesFor(HeaderOf({}, file, ProblemText(file.bad)));
}

Status WriteTokenFile(const std::string& path, const Digest& key, const TokenFile& file) {
  const std::string problems = ProblemText(file.bad);
  const Header header = HeaderOf(key, file, problems);
  const TokenArrays arrays = file.table->Arrays();
  std::string temporary = path + ".tmp-XXXXXX";
  const FileDescriptor out(mkostemp(temporary.data(), O_CLOEXEC));
  if (!out.valid()) return ErrnoError("create " + temporary, errno);
  Status status = WritePieces(out.get(), {Bytes(std::span(&header, 1)), Bytes(arrays.id_ends),
                                          Bytes(arrays.span_ends), Bytes(arrays.spans),
                                          Bytes(arrays.ids), problems})
                      .Annotate(temporary);
  if (status.ok() && fsync(out.get()) != 0) status = ErrnoError("fsync " + temporary, errno);
  if (status.ok()) status = RenameDurably(temporary, path);
  if (!status.ok()) unlink(temporary.c_str());
  return status;
}

Result<TokenFile> OpenTokenFile(const std::string& path, const Digest& key,
                                std::int64_t vocab_size) {
  const Status damaged = DataLossError(path + ": is no whole token file");
  TRIBUTARY_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  const std::span<const std::byte> bytes = file.bytes();
  Header header;
  if (bytes.size() < sizeof header + kDigestBytes) return damaged;
  std::memcpy(&header, bytes.data(), sizeof header);
  for (const std::uint64_t count :
       {header.sequences, header.spans, header.ids, header.problem_bytes}) {
    if (count > bytes.size()) return damaged;
  }
  const auto content = bytes.first(bytes.size() - kDigestBytes);
  if (header.magic != Header().magic || header.key != key || BytesFor(header) != bytes.size() ||
      std::memcmp(Sha256Of(Bytes(content)).bytes.data(), bytes.last(kDigestBytes).data(),
                  kDigestBytes) != 0) {
    return damaged;
  }
  Cursor cursor(content.subspan(sizeof header));
  TokenArrays arrays;
  arrays.id_ends = cursor.Take<std::uint64_t>(header.sequences);
  arrays.span_ends = cursor.Take<std::uint64_t>(header.sequences);
  arrays.spans = cursor.Take<TokenExample::Span>(header.spans);
  arrays.ids = cursor.Take<std::int32_t>(header.ids);
  if (!Consistent(arrays, vocab_size)) return damaged;
  const BadLines bad =
      ReadProblems(header.bad_lines, Bytes(cursor.Take<char>(header.problem_bytes)));
  return TokenFile{std::make_shared<TokenTable>(std::move(file), arrays), bad};
}

}  // namespace tributary::trainer
