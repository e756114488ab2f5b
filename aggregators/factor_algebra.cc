#include "aggregators/factor_algebra.h"

#include <Eigen/Core>
#include <Eigen/LU>
#include <Eigen/QR>
#include <Eigen/SVD>
#include <algorithm>
#include <cmath>

namespace tributary::aggregators {
namespace {

using Eigen::MatrixXd;
using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

MatrixXd MatrixA(const ModuleShape& shape, const FactorView& x) {
  return Eigen::Map<const RowMajor>(x.a.data(), x.rank, shape.in).cast<double>();
}

MatrixXd MatrixB(const ModuleShape& shape, const FactorView& x) {
  return Eigen::Map<const RowMajor>(x.b.data(), shape.out, x.rank).cast<double>();
}

Factors ToFactors(const MatrixXd& b, const MatrixXd& a) {
  Factors factors{a.rows(), std::vector<float>(static_cast<std::size_t>(a.size())),
                  std::vector<float>(static_cast<std::size_t>(b.size()))};
  Eigen::Map<RowMajor>(factors.a.data(), a.rows(), a.cols()) = a.cast<float>();
  Eigen::Map<RowMajor>(factors.b.data(), b.rows(), b.cols()) = b.cast<float>();
  return factors;
}

// trace(M N) without the product.
double TraceOfProduct(const MatrixXd& m, const MatrixXd& n) {
  return m.cwiseProduct(n.transpose()).sum();
}

// The rotation R nearest to `m` (largest trace(R^T m)). Where m says nothing, R is the identity: a
// breath of it decides between the rotations that are equally good.
MatrixXd NearestRotation(MatrixXd m) {
  const double size = m.norm();
  if (size == 0) return MatrixXd::Identity(m.rows(), m.cols());
  m.diagonal().array() += 1e-12 * size;
  const Eigen::JacobiSVD<MatrixXd> svd(m, Eigen::ComputeFullU | Eigen::ComputeFullV);
  MatrixXd u = svd.matrixU();
  if ((u * svd.matrixV().transpose()).determinant() < 0) u.rightCols(1) *= -1;
  return u * svd.matrixV().transpose();
}

}  // namespace

double ProductDot(const ModuleShape& shape, const FactorView& x, const FactorView& y) {
  const MatrixXd b = MatrixB(shape, y).transpose() * MatrixB(shape, x);
  const MatrixXd a = MatrixA(shape, x) * MatrixA(shape, y).transpose();
  return TraceOfProduct(b, a);
}

double ProductNorm(const ModuleShape& shape, const FactorView& x) {
  return std::sqrt(std::max(0.0, ProductDot(shape, x, x)));
}

std::vector<double> ProductGram(const ModuleShape& shape, std::span<const FactorView> products) {
  const std::size_t count = products.size();
  std::vector<double> gram(count * count);
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      gram[i * count + j] = gram[j * count + i] = ProductDot(shape, products[i], products[j]);
    }
  }
  return gram;
}

Factors Rotated(const ModuleShape& shape, const FactorView& site, const FactorView& reference,
                AlignBy by, double strength) {
  const MatrixXd a = MatrixA(shape, site);
  const MatrixXd b = MatrixB(shape, site);
  const MatrixXd overlap = by == AlignBy::kA ? MatrixXd(a * MatrixA(shape, reference).transpose())
                                             : MatrixXd(b.transpose() * MatrixB(shape, reference));
  const MatrixXd soft = (1 - strength) * MatrixXd::Identity(site.rank, site.rank) +
                        strength * NearestRotation(overlap);
  const MatrixXd rotation = NearestRotation(soft);
  if (rotation.isIdentity(1e-12)) {  // the same basis: the same bits
    return {site.rank, {site.a.begin(), site.a.end()}, {site.b.begin(), site.b.end()}};
  }
  return ToFactors(b * rotation, rotation.transpose() * a);
}

std::vector<double> RidgeSolution(const ModuleShape& shape, std::span<const FactorView> terms,
                                  std::span<const double> weights, std::int64_t rank,
                                  std::span<const float> a, double ridge) {
  const MatrixXd base = MatrixA(shape, {rank, a, {}});
  MatrixXd right = MatrixXd::Zero(rank, shape.out);  // the transposed right-hand side
  for (std::size_t k = 0; k < terms.size(); ++k) {
    const MatrixXd overlap = base * MatrixA(shape, terms[k]).transpose();
    right += weights[k] * overlap * MatrixB(shape, terms[k]).transpose();
  }
  MatrixXd gram = base * base.transpose();
  gram.diagonal().array() += ridge;
  const MatrixXd x = gram.completeOrthogonalDecomposition().solve(right);  // column-major: X^T
  return {x.data(), x.data() + x.size()};
}

}  // namespace tributary::aggregators
