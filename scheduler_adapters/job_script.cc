#include "scheduler_adapters/job_script.h"

#include <charconv>
#include <cstdint>
#include <span>

#include "core/files.h"

namespace tributary::scheduler_adapters {
namespace {

std::string MarksDirectory(const std::string& working_directory, std::string_view name) {
  return working_directory + "/.jobs/" + std::string(name);
}

// The first part of every script: claims the job's name, notes its start, and defines `finish`.
constexpr std::string_view kOpening = R"bash(
job="${@JOB_ID@:-$$}@SUFFIX@"
mkdir -p "$marks" || exit 1
if ! (set -o noclobber; printf '%s\n' "$job" > "$marks/claim") 2>/dev/null; then
  owner="$(cat "$marks/claim")"
  if [ "$owner" != "$job" ]; then
    echo "job $owner has this name already; this one does nothing" >&2
    exit @CLAIMED@
  fi
fi
rm -f "$marks/ended" "$marks/told"
printf '%s\n' "$(date +%s)" >> "$marks/starts"
finish() {
  printf '%s %s\n' "$1" "$(date +%s)" > "$marks/ended.part" && mv "$marks/ended.part" "$marks/ended"
  exit "$1"
}
)bash";

// Before the command, so that no signal is lost, nor ends the script, from here on.
constexpr std::string_view kWarning = R"bash(
child=
interrupted=
warn() {
  interrupted=1
  [ -n "$child" ] && kill -@SIGNAL@ "$child" 2>/dev/null
}
tell() {
  printf '%s %s @WALLTIME@\n' "$(date +%s)" "$SECONDS" > "$marks/told.part" && mv "$marks/told.part" "$marks/told"
}
trap warn USR1
trap 'warn; tell' TERM
)bash";

// Around the site's own lines. The first that fails ends the job, or else the command would run
// without what it needs; what a line decides itself (`||`, `if`) and what goes wrong inside a file
// or a function that it calls is its own business. Some versions of Environment Modules (3.2) say
// success where they failed; newer ones and Lmod are told by their variables.
constexpr std::string_view kPrologue = R"bash(  setup_failed() {
    echo "tributary: $1" >&2
    exit @SETUP@
  }
  load_module() {
    local before="${LOADEDMODULES-}"
    module load "$1" || setup_failed "module $1 cannot be loaded"
    [ -z "${MODULES_CMD-}${LMOD_CMD-}" ] && [ "${LOADEDMODULES-}" = "$before" ] || return 0
    case ":${LOADEDMODULES-$1}:" in *":$1:"* | *":$1/"*) return 0 ;; esac
    setup_failed "module $1 cannot be loaded"
  }
  failed_line() {
    [ "${#FUNCNAME[@]}" -gt 2 ] && return
    setup_failed "a line of the setup failed ($1): $2 (end it with \"|| true\" if it may)"
  }
  trap 'failed_line "$?" "$BASH_COMMAND"' ERR
)bash";

// Runs the command, hands the warning on, and waits for its end through any number of signals: one
// that comes while the shell waits takes the place of the command's exit code, so it waits again.
// Bash can lose the code of a command that ends while a signal is handled; it is then not 0.
constexpr std::string_view kClosing = R"bash() &
child=$!
[ -n "$interrupted" ] && warn
@TIMER@
interrupted=1
while [ -n "$interrupted" ]; do
  interrupted=
  wait "$child"
  code=$?
done
@END_TIMER@finish "$code"
)bash";

// In short sleeps, so that the last one ends soon after the job; without the job's output, which it
// would keep open.
constexpr std::string_view kTimer = R"bash(
(
  exec >/dev/null 2>&1
  while [ "$SECONDS" -lt "$end" ]; do
    left=$((end - SECONDS))
    sleep $((left < 10 ? left : 10))
  done
  kill -USR1 $$
) &
timer=$!
)bash";

void Replace(std::string* text, std::string_view what, std::string_view with) {
  for (std::size_t at = text->find(what); at != std::string::npos;
       at = text->find(what, at + with.size())) {
    text->replace(at, what.size(), with);
  }
}

std::string CommandLine(const JobSpec& spec) {
  std::string line;
  for (const std::string& argument : spec.command) {
    line += (line.empty() ? "" : " ") + ShellQuote(argument);
  }
  return line;
}

