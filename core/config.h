// Strict YAML into plain structs. One description per struct serves loading, printing, defaults and
// documentation:
//
//   struct Rounds {
//     std::int64_t quorum = 2;
//     std::chrono::seconds deadline{600};
//     void Describe(ConfigVisitor& v) {
//       v.Field("quorum", &quorum, {.doc = "updates that close a round", .min = 1, .max = 1000});
//       v.Field("deadline", &deadline, {.doc = "latest close of a round", .min = 1});
//     }
//     void Check(ConfigProblems& problems) const;  // optional: what one field alone cannot say
//   };
//
// A field may be std::string, bool, int, std::int64_t, std::uint64_t, double, std::chrono::seconds
// or milliseconds ("90s", "10m", "2h", "1d", "250ms"), ByteSize ("64MiB", "10GB", "512B"), another
// such struct, or std::vector<F>, std::map<std::string, F>, std::optional<F> of these. The initial
// values of the members are the defaults.
//
// Refused, all problems of a file at once, each as "<name>:<line>: <key path>: <problem>": unknown
// keys, duplicate keys, wrong types, values out of range, missing required keys, anchors, aliases,
// tags, a second document, text that is not UTF-8, more than 1 MiB, nesting deeper than 32. An
// empty document is an empty map.
//
// Functions here may be called from any thread on different objects.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "core/status.h"
#include "core/text.h"

namespace tributary {

// A number of bytes, written with a unit: B, kB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB
// (powers of 1024).
struct ByteSize {
  std::uint64_t bytes = 0;
  friend bool operator==(const ByteSize&, const ByteSize&) = default;
};

// What is asked of a field beyond its type. Limits of a list, map or optional apply to each of its
// values.
struct FieldOptions {
  std::string doc = {};            // one line
  bool required = false;           // the key must be there
  bool secret = false;             // text that is never printed, nor quoted in an error
  bool non_empty = false;          // text, list or map must not be empty
  std::optional<double> min = {};  // numbers; durations in seconds; sizes in bytes
  std::optional<double> max = {};
  std::vector<std::string> one_of = {};  // texts
};

// Collects what Check() finds in one struct.
class ConfigProblems {
 public:
  virtual ~ConfigProblems() = default;
  // `key` is a field of the checked struct ("quorum", "" for the struct itself); the line reported
  // is where the file has it, or where the struct starts. `problem` continues "<key>: ", e.g. "is
  // 5; must be at most sites.max (3)".
  virtual void Add(std::string_view key, std::string problem) = 0;
};

class ConfigVisitor;

namespace config_internal {

struct Node;

// References to values with their types erased, so that the parser stays out of this header.
struct StructRef {
  void* object;
  void (*describe)(void*, ConfigVisitor&);
  void (*check)(const void*, ConfigProblems&);
};
struct ListRef {
  void* object;
  void (*clear)(void*);
  std::size_t (*size)(const void*);
  Node (*append)(void*);
  Node (*at)(void*, std::size_t);
};
struct MapRef {
  void* object;
  void (*clear)(void*);
  Node (*insert)(void*, const std::string&);
  std::vector<std::pair<std::string, Node>> (*entries)(void*);
};
struct OptionalRef {
  void* object;
  void (*reset)(void*);
  Node (*emplace)(void*);
  bool (*has_value)(const void*);
  Node (*get)(void*);
};
struct Node {
  std::variant<std::string*, bool*, int*, std::int64_t*, std::uint64_t*, double*,
               std::chrono::seconds*, std::chrono::milliseconds*, ByteSize*, StructRef, ListRef,
               MapRef, OptionalRef>
      ref;
};

template <typename T>
Node MakeNode(T* value);

Status Load(std::string_view text, std::string_view name, const Node& root);
Status LoadRecorded(std::string_view text, const Node& root);
Status LoadFile(const std::string& path, std::string* text);
std::string Print(const Node& root, bool with_docs);

}  // namespace config_internal

// Receives the description of a struct, one field after the other.
class ConfigVisitor {
 public:
  virtual ~ConfigVisitor() = default;

  template <typename T>
  void Field(std::string_view key, T* value, const FieldOptions& options = {}) {
    Visit(key, config_internal::MakeNode(value), options);
  }

