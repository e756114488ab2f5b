#include "trainer/text_commands.h"

#include <algorithm>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "core/files.h"
#include "core/json.h"
#include "trainer/examples.h"
#include "trainer/model_config.h"
#include "trainer/tokenized_examples.h"

namespace tributary::trainer {

using nlohmann::json;

namespace {

// Length of the sequences before they are cut.
void PrintLengths(const TokenTable& table, std::ostream& out) {
  std::vector<std::int64_t> lengths(table.size());
  for (std::size_t i = 0; i < lengths.size(); ++i) lengths[i] = table.Length(i);
  if (lengths.empty()) return;
  std::sort(lengths.begin(), lengths.end());
  const auto at = [&lengths](double part) {
    return lengths[static_cast<std::size_t>(part * static_cast<double>(lengths.size() - 1))];
  };
  out << "tokens per sequence: shortest " << lengths.front() << ", median " << at(0.5)
      << ", 90 % up to " << at(0.9) << ", 99 % up to " << at(0.99) << ", longest " << lengths.back()
      << "\n";
}

Status PrintSample(const TokenExample& example, const Tokenizer& tokenizer, std::ostream& out) {
  const auto text = [&](std::int64_t begin, std::int64_t end) -> Result<std::string> {
    return tokenizer.Decode({example.ids.begin() + begin, example.ids.begin() + end});
  };
  std::int64_t done = 0;
  for (const TokenExample::Span& span : example.loss) {
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string before, text(done, span.begin));
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string with_loss, text(span.begin, span.end));
    out << before << ">>>" << with_loss << "<<<";
    done = span.end;
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string rest,
                             text(done, static_cast<std::int64_t>(example.ids.size())));
  out << rest << "\n";
  return OkStatus();
}

void PrintSequences(const Dataset& dataset, std::ostream& out) {
  for (std::size_t i = 0; i < dataset.size(); ++i) {
    const TokenExample example = dataset.At(i);
    json loss = json::array();
    for (const TokenExample::Span& span : example.loss) loss.push_back({span.begin, span.end});
    out << json{{"ids", example.ids}, {"loss", loss}}.dump() << "\n";
  }
}

Status PrintReport(const DataCheckOptions& options, const ExampleFile& file,
                   const TokenTable& table, const Dataset& dataset, const Tokenizer& tokenizer,
                   std::ostream& out) {
  std::map<std::string, std::int64_t> kinds;
  for (const TextExample& example : file.examples) {
    ++kinds[std::string(ExampleKindName(example.kind))];
  }
  out << file.examples.size() << " examples";
  for (const auto& [kind, count] : kinds) out << ", " << count << " " << kind;
  out << "\n";
  PrintLengths(table, out);
  out << dataset.LossTokens() << " tokens carry loss\n"
      << CountSpelledSpecial(file.examples, tokenizer)
      << " spell special tokens, which become their letters (Hugging Face's trainers make the "
         "tokens)\n"
      << tokenizer.DroppedCharacters()
      << " characters dropped, because the tokenizer has no token for them\n"
      << dataset.truncated << " cut to " << options.sequence_length << " tokens, "
      << dataset.cut_off << " left out because no answer fits\n"
      << file.bad.count << " bad lines\n";
  for (const std::string& line : file.bad.first) out << "  " << options.data << ":" << line << "\n";
  const auto samples = std::min(static_cast<std::size_t>(options.samples), dataset.size());
  for (std::size_t i = 0; i < samples; ++i) {
    out << "--- sample " << i + 1 << "\n";
    TRIBUTARY_RETURN_IF_ERROR(PrintSample(dataset.At(i), tokenizer, out));
  }
  return OkStatus();
}

}  // namespace

Status RunDataCheck(const DataCheckOptions& options, std::ostream& out) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer,
                             LoadTokenizer(options.model));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string config_text,
                             ReadFile(JoinPath(options.model, "config.json")));
  TRIBUTARY_ASSIGN_OR_RETURN(const ModelConfig config,
                             ModelConfig::FromJson(config_text).Annotate(options.model));
  TokenizeOptions how{.eos = static_cast<std::int32_t>(config.eos_token)};
  if (!options.chat_template.empty()) {
    TRIBUTARY_ASSIGN_OR_RETURN(how.chat, FindChatTemplate(options.chat_template));
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const ExampleFile file,
                             ReadExamples(options.data, std::numeric_limits<std::int64_t>::max()));

  TRIBUTARY_ASSIGN_OR_RETURN(TokenTable made, Tokenize(file.examples, how, tokenizer.get()));
  TRIBUTARY_RETURN_IF_ERROR(
      CheckTokens(made.Arrays().ids, config.shape.vocab_size, *tokenizer).Annotate(options.data));
  const auto table = std::make_shared<TokenTable>(std::move(made));
  Dataset dataset;
  dataset.Add(table, options.sequence_length);
  if (options.sequences) {
    PrintSequences(dataset, out);
  } else {
    TRIBUTARY_RETURN_IF_ERROR(PrintReport(options, file, *table, dataset, *tokenizer, out));
  }
  if (file.bad.count > 0) {
    return InvalidArgumentError(options.data +
                                ": has bad lines; max_bad_lines of a task says how "
                                "many are left out");
  }
  if (dataset.empty()) {
    return InvalidArgumentError(options.data + ": no example carries loss");
  }
  return OkStatus();
}

Status RunTokenize(const std::string& model_directory, SpecialText special, std::istream& in,
                   std::ostream& out) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer,
                             LoadTokenizer(model_directory));
  std::string line;
  for (std::int64_t number = 1; std::getline(in, line); ++number) {
    const std::string where = "line " + std::to_string(number);
    TRIBUTARY_ASSIGN_OR_RETURN(const json text, ParseJson(line, where));
    if (!text.is_string()) return InvalidArgumentError(where + ": must be a JSON string");
    TRIBUTARY_ASSIGN_OR_RETURN(
        const std::vector<std::int32_t> ids,
        tokenizer->Encode(text.get_ref<const std::string&>(), {.special = special}));
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string decoded, tokenizer->Decode(ids));
    // Bytes that are no UTF-8 are shown as U+FFFD.
    out << json{{"ids", ids}, {"text", decoded}}.dump(-1, ' ', false,
                                                      json::error_handler_t::replace)
        << "\n";
  }
  return OkStatus();
}

}  // namespace tributary::trainer
