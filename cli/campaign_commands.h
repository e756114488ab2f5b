// submit, validate, list, show, pause, resume, cancel, export, audit. Each returns an exit code
// (output.h).
#pragma once

#include <string>

#include "cli/session.h"
#include "core/status.h"

namespace tributary::cli {

// Validates and submits the campaign file; the campaign's id.
Result<std::string> SubmitFile(const GlobalOptions& options, const std::string& path);

struct ExportOptions {
  std::string campaign;
  std::string directory;
  std::int64_t version = -1;  // -1: the newest
  std::string
      base_model;  // base_model_name_or_path of adapter_config.json; empty: the model's name
};
// Writes adapter_model.safetensors and adapter_config.json, as PEFT loads them; the version
// exported.
Result<std::int64_t> ExportAdapter(const GlobalOptions& options, const ExportOptions& what);

int SubmitCommand(const GlobalOptions& options, const std::string& path);
int ValidateCommand(const GlobalOptions& options, const std::string& path);
int ListCommand(const GlobalOptions& options);
int ShowCommand(const GlobalOptions& options, const std::string& campaign);
int PauseCommand(const GlobalOptions& options, const std::string& campaign);
int ResumeCommand(const GlobalOptions& options, const std::string& campaign);
int CancelCommand(const GlobalOptions& options, const std::string& campaign);
int ExportCommand(const GlobalOptions& options, const ExportOptions& what);
int AuditCommand(const GlobalOptions& options, const std::string& campaign);

}  // namespace tributary::cli
