#include "aggregators/low_rank.h"

#include <Eigen/Core>
#include <Eigen/QR>
#include <Eigen/SVD>
#include <algorithm>
#include <cmath>

namespace tributary::aggregators {
namespace {

using Eigen::MatrixXd;
using ConstMap = Eigen::Map<const MatrixXd>;

// Singular values below this part of the largest are noise of fp32 factors.
constexpr double kFloatResolution = 1e-7;

// M = Q T, with Q left as reflectors: only its product with few columns is ever needed.
class ThinQr {
 public:
  explicit ThinQr(const ConstMap& matrix) : qr_(matrix) {}

  MatrixXd T() const {
    const auto size = std::min(qr_.rows(), qr_.cols());
    return qr_.matrixQR().topRows(size).triangularView<Eigen::Upper>();
  }

  MatrixXd QTimes(const Eigen::Ref<const MatrixXd>& columns) const {
    MatrixXd product = MatrixXd::Zero(qr_.rows(), columns.cols());
    product.topRows(columns.rows()) = columns;
    product.applyOnTheLeft(qr_.householderQ());
    return product;
  }

 private:
  Eigen::HouseholderQR<MatrixXd> qr_;
};

void FixSigns(MatrixXd& u, MatrixXd& v) {
  for (Eigen::Index j = 0; j < u.cols(); ++j) {
    Eigen::Index largest = 0;
    u.col(j).cwiseAbs().maxCoeff(&largest);
    if (u(largest, j) < 0) {
      u.col(j) = -u.col(j);
      v.col(j) = -v.col(j);
    }
  }
}

std::vector<double> ToVector(const MatrixXd& m) { return {m.data(), m.data() + m.size()}; }

struct Shares {
  double b = 1;
  double a = 1;
};

Shares SharesOf(double sigma, Split split, double scale) {
  const double value = sigma / scale;
  switch (split) {
    case Split::kLeft:
      return {value, 1};
    case Split::kRight:
      return {1, value};
    case Split::kSymmetric:
      break;
  }
  return {std::sqrt(std::abs(value)), std::copysign(std::sqrt(std::abs(value)), value)};
}

Factors Zeros(std::int64_t rank, std::int64_t out, std::int64_t in) {
  return {rank, std::vector<float>(static_cast<std::size_t>(rank * in)),
          std::vector<float>(static_cast<std::size_t>(rank * out))};
}

// Rank `to` of `factors` becomes triplet `from`.
void PutTriplet(const SingularTriplets& triplets, std::int64_t from, const Shares& shares,
                std::int64_t to, Factors& factors) {
  const double* u = triplets.u.data() + from * triplets.out;
  const double* v = triplets.v.data() + from * triplets.in;
  for (std::int64_t i = 0; i < triplets.out; ++i) {
    factors.b[static_cast<std::size_t>(i * factors.rank + to)] =
        static_cast<float>(shares.b * u[i]);
  }
  float* row = factors.a.data() + to * triplets.in;
  for (std::int64_t i = 0; i < triplets.in; ++i) row[i] = static_cast<float>(shares.a * v[i]);
}

// Whether neither the column of B nor the row of A is all zeros.
bool Lives(const FactorView& product, std::int64_t j, std::int64_t out, std::int64_t in) {
  bool b_lives = false;
  for (std::int64_t i = 0; i < out && !b_lives; ++i) {
    b_lives = product.b[static_cast<std::size_t>(i * product.rank + j)] != 0;
  }
  const auto row =
      product.a.subspan(static_cast<std::size_t>(j * in), static_cast<std::size_t>(in));
  return b_lives && std::any_of(row.begin(), row.end(), [](float value) { return value != 0; });
}

}  // namespace

std::int64_t SingularTriplets::NumericalRank(double tolerance) const {
  const double least = sigma.empty() ? 0 : tolerance * sigma.front();
  return std::count_if(sigma.begin(), sigma.end(), [least](double s) { return s > least; });
}

void StackedProduct::Add(const FactorView& product, double weight) {
  Add(product, std::vector<double>(static_cast<std::size_t>(product.rank), weight));
}

void StackedProduct::Add(const FactorView& product, std::span<const double> weights) {
  for (std::int64_t j = 0; j < product.rank; ++j) {
    const double weight = weights[static_cast<std::size_t>(j)];
    if (weight == 0) continue;
    for (std::int64_t i = 0; i < out_; ++i) {
      left_.push_back(weight * product.b[static_cast<std::size_t>(i * product.rank + j)]);
    }
    const auto row =
        product.a.subspan(static_cast<std::size_t>(j * in_), static_cast<std::size_t>(in_));
    right_.insert(right_.end(), row.begin(), row.end());
    ++rank_;
  }
}

void StackedProduct::AddLive(const FactorView& product, double weight) {
  AddLive(product, std::vector<double>(static_cast<std::size_t>(product.rank), weight));
}

void StackedProduct::AddLive(const FactorView& product, std::span<const double> weights) {
  std::vector<double> live(weights.begin(), weights.end());
  for (std::int64_t j = 0; j < product.rank; ++j) {
    if (!Lives(product, j, out_, in_)) live[static_cast<std::size_t>(j)] = 0;
  }
  Add(product, live);
}

Factors StackedProduct::ToFactors() const {
  Factors factors = Zeros(rank_, out_, in_);
  std::transform(right_.begin(), right_.end(), factors.a.begin(),
                 [](double value) { return static_cast<float>(value); });
  for (std::int64_t j = 0; j < rank_; ++j) {
    for (std::int64_t i = 0; i < out_; ++i) {
      factors.b[static_cast<std::size_t>(i * rank_ + j)] =
          static_cast<float>(left_[static_cast<std::size_t>(j * out_ + i)]);
    }
  }
  return factors;
}

Result<SingularTriplets> StackedProduct::Svd(std::int64_t most) const {
  SingularTriplets triplets;
  triplets.out = out_;
  triplets.in = in_;
  if (rank_ == 0 || out_ == 0 || in_ == 0) return triplets;
  const ConstMap left(left_.data(), out_, rank_);
  const ConstMap right(right_.data(), in_, rank_);
  if (!left.allFinite() || !right.allFinite()) {
    return InvalidArgumentError("a factor is not finite");
  }
  const ThinQr of_left(left);
  const ThinQr of_right(right);
  const Eigen::BDCSVD<MatrixXd> svd(of_left.T() * of_right.T().transpose(),
                                    Eigen::ComputeThinU | Eigen::ComputeThinV);
  const Eigen::VectorXd& sigma = svd.singularValues();
  const auto kept = std::clamp<Eigen::Index>(most, 0, sigma.size());
  MatrixXd u = of_left.QTimes(svd.matrixU().leftCols(kept));
  MatrixXd v = of_right.QTimes(svd.matrixV().leftCols(kept));
  FixSigns(u, v);
  triplets.sigma.assign(sigma.data(), sigma.data() + kept);
  triplets.u = ToVector(u);
  triplets.v = ToVector(v);
  triplets.dropped_energy = sigma.tail(sigma.size() - kept).squaredNorm();
  return triplets;
}

Factors SplitTriplets(const SingularTriplets& triplets, std::int64_t begin, std::int64_t end,
                      Split split, double scale) {
  Factors factors = Zeros(end - begin, triplets.out, triplets.in);
  for (std::int64_t j = begin; j < end; ++j) {
    const double sigma = triplets.sigma[static_cast<std::size_t>(j)];
    PutTriplet(triplets, j, SharesOf(sigma, split, scale), j - begin, factors);
  }
  return factors;
}

Factors NextFactors(const SingularTriplets& triplets, Split split, double scale,
                    const FactorView& current) {
  Factors factors = Zeros(current.rank, triplets.out, triplets.in);
  std::copy(current.a.begin(), current.a.end(), factors.a.begin());
  // Only the symmetric split leaves a vanishing rank with two vanishing factors.
  const std::int64_t alive =
      split == Split::kSymmetric ? triplets.NumericalRank(kFloatResolution) : triplets.rank();
  for (std::int64_t j = 0; j < std::min(alive, current.rank); ++j) {
    const double sigma = triplets.sigma[static_cast<std::size_t>(j)];
    PutTriplet(triplets, j, SharesOf(sigma, split, scale), j, factors);
  }
  return factors;
}

}  // namespace tributary::aggregators
