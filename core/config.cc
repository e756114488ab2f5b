#include "core/config.h"

#include <algorithm>

#include "core/config_document.h"
#include "core/config_problem.h"
#include "core/config_scalar.h"
#include "core/files.h"

namespace tributary::config_internal {
namespace {

struct Problem {
  int line;
  std::string text;
};

std::string ChildPath(const std::string& path, std::string_view key) {
  return path.empty() ? std::string(key) : path + "." + std::string(key);
}

std::string Describe(const YamlValue& value, bool secret) {
  if (std::holds_alternative<YamlNull>(value.value)) return "nothing";
  if (std::holds_alternative<YamlList>(value.value)) return "a list";
  if (std::holds_alternative<YamlMap>(value.value)) return "a map";
  const YamlScalar& scalar = std::get<YamlScalar>(value.value);
  if (secret) return "a value that is not shown";
  return (scalar.quoted ? "text \"" : "\"") + Excerpt(scalar.text) + "\"";
}

const YamlEntry* FindEntry(const YamlValue& value, std::string_view key) {
  const auto* map = std::get_if<YamlMap>(&value.value);
  if (map == nullptr) return nullptr;
  const auto it =
      std::find_if(map->begin(), map->end(), [&](const YamlEntry& e) { return e.key == key; });
  return it == map->end() ? nullptr : &*it;
}

// Of the deepest part of the path "adapter.site_ranks" that is there; 0: not even the first.
int LineOf(const YamlValue& value, std::string_view path) {
  const YamlEntry* entry = FindEntry(value, path.substr(0, path.find('.')));
  if (entry == nullptr) return 0;
  const std::size_t dot = path.find('.');
  const int deeper = dot == path.npos ? 0 : LineOf(entry->value, path.substr(dot + 1));
  return deeper > 0 ? deeper : entry->key_line;
}

// Walks a described struct and its document together.
class Loader {
 public:
  explicit Loader(std::string_view name) : name_(name) {}

  void Load(const std::string& path, const YamlValue& value, const Node& node,
            const FieldOptions& options);
  void LoadStruct(const std::string& path, const YamlValue& value, const StructRef& ref);
  void Add(int line, const std::string& path, std::string_view problem);
  Status Finish() &&;

 private:
  class FieldLoader;
  class Checker;

  void LoadList(const std::string& path, const YamlValue& value, const ListRef& ref,
                const FieldOptions& options);
  void LoadMap(const std::string& path, const YamlValue& value, const MapRef& ref,
               const FieldOptions& options);
  void LoadOptional(const std::string& path, const YamlValue& value, const OptionalRef& ref,
                    const FieldOptions& options);
  void LoadScalar(const std::string& path, const YamlValue& value, const Node& node,
                  const FieldOptions& options);
  void ReportDuplicates(const std::string& path, const YamlMap& map);
  void ReportUnknown(const std::string& path, const YamlMap& map,
                     const std::vector<std::string>& known);

  std::string name_;
  std::vector<Problem> problems_;
};

class Loader::FieldLoader final : public ConfigVisitor {
 public:
  FieldLoader(Loader& loader, const std::string& path, const YamlValue& value)
      : loader_(loader), path_(path), value_(value) {}

  const std::vector<std::string>& known() const { return known_; }

 private:
  void Visit(std::string_view key, const Node& node, const FieldOptions& options) override {
    known_.emplace_back(key);
    const std::string path = ChildPath(path_, key);
    if (const YamlEntry* entry = FindEntry(value_, key)) {
      loader_.Load(path, entry->value, node, options);
    } else if (options.required) {
      loader_.Add(value_.line, path, "is missing, and required");
    } else if (const auto* nested = std::get_if<StructRef>(&node.ref)) {
      loader_.LoadStruct(path, YamlValue{value_.line, YamlNull{}}, *nested);
    }
  }

