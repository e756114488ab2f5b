#include "tests/trainer/reference_llama.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>

#include "core/files.h"
#include "core/json.h"
#include "core/safetensors.h"

namespace tributary::reference {
namespace {

using nlohmann::json;

template <typename T>
T Must(Result<T> result) {
  if (!result.ok()) {
    std::cerr << result.status() << std::endl;
    std::abort();
  }
  return std::move(result).value();
}

Rows Matrix(const SafetensorsFile& file, const std::string& name) {
  const SafetensorsEntry* entry = file.Find(name);
  if (entry == nullptr) return {};
  const auto values = file.Floats(*entry);
  const std::size_t columns = entry->spec.shape.back();
  Rows rows(values.size() / columns, std::vector<double>(columns));
  for (std::size_t i = 0; i < values.size(); ++i) rows[i / columns][i % columns] = values[i];
  return rows;
}

std::vector<double> Times(const Rows& w, const std::vector<double>& x) {
  std::vector<double> y(w.size(), 0);
  for (std::size_t o = 0; o < w.size(); ++o) {
    for (std::size_t i = 0; i < x.size(); ++i) y[o] += w[o][i] * x[i];
  }
  return y;
}

std::vector<double> Norm(const std::vector<double>& x, const std::vector<double>& w, double eps) {
  double squares = 0;
  for (const double v : x) squares += v * v;
  const double r = 1 / std::sqrt(squares / static_cast<double>(x.size()) + eps);
  std::vector<double> y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = x[i] * r * w[i];
  return y;
}

// theta^(-2i/d), as rope_scaling changes it.
double Frequency(const json& config, std::size_t i, std::size_t dim) {
  const double frequency = std::pow(config["rope_theta"].get<double>(),
                                    -2.0 * static_cast<double>(i) / static_cast<double>(dim));
  const json& scaling = config["rope_scaling"];
  if (scaling.is_null()) return frequency;
  const double factor = scaling["factor"];
  if (scaling["rope_type"] == "linear") return frequency / factor;
  const double low = scaling["low_freq_factor"];
  const double high = scaling["high_freq_factor"];
  const double original = scaling["original_max_position_embeddings"];
  const double turns = original * frequency / (2 * M_PI);  // over the original positions
  if (turns > high) return frequency;
  if (turns < low) return frequency / factor;
  const double smooth = (turns - low) / (high - low);
  return (1 - smooth) * frequency / factor + smooth * frequency;
}

// x_i' = x_i cos - x_{i+d/2} sin, x_{i+d/2}' = x_{i+d/2} cos + x_i sin, angle = position *
// frequency.
void Rotate(std::vector<double>* x, std::size_t dim, std::size_t position, const json& config) {
  for (std::size_t head = 0; head < x->size(); head += dim) {
    for (std::size_t i = 0; i < dim / 2; ++i) {
      const double angle = static_cast<double>(position) * Frequency(config, i, dim);
      const double a = (*x)[head + i];
      const double b = (*x)[head + i + dim / 2];
      (*x)[head + i] = a * std::cos(angle) - b * std::sin(angle);
      (*x)[head + i + dim / 2] = b * std::cos(angle) + a * std::sin(angle);
    }
  }
}

class Model {
 public:
  Model(const std::string& directory, const std::string& adapter)
      : config_(Must(ReadJsonFile(JoinPath(directory, "config.json")))),
        file_(Must(SafetensorsFile::Open(JoinPath(directory, "model.safetensors")))),
        dim_(config_["head_dim"].get<std::size_t>()) {
    if (adapter.empty()) return;
    const json lora = Must(ReadJsonFile(JoinPath(adapter, "adapter_config.json")));
    scale_ = lora["lora_alpha"].get<double>() / lora["r"].get<double>();
    adapter_ = Must(SafetensorsFile::Open(JoinPath(adapter, "adapter_model.safetensors")));
    has_adapter_ = true;
  }

  Rows Run(const std::vector<std::int32_t>& ids) const {
    const Rows embedding = Matrix(file_, "model.embed_tokens.weight");
    Rows x;
    for (const std::int32_t id : ids) x.push_back(embedding[id]);
    for (int layer = 0; layer < config_["num_hidden_layers"].get<int>(); ++layer) {
      const std::string name = "model.layers." + std::to_string(layer) + ".";
      Add(&x, Attention(name + "self_attn.", Normed(x, name + "input_layernorm")));
      Add(&x, Mlp(name + "mlp.", Normed(x, name + "post_attention_layernorm")));
    }
    const Rows head =
        config_["tie_word_embeddings"].get<bool>() ? embedding : Matrix(file_, "lm_head.weight");
    Rows logits;
    for (const auto& row : Normed(x, "model.norm")) logits.push_back(Times(head, row));
    return logits;
  }

 private:
  Rows Weight(const std::string& name) const {
    Rows w = Matrix(file_, name + ".weight");
    if (!has_adapter_) return w;
    const Rows a = Matrix(adapter_, "base_model.model." + name + ".lora_A.weight");
    const Rows b = Matrix(adapter_, "base_model.model." + name + ".lora_B.weight");
    for (std::size_t o = 0; o < b.size(); ++o) {
      for (std::size_t r = 0; r < a.size(); ++r) {
        for (std::size_t i = 0; i < a[r].size(); ++i) w[o][i] += scale_ * b[o][r] * a[r][i];
      }
    }
    return w;
  }

