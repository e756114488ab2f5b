#!/usr/bin/env bash
# steps_test.sh SOURCE_DIR: deploy/steps.sh shows how far a command is, and says first what went wrong.
set -euo pipefail
source=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat >script.sh <<END
set -euo pipefail
. "$source/deploy/steps.sh"
eval "\$1"
END
failures=0
# expect TEXT: in the output of the last script.
expect() {
  if ! grep -qF -- "$1" out; then
    echo "missing: $1"
    sed 's/^/  | /' out
    failures=$((failures + 1))
  fi
}
# script BODY STATUS
script() {
  local status=0
  bash script.sh "$1" >out 2>&1 || status=$?
  [ "$status" = "$2" ] || { echo "exit code $status instead of $2: $1"; failures=$((failures + 1)); }
}
# progress TEXT...: lines of a log.
progress() { printf '%s\n' "$@" >log; script 'progress_in log' 0; }

progress '[1/290] Building a' '[137/290] Building b'
expect '137 290 [137/290]'
progress '      Start 12: x' ' 12/140 Test  #12: x ....   Passed'
expect '12 140 test 12 of 140'
progress 'dlstatus:3:41.7:Retrieving file 3 of 9'
expect '41.7 100 downloading, 41 %'
progress 'pmstatus:libtorch:85.3:Unpacking libtorch'
expect '85.3 100 installing, 85 %'

cat >ninja.log <<END
[1/3] Building a
FAILED: core/b.o
/usr/bin/c++ a very long command
b.cc:3: error: no such thing
[2/3] Building c
ninja: build stopped: subcommand failed.
END
script 'run build/logs/build.log bash -c "cat ninja.log; exit 3"' 1
expect 'b.cc:3: error: no such thing'
expect '(exit code 3); its whole output is in build/logs/build.log'
if grep -q 'a very long command\|Building c' out; then echo 'the failure is buried:'; cat out; failures=$((failures + 1)); fi
[ "$(head -n 1 out)" = 'FAILED: core/b.o' ] || { echo 'the failure does not come first:'; cat out; failures=$((failures + 1)); }

script 'run build/logs/a.log bash -c "echo pmstatus:x:1:y; echo E: Unable to locate package nosuch; exit 100"' 1
expect 'E: Unable to locate package nosuch'
script 'run build/logs/a.log bash -c "echo CMake Error at x.cmake:1; echo; echo   no such package; exit 1"' 1
expect 'no such package'

cat >ctest.log <<END
      Start  1: core_tests
1/2 Test #1: core_tests .....***Failed    0.10 sec
files_test.cc:3: Failure
      Start  2: cli_tests
2/2 Test #2: cli_tests ......   Passed    0.10 sec

50% tests passed, 1 tests failed out of 2

The following tests FAILED:
	  1 - core_tests (Failed)
END
script 'run build/logs/tests.log bash -c "cat ctest.log; exit 8"' 1
expect 'files_test.cc:3: Failure'
expect '1 - core_tests (Failed)'
if grep -q 'cli_tests ......' out; then echo 'what passed is told:'; cat out; failures=$((failures + 1)); fi

script 'step one; run build/logs/a.log true; step two; time_table' 0
expect '0:00  one'
expect '0:00  two'
expect 'in all;'
exit $((failures > 0))