  Loader& loader_;
  const std::string& path_;
  const YamlValue& value_;
  std::vector<std::string> known_;
};

class Loader::Checker final : public ConfigProblems {
 public:
  Checker(Loader& loader, const std::string& path, const YamlValue& value)
      : loader_(loader), path_(path), value_(value) {}

  void Add(std::string_view key, std::string problem) override {
    const int line = LineOf(value_, key);
    loader_.Add(line > 0 ? line : value_.line, key.empty() ? path_ : ChildPath(path_, key),
                problem);
  }

 private:
  Loader& loader_;
  const std::string& path_;
  const YamlValue& value_;
};

void Loader::Add(int line, const std::string& path, std::string_view problem) {
  std::string text = Excerpt(path, 200);
  if (!text.empty()) text += ": ";
  problems_.push_back({line, text.append(problem)});
}

Status Loader::Finish() && {
  if (problems_.empty()) return OkStatus();
  std::stable_sort(problems_.begin(), problems_.end(),
                   [](const Problem& a, const Problem& b) { return a.line < b.line; });
  std::string message;
  for (const Problem& problem : problems_) {
    if (!message.empty()) message += '\n';
    message.append(name_).append(":").append(std::to_string(problem.line)).append(": ");
    message += problem.text;
  }
  return InvalidArgumentError(std::move(message));
}

void Loader::Load(const std::string& path, const YamlValue& value, const Node& node,
                  const FieldOptions& options) {
  if (const auto* ref = std::get_if<StructRef>(&node.ref)) return LoadStruct(path, value, *ref);
  if (const auto* ref = std::get_if<ListRef>(&node.ref))
    return LoadList(path, value, *ref, options);
  if (const auto* ref = std::get_if<MapRef>(&node.ref)) return LoadMap(path, value, *ref, options);
  if (const auto* ref = std::get_if<OptionalRef>(&node.ref)) {
    return LoadOptional(path, value, *ref, options);
  }
  LoadScalar(path, value, node, options);
}

void Loader::LoadStruct(const std::string& path, const YamlValue& value, const StructRef& ref) {
  static const YamlMap kEmpty;
  const auto* map = std::get_if<YamlMap>(&value.value);
  if (map == nullptr && !std::holds_alternative<YamlNull>(value.value)) {
    return Add(value.line, path, "must be a map, got " + config_internal::Describe(value, true));
  }
  if (map == nullptr) map = &kEmpty;
  const std::size_t problems_before = problems_.size();
  ReportDuplicates(path, *map);
  FieldLoader fields(*this, path, value);
  ref.describe(ref.object, fields);
  ReportUnknown(path, *map, fields.known());
  if (problems_.size() > problems_before) return;  // Check() would judge values that were not read
  Checker checker(*this, path, value);
  ref.check(ref.object, checker);
}

void Loader::LoadList(const std::string& path, const YamlValue& value, const ListRef& ref,
                      const FieldOptions& options) {
  static const YamlList kEmpty;
  const auto* list = std::get_if<YamlList>(&value.value);
  if (list == nullptr && !std::holds_alternative<YamlNull>(value.value)) {
    return Add(value.line, path,
               "must be a list, got " + config_internal::Describe(value, options.secret));
  }
  if (list == nullptr) list = &kEmpty;
  if (options.non_empty && list->empty()) return Add(value.line, path, "must not be empty");
  ref.clear(ref.object);
  for (std::size_t i = 0; i < list->size(); ++i) {
    Load(path + "[" + std::to_string(i) + "]", (*list)[i], ref.append(ref.object), options);
  }
}

void Loader::LoadMap(const std::string& path, const YamlValue& value, const MapRef& ref,
                     const FieldOptions& options) {
  static const YamlMap kEmpty;
  const auto* map = std::get_if<YamlMap>(&value.value);
  if (map == nullptr && !std::holds_alternative<YamlNull>(value.value)) {
    return Add(value.line, path,
               "must be a map, got " + config_internal::Describe(value, options.secret));
  }
  if (map == nullptr) map = &kEmpty;
  if (options.non_empty && map->empty()) return Add(value.line, path, "must not be empty");
  ReportDuplicates(path, *map);
  ref.clear(ref.object);
  for (const YamlEntry& entry : *map) {
    if (entry.key.empty()) {
      Add(entry.key_line, path, "has an empty key");
      continue;
    }
    Load(ChildPath(path, entry.key), entry.value, ref.insert(ref.object, entry.key), options);
  }
}

void Loader::LoadOptional(const std::string& path, const YamlValue& value, const OptionalRef& ref,
                          const FieldOptions& options) {
  ref.reset(ref.object);
  if (std::holds_alternative<YamlNull>(value.value)) return;
  Load(path, value, ref.emplace(ref.object), options);
}

void Loader::LoadScalar(const std::string& path, const YamlValue& value, const Node& node,
                        const FieldOptions& options) {
  const auto* scalar = std::get_if<YamlScalar>(&value.value);
  if (scalar == nullptr) {
    return Add(value.line, path,
               "must be a single value, got " + config_internal::Describe(value, true));
  }
  std::string problem = ReadScalar(*scalar, node);
  if (problem.empty()) problem = CheckLimits(*scalar, node, options);
  if (!problem.empty()) Add(value.line, path, problem);
}

void Loader::ReportDuplicates(const std::string& path, const YamlMap& map) {
  std::map<std::string_view, int> first_line;
  for (const YamlEntry& entry : map) {
    const auto [it, is_new] = first_line.emplace(entry.key, entry.key_line);
    if (is_new) continue;
    Add(entry.key_line, ChildPath(path, Excerpt(entry.key)),
        "duplicate key; first on line " + std::to_string(it->second));
  }
}

void Loader::ReportUnknown(const std::string& path, const YamlMap& map,
                           const std::vector<std::string>& known) {
  for (const YamlEntry& entry : map) {
    if (std::find(known.begin(), known.end(), entry.key) != known.end()) continue;
    std::string problem = "unknown key";
    if (const auto nearest = NearestName(entry.key, known)) {
      problem += "; did you mean \"" + *nearest + "\"?";
    } else {
      for (std::size_t i = 0; i < known.size(); ++i) {
        problem.append(i == 0 ? "; known keys: " : ", ").append(known[i]);
      }
    }
    Add(entry.key_line, ChildPath(path, Excerpt(entry.key)), problem);
  }
}

}  // namespace

Status Load(std::string_view text, std::string_view name, const Node& root) {
  TRIBUTARY_ASSIGN_OR_RETURN(const YamlValue document, ParseYamlDocument(text, name));
  Loader loader(name);
  loader.Load("", document, root, {});
  return std::move(loader).Finish();
}

Status LoadRecorded(std::string_view text, const Node& root) {
  TRIBUTARY_ASSIGN_OR_RETURN(const YamlValue document, ParseYamlDocument(text, "recorded"));
  Loader loader("recorded");
  loader.Load("", document, root, {});
  return OkStatus();  // whatever is wrong with it by today's rules
}

Status LoadFile(const std::string& path, std::string* text) {
  TRIBUTARY_ASSIGN_OR_RETURN(*text, ReadFile(path, kMaxDocumentBytes));
  return OkStatus();
}

}  // namespace tributary::config_internal

namespace tributary {

Status AtLine(std::string_view yaml, std::string_view name, const Status& problem) {
  if (problem.ok()) return problem;
  const auto document = config_internal::ParseYamlDocument(yaml, name);
  const std::string& message = problem.message();
  std::string path;
  int line = 0;
  for (std::size_t at = 0; document.ok();) {
    const std::size_t end = message.find(": ", at);
    if (end == message.npos) break;
    path += (path.empty() ? "" : ".") + message.substr(at, end - at);
    const int deeper = config_internal::LineOf(*document, path);
    if (deeper == 0) break;
    line = deeper;
    at = end + 2;
  }
  const std::string where = line > 0 ? ":" + std::to_string(line) : "";
  return {problem.code(), std::string(name) + where + ": " + message};
}

}  // namespace tributary