  Rows Normed(const Rows& x, const std::string& name) const {
    const std::vector<double> w = Matrix(file_, name + ".weight")[0];
    Rows y;
    for (const auto& row : x) y.push_back(Norm(row, w, config_["rms_norm_eps"]));
    return y;
  }

  Rows Linear(const std::string& name, const Rows& x) const {
    const Rows w = Weight(name);
    const Rows bias = Matrix(file_, name + ".bias");
    Rows y;
    for (const auto& row : x) y.push_back(Times(w, row));
    if (!bias.empty()) {
      for (auto& row : y) Add(&row, bias[0]);
    }
    return y;
  }

  // An RMSNorm over each head where there is a weight for it.
  void NormHeads(const std::string& name, Rows* x) const {
    const Rows w = Matrix(file_, name + ".weight");
    if (w.empty()) return;
    for (auto& row : *x) {
      for (auto head = row.begin(); head != row.end(); head += static_cast<std::ptrdiff_t>(dim_)) {
        const auto end = head + static_cast<std::ptrdiff_t>(dim_);
        const std::vector<double> normed = Norm({head, end}, w[0], config_["rms_norm_eps"]);
        std::copy(normed.begin(), normed.end(), head);
      }
    }
  }

  Rows Attention(const std::string& name, const Rows& x) const {
    Rows q = Linear(name + "q_proj", x);
    Rows k = Linear(name + "k_proj", x);
    const Rows v = Linear(name + "v_proj", x);
    NormHeads(name + "q_norm", &q);
    NormHeads(name + "k_norm", &k);
    for (std::size_t t = 0; t < x.size(); ++t) {
      Rotate(&q[t], dim_, t, config_);
      Rotate(&k[t], dim_, t, config_);
    }
    const std::size_t heads = config_["num_attention_heads"];
    const std::size_t group = heads / config_["num_key_value_heads"].get<std::size_t>();
    Rows mixed(x.size(), std::vector<double>(heads * dim_, 0));
    for (std::size_t t = 0; t < x.size(); ++t) {
      for (std::size_t h = 0; h < heads; ++h) {
        Mix(q[t], k, v, t, h * dim_, h / group * dim_, &mixed[t]);
      }
    }
    return Linear(name + "o_proj", mixed);
  }

  void Mix(const std::vector<double>& q, const Rows& k, const Rows& v, std::size_t t,
           std::size_t q_at, std::size_t kv_at, std::vector<double>* out) const {
    std::vector<double> p(t + 1, 0);
    double sum = 0;
    const std::size_t window = config_.value("sliding_window", t + 1);
    const std::size_t first = t + 1 > window ? t + 1 - window : 0;
    for (std::size_t s = first; s <= t; ++s) {
      for (std::size_t i = 0; i < dim_; ++i) p[s] += q[q_at + i] * k[s][kv_at + i];
      p[s] = std::exp(p[s] / std::sqrt(static_cast<double>(dim_)));
      sum += p[s];
    }
    for (std::size_t s = 0; s <= t; ++s) {
      for (std::size_t i = 0; i < dim_; ++i) (*out)[q_at + i] += p[s] / sum * v[s][kv_at + i];
    }
  }

  Rows Mlp(const std::string& name, const Rows& x) const {
    Rows gate = Linear(name + "gate_proj", x);
    const Rows up = Linear(name + "up_proj", x);
    for (std::size_t t = 0; t < gate.size(); ++t) {
      for (std::size_t i = 0; i < gate[t].size(); ++i) {
        gate[t][i] = gate[t][i] / (1 + std::exp(-gate[t][i])) * up[t][i];
      }
    }
    return Linear(name + "down_proj", gate);
  }

  static void Add(std::vector<double>* x, const std::vector<double>& y) {
    for (std::size_t i = 0; i < y.size(); ++i) (*x)[i] += y[i];
  }
  static void Add(Rows* x, const Rows& y) {
    for (std::size_t t = 0; t < y.size(); ++t) Add(&(*x)[t], y[t]);
  }

  json config_;
  SafetensorsFile file_;
  SafetensorsFile adapter_;
  std::size_t dim_;
  double scale_ = 0;
  bool has_adapter_ = false;
};

}  // namespace

Rows Logits(const std::string& model_directory, const std::vector<std::int32_t>& ids,
            const std::string& adapter_directory) {
  return Model(model_directory, adapter_directory).Run(ids);
}

double LossSum(const Rows& logits, const std::vector<std::int32_t>& ids, std::int64_t loss_from) {
  double loss = 0;
  for (std::size_t t = loss_from; t < ids.size(); ++t) {
    double sum = 0;
    for (const double logit : logits[t - 1]) sum += std::exp(logit);
    loss += std::log(sum) - logits[t - 1][ids[t]];
  }
  return loss;
}

}  // namespace tributary::reference
