#include "trainer/generate_command.h"

#include "trainer/device.h"
#include "trainer/model_directory.h"
#include "trainer/tokenized_examples.h"

namespace tributary::trainer {
namespace {

class Speaker {
 public:
  Speaker(AdaptedModel loaded, const GenerateOptions& options, const std::function<bool()>& stop)
      : loaded_(std::move(loaded)), options_(options), stop_(stop) {}

  Result<std::string> Continue(const std::string& prompt) {
    std::vector<std::int32_t> ids;
    const SpecialTokens& special = loaded_.tokenizer->Special();
    if (special.add_bos) ids.push_back(*special.bos);
    TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<std::int32_t> text,
                               loaded_.tokenizer->Encode(prompt));
    ids.insert(ids.end(), text.begin(), text.end());
    if (ids.empty()) return InvalidArgumentError("--prompt: must not be empty");
    return Say(ids, {Eos()});
  }

  Result<std::string> Answer(const std::vector<Message>& messages) {
    TokenizeOptions how{.eos = static_cast<std::int32_t>(loaded_.config.eos_token)};
    if (!options_.chat_template.empty()) {
      TRIBUTARY_ASSIGN_OR_RETURN(how.chat, FindChatTemplate(options_.chat_template));
    }
    TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<std::int32_t> prompt,
                               TokenizePrompt(messages, how, loaded_.tokenizer.get()));
    // What ends an answer is what would end one in training.
    TextExample sample;
    sample.kind = ExampleKind::kMessages;
    sample.messages = {{"user", "x"}, {"assistant", "x"}};
    TRIBUTARY_ASSIGN_OR_RETURN(const TokenExample tokens,
                               TokenizeExample(sample, how, loaded_.tokenizer.get()));
    const auto last = static_cast<std::size_t>(tokens.loss.back().end - 1);
    return Say(prompt, {Eos(), tokens.ids[last]});
  }

 private:
  std::int32_t Eos() const {
    return loaded_.tokenizer->Special().eos.value_or(
        static_cast<std::int32_t>(loaded_.config.eos_token));
  }

  Result<std::string> Say(const std::vector<std::int32_t>& prompt,
                          const std::set<std::int32_t>& ends) {
    TRIBUTARY_RETURN_IF_ERROR(
        CheckTokens(prompt, loaded_.config.shape.vocab_size, *loaded_.tokenizer));
    TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<std::int32_t> ids,
                               Generate(*loaded_.model, prompt, ends, loaded_.config.max_positions,
                                        options_.settings, stop_));
    return loaded_.tokenizer->Decode(ids);
  }

  AdaptedModel loaded_;
  const GenerateOptions& options_;
  const std::function<bool()>& stop_;
};

}  // namespace

Status RunGenerate(const GenerateOptions& options, std::istream& in, std::ostream& out,
                   const std::function<bool()>& stop) {
  TRIBUTARY_ASSIGN_OR_RETURN(const BasePrecision precision,
                             ParseBasePrecision(options.base_precision));
  TRIBUTARY_ASSIGN_OR_RETURN(const Compute compute,
                             ChooseCompute(options.device, options.compute, 0));
  TRIBUTARY_ASSIGN_OR_RETURN(
      AdaptedModel loaded,
      options.adapter.empty()
          ? LoadBaseModel(options.model, precision, compute)
          : LoadAdaptedModel(options.model, options.adapter, {}, precision, compute));
  Speaker speaker(std::move(loaded), options, stop);
  if (!options.chat) {
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string text, speaker.Continue(options.prompt));
    out << text << std::endl;
    return OkStatus();
  }
  std::vector<Message> messages;
  std::string line;
  while (std::getline(in, line)) {
    messages.push_back({"user", line});
    TRIBUTARY_ASSIGN_OR_RETURN(std::string answer, speaker.Answer(messages));
    out << answer << std::endl;
    messages.push_back({"assistant", std::move(answer)});
  }
  return OkStatus();
}

}  // namespace tributary::trainer
