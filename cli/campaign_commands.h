// submit, validate, list, show, pause, resume, cancel, start, drop, change, export, audit. Each
// returns an exit code (output.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/session.h"
#include "core/status.h"

namespace tributary::cli {

// Validates and submits the campaign file; the campaign's id. What is allowed, and probably not
// meant, is told in `warnings` (may be null).
Result<std::string> SubmitFile(const GlobalOptions& options, const std::string& path,
                               std::vector<std::string>* warnings = nullptr);

struct ExportOptions {
  std::string campaign;
  std::string directory;
  std::int64_t version = -1;  // -1: the newest
  std::string
      base_model;  // base_model_name_or_path of adapter_config.json; empty: the model's name
  bool overwrite = false;  // an adapter that is there already
};
struct ExportedVersion {
  std::int64_t number = 0;
  bool shared_part_only = false;  // the rest of each site's model stays there: no model by itself
};
// Writes adapter_model.safetensors and adapter_config.json, as PEFT loads them.
Result<ExportedVersion> ExportAdapter(const GlobalOptions& options, const ExportOptions& what);

int SubmitCommand(const GlobalOptions& options, const std::string& path);
int ValidateCommand(const GlobalOptions& options, const std::string& path);
int ListCommand(const GlobalOptions& options);
struct ShowOptions {
  std::string campaign;
  std::string
      rounds;  // "3", "3..20", "3..", "..20"; empty: the newest, as many as one answer takes
};
int ShowCommand(const GlobalOptions& options, const ShowOptions& what);
int PauseCommand(const GlobalOptions& options, const std::string& campaign);
struct ResumeOptions {
  std::string campaign;
  std::vector<std::string> without;  // sites that are left out of the open round
  bool again = false;                // its updates are asked for once more
};
int ResumeCommand(const GlobalOptions& options, const ResumeOptions& what);
struct ChangeOptions {
  std::string campaign;
  std::int64_t rounds = 0;         // 0: as they are
  std::string deadline;            // "2h"; empty: as it is
  std::vector<std::string> sites;  // to drop
};
int StartCommand(const GlobalOptions& options, const std::string& campaign);
int DropCommand(const GlobalOptions& options, const ChangeOptions& what);
int ChangeCommand(const GlobalOptions& options, const ChangeOptions& what);
int CancelCommand(const GlobalOptions& options, const std::string& campaign);
int ExportCommand(const GlobalOptions& options, const ExportOptions& what);
int AuditCommand(const GlobalOptions& options, const std::string& campaign);

}  // namespace tributary::cli