 private:
  virtual void Visit(std::string_view key, const config_internal::Node& value,
                     const FieldOptions& options) = 0;
};

// Values that the text does not name keep what they have in `*out`. On error `*out` is unchanged,
// and the message holds one problem a line, in the order of the file.
template <typename T>
Status LoadYaml(std::string_view text, std::string_view name_for_errors, T* out) {
  T loaded = *out;
  TRIBUTARY_RETURN_IF_ERROR(
      config_internal::Load(text, name_for_errors, config_internal::MakeNode(&loaded)));
  *out = std::move(loaded);
  return OkStatus();
}

// Of text that LoadYaml() took once, perhaps in an earlier version of the program, and that was
// kept since: a key that is no longer known is passed over, a value that would not be taken any
// more is taken as it stands, what is missing keeps its default. Fails only for what is no YAML.
template <typename T>
Status LoadRecordedYaml(std::string_view text, T* out) {
  T loaded = *out;
  TRIBUTARY_RETURN_IF_ERROR(
      config_internal::LoadRecorded(text, config_internal::MakeNode(&loaded)));
  *out = std::move(loaded);
  return OkStatus();
}

template <typename T>
Status LoadYamlFile(const std::string& path, T* out) {
  std::string text;
  TRIBUTARY_RETURN_IF_ERROR(config_internal::LoadFile(path, &text));
  return LoadYaml(text, path, out);
}

// The effective configuration: every field, in the order described, secrets as "<hidden>" unless
// empty. LoadYaml accepts it. `with_docs` puts each field's doc above it as a comment.
template <typename T>
std::string PrintYaml(const T& value, bool with_docs = false) {
  T copy = value;
  return config_internal::Print(config_internal::MakeNode(&copy), with_docs);
}

// A text as a value or key of YAML, in quotes where it needs them.
std::string YamlText(std::string_view text);

// "64MiB", "90s": as the loader reads them, in the largest unit that divides the value.
std::string FormatByteSize(ByteSize size);
std::string FormatDuration(std::chrono::milliseconds duration);
Result<ByteSize> ParseByteSize(std::string_view text);
Result<std::chrono::milliseconds> ParseDuration(std::string_view text);

namespace config_internal {

template <typename T>
struct MakeRef {
  static Node Make(T* value) {
    if constexpr (requires(T t, ConfigVisitor & v) { t.Describe(v); }) {
      return {StructRef{value, [](void* o, ConfigVisitor& v) { static_cast<T*>(o)->Describe(v); },
                        &Check}};
    } else {
      return {value};  // a type that is no field does not compile here
    }
  }
  static void Check(const void* object, ConfigProblems& problems) {
    if constexpr (requires(const T& t, ConfigProblems& p) { t.Check(p); }) {
      static_cast<const T*>(object)->Check(problems);
    }
  }
};

template <typename F>
struct MakeRef<std::vector<F>> {
  using List = std::vector<F>;
  static Node Make(List* value) {
    return {ListRef{value, [](void* o) { static_cast<List*>(o)->clear(); },
                    [](const void* o) { return static_cast<const List*>(o)->size(); },
                    [](void* o) { return MakeNode(&static_cast<List*>(o)->emplace_back()); },
                    [](void* o, std::size_t i) { return MakeNode(&(*static_cast<List*>(o))[i]); }}};
  }
};

template <typename F>
struct MakeRef<std::map<std::string, F>> {
  using Map = std::map<std::string, F>;
  static Node Make(Map* value) {
    return {MapRef{
        value, [](void* o) { static_cast<Map*>(o)->clear(); },
        [](void* o, const std::string& key) { return MakeNode(&(*static_cast<Map*>(o))[key]); },
        [](void* o) {
          std::vector<std::pair<std::string, Node>> entries;
          for (auto& [key, entry] : *static_cast<Map*>(o)) {
            entries.emplace_back(key, MakeNode(&entry));
          }
          return entries;
        }}};
  }
};

template <typename F>
struct MakeRef<std::optional<F>> {
  using Optional = std::optional<F>;
  static Node Make(Optional* value) {
    return {OptionalRef{value, [](void* o) { static_cast<Optional*>(o)->reset(); },
                        [](void* o) { return MakeNode(&static_cast<Optional*>(o)->emplace()); },
                        [](const void* o) { return static_cast<const Optional*>(o)->has_value(); },
                        [](void* o) { return MakeNode(&**static_cast<Optional*>(o)); }}};
  }
};

template <typename T>
Node MakeNode(T* value) {
  return MakeRef<T>::Make(value);
}

}  // namespace config_internal
}  // namespace tributary