// The shell that becomes the command. It is one of its own, so that no option, trap or variable of
// the site's lines reaches the rest of the script.
std::string CommandShell(const JobSpec& spec) {
  std::string shell = "(\n";
  for (const auto& [name, value] : spec.environment) {
    shell += "  export " + name + "=" + ShellQuote(value) + "\n";
  }
  if (!spec.prologue.empty()) {
    std::string around(kPrologue);
    Replace(&around, "@SETUP@", std::to_string(kSetupFailedExit));
    shell += around;
    for (const std::string& line : spec.prologue) shell += line + "\n";
    shell += "  trap - ERR\n";
  }
  shell += "  cd " + ShellQuote(spec.working_directory) + " || exit 1\n";
  return shell + "  exec " + CommandLine(spec) + "\n";
}

// "42 1763700000": numbers, as many as asked for; false when the text holds anything else.
bool ReadNumbers(std::string_view text, std::span<std::int64_t> numbers) {
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  for (std::int64_t& number : numbers) {
    while (at != end && *at == ' ') ++at;
    const auto [next, error] = std::from_chars(at, end, number);
    if (error != std::errc()) return false;
    at = next;
  }
  return true;
}

Timestamp FromSeconds(std::int64_t seconds) {
  return Timestamp(std::chrono::duration_cast<Timestamp::duration>(std::chrono::seconds(seconds)));
}

}  // namespace

std::string ShellQuote(std::string_view text) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,@%+";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string_view::npos) {
    return std::string(text);
  }
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

std::string RenderJobScript(const JobSpec& spec, const ScriptHead& head) {
  // `module` and the like are defined by the profile.
  std::string script = spec.prologue.empty() ? "#!/bin/bash\n" : "#!/bin/bash -l\n";
  for (const std::string& line : head.directives) script += line + "\n";
  script += "# Job " + spec.name + ". Written by tributary-client for one submission.\n";
  script += "marks=" + ShellQuote(MarksDirectory(spec.working_directory, spec.name));
  std::string opening(kOpening);
  Replace(&opening, "@JOB_ID@", head.job_id_variable);
  Replace(&opening, "@SUFFIX@", head.job_id_suffix);
  Replace(&opening, "@CLAIMED@", std::to_string(kClaimedExit));
  script += opening;
  for (const std::string& line : head.opening) script += line + "\n";
  std::string warning(kWarning);
  Replace(&warning, "@SIGNAL@", std::to_string(spec.warning_signal));
  Replace(&warning, "@WALLTIME@", std::to_string(spec.walltime.count()));
  script += warning + "\n" + CommandShell(spec);
  std::string closing(kClosing);
  const bool timer = head.own_timer && spec.warning_before.count() > 0;
  const auto after = spec.walltime - spec.warning_before;
  Replace(&closing, "@TIMER@\n",
          timer ? "end=$((SECONDS + " + std::to_string(after.count()) + "))\n" + std::string(kTimer)
                : std::string());
  Replace(&closing, "@END_TIMER@", timer ? "kill \"$timer\" 2>/dev/null\n" : "");
  return script + closing;
}

JobMarks ReadJobMarks(const std::string& working_directory, std::string_view name) {
  constexpr std::size_t kMostBytes = std::size_t{64} << 10;
  const std::string directory = MarksDirectory(working_directory, name);
  JobMarks marks;
  if (const auto claim = ReadFile(directory + "/claim", kMostBytes); claim.ok()) {
    marks.claimed_by = claim->substr(0, claim->find('\n'));
  }
  if (const auto starts = ReadFile(directory + "/starts", kMostBytes); starts.ok()) {
    std::size_t begin = 0;
    for (std::size_t end = starts->find('\n'); end != std::string::npos;
         begin = end + 1, end = starts->find('\n', begin)) {
      std::int64_t at = 0;
      if (!ReadNumbers(std::string_view(*starts).substr(begin, end - begin), {&at, 1})) continue;
      ++marks.starts;
      marks.started = FromSeconds(at);
    }
  }
  if (const auto ended = ReadFile(directory + "/ended", kMostBytes); ended.ok()) {
    std::int64_t numbers[2];
    if (ReadNumbers(*ended, numbers)) {
      marks.exit_code = static_cast<int>(numbers[0]);
      marks.ended = FromSeconds(numbers[1]);
    }
  }
  if (const auto told = ReadFile(directory + "/told", kMostBytes); told.ok()) {
    std::int64_t numbers[3];
    if (ReadNumbers(*told, numbers)) {
      marks.told = FromSeconds(numbers[0]);
      marks.ran_until_told = std::chrono::seconds(numbers[1]);
      marks.walltime = std::chrono::seconds(numbers[2]);
    }
  }
  return marks;
}

}  // namespace tributary::scheduler_adapters
