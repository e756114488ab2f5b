#include "trainer/tokenizer_config.h"

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "core/json.h"
#include "core/text.h"

namespace tributary::trainer {
namespace {

using nlohmann::json;

// A token is "<s>", or {"content": "<s>", ...}; null: there is none.
Status ReadToken(const json& object, const char* key,
                 const std::function<std::optional<std::int32_t>(std::string_view)>& find,
                 std::optional<std::int32_t>* token) {
  const auto it = object.find(key);
  if (it == object.end()) return OkStatus();
  *token = std::nullopt;
  if (it->is_null()) return OkStatus();
  const json content = it->is_object() ? it->value("content", json()) : *it;
  const std::string where = std::string("tokenizer_config.json: ") + key + ": ";
  if (!content.is_string()) return InvalidArgumentError(where + "must be a token");
  *token = find(content.get<std::string>());
  if (*token) return OkStatus();
  return InvalidArgumentError(where + "\"" + Excerpt(content.get<std::string>()) +
                              "\" is no token of the tokenizer");
}

Status ReadFlag(const json& object, const char* key, bool* flag) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return OkStatus();
  if (!it->is_boolean()) {
    return InvalidArgumentError(std::string("tokenizer_config.json: ") + key +
                                ": must be true or false");
  }
  *flag = it->get<bool>();
  return OkStatus();
}

// Of transformers' classes over tokenizer.json only these look at add_bos_token and add_eos_token,
// and put a BOS before a text unless told otherwise, whatever the post-processor says. For the
// others the post-processor alone decides. Files that name no class are of some other program,
// which means what it writes.
enum class AddFlags : std::uint8_t { kIgnored, kRead, kReadWithBos };

AddFlags FlagsOf(const json& object) {
  static const std::set<std::string, std::less<>> classes = {"LlamaTokenizer", "CodeLlamaTokenizer",
                                                             "GemmaTokenizer", "CohereTokenizer"};
  const json name = object.value("tokenizer_class", json());
  if (!name.is_string()) return AddFlags::kRead;
  constexpr std::string_view kFast = "Fast";
  std::string_view text = name.get_ref<const std::string&>();
  if (text.ends_with(kFast)) text.remove_suffix(kFast.size());
  return classes.contains(text) ? AddFlags::kReadWithBos : AddFlags::kIgnored;
}

}  // namespace

Result<SpecialTokens> ReadTokenizerConfig(
    std::string_view text, SpecialTokens defaults,
    const std::function<std::optional<std::int32_t>(std::string_view)>& find) {
  TRIBUTARY_ASSIGN_OR_RETURN(const json object, ParseJson(text, "tokenizer_config.json"));
  if (!object.is_object()) return InvalidArgumentError("tokenizer_config.json: must be an object");
  SpecialTokens special = defaults;
  TRIBUTARY_RETURN_IF_ERROR(ReadToken(object, "bos_token", find, &special.bos));
  TRIBUTARY_RETURN_IF_ERROR(ReadToken(object, "eos_token", find, &special.eos));
  const AddFlags flags = FlagsOf(object);
  if (flags == AddFlags::kReadWithBos) {
    special.add_bos = true;
    special.add_eos = false;
  }
  if (flags != AddFlags::kIgnored) {
    TRIBUTARY_RETURN_IF_ERROR(ReadFlag(object, "add_bos_token", &special.add_bos));
    TRIBUTARY_RETURN_IF_ERROR(ReadFlag(object, "add_eos_token", &special.add_eos));
  }
  if (!special.bos) special.add_bos = false;
  if (!special.eos) special.add_eos = false;
  special.has_chat_template =
      object.contains("chat_template") && !object["chat_template"].is_null();
  return special;
}

}  // namespace tributary::trainer
