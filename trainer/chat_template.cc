#include "trainer/chat_template.h"

#include <array>

#include "core/text.h"

namespace tributary::trainer {

// In wordings {eos} stands for the model's end of a text; tokens stand by their spelling.
struct ChatTemplate {
  struct Turn {
    std::string_view before, after;
  };
  enum class Bos : std::uint8_t { kNever, kAlways, kAsForText };

  std::string_view name;
  std::vector<std::string_view> tokens;         // placed by id; a tokenizer must have them
  std::vector<std::string_view> optional = {};  // by id where the tokenizer has them, else as text
  Bos bos = Bos::kNever;
  std::string_view opening;    // what stands first where there is no system message
  std::optional<Turn> system;  // none: `folded` goes around it, in front of the user's first text
  Turn folded;
  Turn user;
  std::string_view answer;   // what comes before an answer, without loss
  std::string_view lead;     // in front of the answer's text, part of it
  std::string_view end;      // behind it, with loss
  std::string_view tail;     // behind that, without
  bool trim = false;         // white space around contents is left out
  bool trim_folded = false;  // around a folded message and the user's together, not between them
};

namespace {

using Bos = ChatTemplate::Bos;

constexpr std::string_view kAlpacaOpening =
    "Below is an instruction that describes a task. Write a response that appropriately completes "
    "the request.\n\n";
constexpr std::string_view kAlpacaOpeningWithInput =
    "Below is an instruction that describes a task, paired with an input that provides further "
    "context. Write a response that appropriately completes the request.\n\n";

const std::vector<ChatTemplate>& Table() {
  static const std::vector<ChatTemplate> kTable = {
      {.name = "alpaca",
       .tokens = {},
       .bos = Bos::kAsForText,
       .opening = kAlpacaOpening,
       .system = {{"", "\n\n"}},
       .folded = {},
       .user = {"### Instruction:\n", "\n\n"},
       .answer = "### Response:\n",
       .lead = "",
       .end = "{eos}",
       .tail = ""},
      {.name = "chatml",
       .tokens = {"<|im_start|>", "<|im_end|>"},
       .opening = "",
       .system = {{"<|im_start|>system\n", "<|im_end|>\n"}},
       .folded = {},
       .user = {"<|im_start|>user\n", "<|im_end|>\n"},
       .answer = "<|im_start|>assistant\n",
       .lead = "",
       .end = "<|im_end|>",
       .tail = "\n"},
      {.name = "gemma",
       .tokens = {"<start_of_turn>", "<end_of_turn>"},
       .bos = Bos::kAlways,
       .opening = "",
       .system = {},
       .folded = {"", "\n\n"},
       .user = {"<start_of_turn>user\n", "<end_of_turn>\n"},
       .answer = "<start_of_turn>model\n",
       .lead = "",
       .end = "<end_of_turn>",
       .tail = "\n",
       .trim = true},
      {.name = "llama2",
       .tokens = {},
       .bos = Bos::kNever,  // each of its turns begins with one
       .opening = "",
       .system = {},
       .folded = {"<<SYS>>\n", "\n<</SYS>>\n\n"},
       .user = {"{bos}[INST] ", " [/INST]"},
       .answer = "",
       .lead = " ",
       .end = " {eos}",
       .tail = "",
       .trim = true,
       .trim_folded = true},
      {.name = "llama3",
       .tokens = {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
       .bos = Bos::kAlways,
       .opening = "",
       .system = {{"<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"}},
       .folded = {},
       .user = {"<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"},
       .answer = "<|start_header_id|>assistant<|end_header_id|>\n\n",
       .lead = "",
       .end = "<|eot_id|>",
       .tail = "",
       .trim = true},
      {.name = "mistral",
       .tokens = {},
       .bos = Bos::kAlways,
       .opening = "",
       .system = {},
       .folded = {"", "\n\n"},
       .user = {"[INST] ", " [/INST]"},
       .answer = "",
       .lead = " ",
       .end = "{eos}",
       .tail = ""},
      {.name = "mistral-v3",
       .tokens = {"[INST]", "[/INST]"},
       .bos = Bos::kAlways,
       .opening = "",
       .system = {},
       .folded = {"", "\n\n"},
       .user = {"[INST] ", "[/INST]"},
       .answer = "",
       .lead = " ",
       .end = "{eos}",
       .tail = ""},
      {.name = "phi3",
       .tokens = {"<|user|>", "<|assistant|>", "<|end|>"},
       .optional = {"<|system|>"},
       .opening = "",
       .system = {{"<|system|>\n", "<|end|>\n"}},
       .folded = {},
       .user = {"<|user|>\n", "<|end|>\n"},
       .answer = "<|assistant|>\n",
       .lead = "",
       .end = "<|end|>",
       .tail = "\n"},
      {.name = "zephyr",
       .tokens = {},
       .opening = "",
       .system = {{"<|system|>\n", "{eos}\n"}},
       .folded = {},
       .user = {"<|user|>\n", "{eos}\n"},
       .answer = "<|assistant|>\n",
       .lead = "",
       .end = "{eos}",
       .tail = "\n"},
  };
  return kTable;
}

std::string Trimmed(std::string_view text, bool trim) {
  constexpr std::string_view kSpace = " \t\n\v\f\r";
  const std::size_t begin = trim ? text.find_first_not_of(kSpace) : 0;
  if (begin == std::string_view::npos) return "";
  const std::size_t end = trim ? text.find_last_not_of(kSpace) + 1 : text.size();
  return std::string(text.substr(begin, end - begin));
}

// Collects segments; texts that follow one another with equal loss become one.
class Sequence {
 public:
  Sequence(const ChatTemplate& chat, const Tokenizer& tokenizer, std::int32_t eos) {
    placed_.emplace_back("{eos}", eos);
    if (tokenizer.Special().bos) placed_.emplace_back("{bos}", *tokenizer.Special().bos);
    for (const std::string_view token : chat.tokens) {
      const std::optional<std::int32_t> id = tokenizer.FindToken(token);
      if (id) {
        placed_.emplace_back(token, *id);
      } else if (missing_.empty()) {
        missing_ = token;
      }
    }
    for (const std::string_view token : chat.optional) {
      if (const auto id = tokenizer.FindToken(token)) placed_.emplace_back(token, *id);
    }
  }

  std::string_view missing() const { return missing_; }

  void Text(std::string_view text, bool loss) {
    if (text.empty()) return;
    if (!segments_.empty() && !segments_.back().token && segments_.back().loss == loss) {
      segments_.back().text += text;
    } else {
      segments_.push_back({std::nullopt, std::string(text), loss});
    }
  }

  // A wording of the table, with its tokens.
  void Wording(std::string_view wording, bool loss) {
    while (!wording.empty()) {
      std::size_t first = wording.size();
      const std::pair<std::string_view, std::int32_t>* next = nullptr;
      for (const auto& entry : placed_) {
        const std::size_t at = wording.find(entry.first);
        if (at < first) {
          first = at;
          next = &entry;
        }
      }
      Text(wording.substr(0, first), loss);
      if (next == nullptr) return;
      segments_.push_back({next->second, "", loss});
      wording.remove_prefix(first + next->first.size());
    }
  }

  std::vector<Segment> Take() { return std::move(segments_); }

 private:
  std::vector<std::pair<std::string_view, std::int32_t>> placed_;
  std::string_view missing_;
  std::vector<Segment> segments_;
};

}  // namespace

std::vector<std::string> ChatTemplateNames() {
  std::vector<std::string> names;
  for (const ChatTemplate& chat : Table()) names.emplace_back(chat.name);
  return names;
}

Result<const ChatTemplate*> FindChatTemplate(std::string_view name) {
  std::string known;
  for (const ChatTemplate& chat : Table()) {
    if (chat.name == name) return &chat;
    known += (known.empty() ? "" : ", ") + std::string(chat.name);
  }
  return InvalidArgumentError("template: \"" + Excerpt(name) + "\" is unknown; known: " + known);
}

const ChatTemplate* GuessChatTemplate(const Tokenizer& tokenizer) {
  const ChatTemplate* guess = nullptr;
  for (const ChatTemplate& chat : Table()) {
    bool fits = !chat.tokens.empty();
    for (const std::string_view token : chat.tokens) {
      fits = fits && tokenizer.FindToken(token).has_value();
    }
    if (!fits) continue;
    if (guess != nullptr) return nullptr;
    guess = &chat;
  }
  return guess;
}

std::string_view NameOf(const ChatTemplate& chat) { return chat.name; }

Status CheckTurns(const std::vector<Message>& messages) {
  const std::size_t first = !messages.empty() && messages[0].role == "system" ? 1 : 0;
  if (messages.size() == first) return InvalidArgumentError("messages: has no user's message");
  for (std::size_t i = first; i < messages.size(); ++i) {
    const char* expected = (i - first) % 2 == 0 ? "user" : "assistant";
    if (messages[i].role != expected) {
      return InvalidArgumentError("messages[" + std::to_string(i) + "]: role is \"" +
                                  Excerpt(messages[i].role) + "\"; must be " + expected +
                                  " (system may stand first, then user and assistant in turn)");
    }
  }
  return OkStatus();
}

Result<std::vector<Segment>> RenderChat(const ChatTemplate& chat,
                                        const std::vector<Message>& messages,
                                        const Tokenizer& tokenizer, std::int32_t eos) {
  Sequence sequence(chat, tokenizer, eos);
  if (!sequence.missing().empty()) {
    return InvalidArgumentError("template " + std::string(chat.name) + ": the tokenizer has no " +
                                std::string(sequence.missing()));
  }
  const SpecialTokens& special = tokenizer.Special();
  std::vector<Segment> out;
  if (special.bos &&
      (chat.bos == Bos::kAlways || (chat.bos == Bos::kAsForText && special.add_bos))) {
    out.push_back({special.bos, "", false});
  }
  const bool has_system = messages[0].role == "system";
  std::string folded;
  if (has_system) {
    const std::string& content = messages[0].content;
    if (chat.system) {
      sequence.Wording(chat.system->before, false);
      sequence.Text(Trimmed(content, chat.trim), false);
      sequence.Wording(chat.system->after, false);
    } else {
      folded = std::string(chat.folded.before) + content + std::string(chat.folded.after);
    }
  } else {
    sequence.Wording(chat.opening, false);
  }
  for (std::size_t i = has_system ? 1 : 0; i < messages.size(); ++i) {
    const bool apart = folded.empty() || !chat.trim_folded;
    const std::string content = Trimmed(messages[i].content, chat.trim && apart);
    if (messages[i].role == "user") {
      const bool bos_here = special.bos.has_value() || !chat.user.before.starts_with("{bos}");
      sequence.Wording(bos_here ? chat.user.before : chat.user.before.substr(5), false);
      sequence.Text(apart ? folded + content : Trimmed(folded + content, true), false);
      folded.clear();
      sequence.Wording(chat.user.after, false);
      sequence.Wording(chat.answer, false);
    } else {
      sequence.Text(std::string(chat.lead) + content, true);
      sequence.Wording(chat.end, true);
      sequence.Wording(chat.tail, false);
    }
  }
  for (Segment& segment : sequence.Take()) out.push_back(std::move(segment));
  return out;
}

std::string AlpacaPrompt(std::string_view instruction, std::string_view input) {
  std::string prompt(input.empty() ? kAlpacaOpening : kAlpacaOpeningWithInput);
  prompt.append("### Instruction:\n").append(instruction).append("\n\n");
  if (!input.empty()) prompt.append("### Input:\n").append(input).append("\n\n");
  return prompt + "### Response:\n";
}

}  // namespace tributary::trainer
