// Dense matrices in fp64, the plain way: what low-rank code is checked against.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "aggregators/low_rank.h"
#include "core/random.h"

namespace tributary::aggregators {

struct Matrix {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::vector<double> values = {};  // row-major

  static Matrix Zero(std::int64_t rows, std::int64_t cols) {
    return {rows, cols, std::vector<double>(static_cast<std::size_t>(rows * cols))};
  }
  static Matrix Identity(std::int64_t size) {
    Matrix m = Zero(size, size);
    for (std::int64_t i = 0; i < size; ++i) m(i, i) = 1;
    return m;
  }
  static Matrix Random(std::int64_t rows, std::int64_t cols, std::uint64_t seed) {
    Matrix m = Zero(rows, cols);
    SplitMix64 random(seed);
    for (double& value : m.values) value = 2 * random.Unit() - 1;
    return m;
  }
  double& operator()(std::int64_t i, std::int64_t j) {
    return values[static_cast<std::size_t>(i * cols + j)];
  }
  double operator()(std::int64_t i, std::int64_t j) const {
    return values[static_cast<std::size_t>(i * cols + j)];
  }
  Matrix Transposed() const {
    Matrix m = Zero(cols, rows);
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t j = 0; j < cols; ++j) m(j, i) = (*this)(i, j);
    }
    return m;
  }
  double Norm() const {
    double sum = 0;
    for (const double value : values) sum += value * value;
    return std::sqrt(sum);
  }
};

inline Matrix operator*(const Matrix& x, const Matrix& y) {
  Matrix m = Matrix::Zero(x.rows, y.cols);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for (std::int64_t k = 0; k < x.cols; ++k) {
      const double factor = x(i, k);
      for (std::int64_t j = 0; j < y.cols; ++j) m(i, j) += factor * y(k, j);
    }
  }
  return m;
}

inline Matrix operator*(double factor, Matrix m) {
  for (double& value : m.values) value *= factor;
  return m;
}

inline Matrix& operator+=(Matrix& x, const Matrix& y) {
  for (std::size_t i = 0; i < x.values.size(); ++i) x.values[i] += y.values[i];
  return x;
}
inline Matrix operator+(Matrix x, const Matrix& y) { return x += y; }
inline Matrix operator-(Matrix x, const Matrix& y) { return x += -1.0 * y; }

inline Matrix DenseA(const FactorView& f) {
  const auto in = f.rank == 0 ? 0 : static_cast<std::int64_t>(f.a.size()) / f.rank;
  return {f.rank, in, {f.a.begin(), f.a.end()}};
}
inline Matrix DenseB(const FactorView& f) {
  const auto out = f.rank == 0 ? 0 : static_cast<std::int64_t>(f.b.size()) / f.rank;
  return {out, f.rank, {f.b.begin(), f.b.end()}};
}
inline Matrix Product(const FactorView& f) { return DenseB(f) * DenseA(f); }
inline Matrix Product(const Factors& f) { return Product(f.View()); }

inline Factors ToFactors(const Matrix& b, const Matrix& a) {
  return {a.rows, {a.values.begin(), a.values.end()}, {b.values.begin(), b.values.end()}};
}
inline Factors RandomFactors(std::int64_t rank, std::int64_t out, std::int64_t in,
                             std::uint64_t seed) {
  return ToFactors(Matrix::Random(out, rank, 2 * seed), Matrix::Random(rank, in, 2 * seed + 1));
}

// The columns of `m` made orthogonal by Jacobi rotations; their norms are its singular values.
inline Matrix OrthogonalColumns(Matrix m) {
  for (int sweep = 0; sweep < 40; ++sweep) {
    for (std::int64_t p = 0; p < m.cols; ++p) {
      for (std::int64_t q = p + 1; q < m.cols; ++q) {
        double pp = 0, qq = 0, pq = 0;
        for (std::int64_t i = 0; i < m.rows; ++i) {
          pp += m(i, p) * m(i, p);
          qq += m(i, q) * m(i, q);
          pq += m(i, p) * m(i, q);
        }
        if (pq == 0) continue;
        const double angle = 0.5 * std::atan2(2 * pq, pp - qq);
        const double c = std::cos(angle), s = std::sin(angle);
        for (std::int64_t i = 0; i < m.rows; ++i) {
          const double x = m(i, p), y = m(i, q);
          m(i, p) = c * x + s * y;
          m(i, q) = c * y - s * x;
        }
      }
    }
  }
  return m;
}

// Descending; as many as `m` has columns.
inline std::vector<double> SingularValues(const Matrix& m) {
  const Matrix orthogonal = OrthogonalColumns(m);
  std::vector<double> sigma;
  for (std::int64_t j = 0; j < m.cols; ++j) {
    double sum = 0;
    for (std::int64_t i = 0; i < m.rows; ++i) sum += orthogonal(i, j) * orthogonal(i, j);
    sigma.push_back(std::sqrt(sum));
  }
  std::sort(sigma.rbegin(), sigma.rend());
  return sigma;
}

// Solves S X = Y for a symmetric positive definite S.
inline Matrix SolvePositive(Matrix s, Matrix y) {
  for (std::int64_t p = 0; p < s.rows; ++p) {
    for (std::int64_t i = 0; i < s.rows; ++i) {
      if (i == p) continue;
      const double factor = s(i, p) / s(p, p);
      for (std::int64_t j = 0; j < s.cols; ++j) s(i, j) -= factor * s(p, j);
      for (std::int64_t j = 0; j < y.cols; ++j) y(i, j) -= factor * y(p, j);
    }
  }
  for (std::int64_t i = 0; i < s.rows; ++i) {
    for (std::int64_t j = 0; j < y.cols; ++j) y(i, j) /= s(i, i);
  }
  return y;
}

// Onto the space of the rows of `a`, which are independent.
inline Matrix RowProjector(const Matrix& a) {
  return a.Transposed() * SolvePositive(a * a.Transposed(), a);
}

}  // namespace tributary::aggregators
