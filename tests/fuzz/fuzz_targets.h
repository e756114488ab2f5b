// Every parser of bytes that we did not write, as a function over arbitrary bytes. A function
// returns when the bytes were handled as they must be, parsed or refused; it aborts, with the
// reason on standard error, when a promise was broken.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tributary {

struct FuzzTarget {
  std::string_view name;
  void (*run)(std::string_view bytes);
  std::vector<std::string> (*seeds)();  // small, valid and nearly valid inputs
};

std::span<const FuzzTarget> FuzzTargets();

// Null when unknown.
const FuzzTarget* FindFuzzTarget(std::string_view name);

// Aborts with the reason unless `promise` holds.
void Require(bool promise, std::string_view what);

void FuzzAssignment(std::string_view bytes);
void FuzzJson(std::string_view bytes);
void FuzzPbs(std::string_view bytes);
void FuzzSafetensors(std::string_view bytes);
void FuzzSiteMessage(std::string_view bytes);
void FuzzSlurm(std::string_view bytes);
void FuzzStatement(std::string_view bytes);
void FuzzTokenizer(std::string_view bytes);
void FuzzYaml(std::string_view bytes);
std::vector<std::string> AssignmentSeeds();
std::vector<std::string> JsonSeeds();
std::vector<std::string> PbsSeeds();
std::vector<std::string> SafetensorsSeeds();
std::vector<std::string> SiteMessageSeeds();
std::vector<std::string> SlurmSeeds();
std::vector<std::string> StatementSeeds();
std::vector<std::string> TokenizerSeeds();
std::vector<std::string> YamlSeeds();

}  // namespace tributary
