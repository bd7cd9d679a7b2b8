/* tb_matrix.h - random matrices and activations with corners, and their packed streams.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TB_MATRIX_H
#define TB_MATRIX_H

#include "internal.h"
#include "tb.h"

#include <algorithm>

namespace tb
{

inline accel_format format_at(unsigned i) /* 25 of them */
{
    return i < 8    ? ACCEL_INT(i + 1)
           : i < 16 ? ACCEL_UINT(i - 7)
           : i < 24 ? ACCEL_BIP(i - 15)
                    : ACCEL_TERNARY;
}
constexpr unsigned kFormats = 25;
constexpr uint32_t kGroups[] = { 16, 32, 48, 64, 96, 128, 256, 0 };

inline unsigned code_count(accel_format f)
{
    return f == ACCEL_TERNARY ? 3 : 1u << accel_format_bits(f);
}

struct FreeMatrix {
    void operator()(accel_matrix *m) const { accel_matrix_free(m); }
};
using Matrix = std::unique_ptr<accel_matrix, FreeMatrix>;

inline Matrix matrix_of(accel_format f, uint32_t rows, uint32_t cols, uint32_t group,
                        const std::vector<uint8_t> &codes, const std::vector<int16_t> &sc,
                        std::vector<uint8_t> sh, std::vector<int32_t> oc)
{
    accel_matrix *m = nullptr;
    accel_error err;
    accel_matrix_parts parts = { f,
                                 rows,
                                 cols,
                                 group,
                                 codes.data(),
                                 sc.data(),
                                 sh.data(),
                                 oc.empty() ? nullptr : oc.data(),
                                 nullptr };
    int rc;
    while ((rc = accel_matrix_from_codes(&parts, &m, &err)) == ACCEL_E_OVERFLOW)
        for (size_t i = 0; i < sh.size(); i++) { /* the proof decides what is small enough */
            sh[i] = (uint8_t)(sh[i] ? sh[i] - 1 : 0);
            if (!oc.empty())
                oc[i] /= 2;
        }
    CHECK(rc == ACCEL_OK, "accel_matrix_from_codes: %s", err.text);
    return Matrix(m);
}

/* Rows of random codes, of one code, of the two extreme ones; headers over their full range. */
inline Matrix random_matrix(Rng &rng, accel_format f, uint32_t rows, uint32_t cols, uint32_t group,
                            bool asymmetric)
{
    const uint32_t groups = group ? (cols + group - 1) / group : 1;
    const unsigned n = code_count(f);
    unsigned low = 0, high = 0;
    for (unsigned c = 0; c < n; c++) {
        low = accel_format_decode(f, c) < accel_format_decode(f, low) ? c : low;
        high = accel_format_decode(f, c) > accel_format_decode(f, high) ? c : high;
    }
    std::vector<uint8_t> codes((size_t)rows * cols), sh((size_t)rows * groups);
    std::vector<int16_t> sc(sh.size());
    std::vector<int32_t> oc(asymmetric ? sh.size() : 0);
    for (uint32_t r = 0; r < rows; r++) {
        const uint32_t how = rng.below(10), one = rng.below(n);
        for (uint32_t c = 0; c < cols; c++)
            codes[(size_t)r * cols + c] = (uint8_t)(how == 0   ? low
                                                    : how == 1 ? high
                                                    : how == 2 ? one
                                                    : how == 3 ? (c % 2 ? low : high)
                                                               : rng.below(n));
    }
    const uint32_t sh_top = rng.below(16);
    for (size_t i = 0; i < sh.size(); i++) {
        sc[i] = (int16_t)rng.bits(12);
        sh[i] = (uint8_t)rng.below(sh_top + 1);
        if (asymmetric)
            oc[i] = (int32_t)rng.bits(20);
    }
    return matrix_of(f, rows, cols, group, codes, sc, sh, oc);
}

/* n columns; some all at an end of the range, some zero. */
inline std::vector<int8_t> random_acts(Rng &rng, uint32_t n, uint32_t cols)
{
    std::vector<int8_t> x((size_t)n * cols);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t how = rng.below(8);
        for (uint32_t c = 0; c < cols; c++)
            x[(size_t)i * cols + c] = (int8_t)(how == 0   ? -128
                                               : how == 1 ? 127
                                               : how == 2 ? 0
                                               : how == 3 ? (rng.one_in(2) ? 127 : -128)
                                               : how == 4 ? rng.bits(8)
                                                          : (int64_t)rng.next());
    }
    return x;
}

/* A matrix packed for an array, freed with its owner. */
struct Packed : packed {
    Packed(const pe_kind *kind, pack_shape shape, const accel_matrix *mat) : packed()
    {
        accel_error err;
        CHECK(pack_matrix(kind, &shape, mat, this, &err) == ACCEL_OK, "pack_matrix: %s", err.text);
    }
    ~Packed() { pack_free(this); }
    Packed(const Packed &) = delete;
    Packed &operator=(const Packed &) = delete;
};

/* The golden model: acc[column * rows + row], or requantized ones. */
class Golden
{
  public:
    Golden()
    {
        CHECK(accel_open("cpu:", nullptr, &dev_, nullptr) == ACCEL_OK, "cpu: does not open");
    }
    ~Golden() { accel_close(dev_); }
    Golden(const Golden &) = delete;
    Golden &operator=(const Golden &) = delete;
    std::vector<int64_t> run(const accel_matrix *mat, const std::vector<int8_t> &x, uint32_t n,
                             const uint32_t *mul = nullptr, const uint8_t *shift = nullptr)
    {
        accel_error err;
        accel_weights *w = nullptr;
        CHECK(accel_load(dev_, mat, &w, &err) == ACCEL_OK, "cpu load: %s", err.text);
        std::vector<int64_t> acc((size_t)mat->rows * n);
        std::vector<int8_t> i8(acc.size());
        int rc = ACCEL_OK;
        for (uint32_t at = 0; at < n && !rc; at += 4096) { /* as many columns as it takes at once */
            accel_job job = {};
            job.weights = w;
            job.x = x.data() + (size_t)at * mat->cols;
            job.n = std::min(n - at, 4096u);
            job.x_stride = mat->cols;
            job.out = mul ? ACCEL_OUT_I8 : ACCEL_OUT_ACC;
            job.y = mul ? (void *)&i8[(size_t)at * mat->rows] : &acc[(size_t)at * mat->rows];
            job.y_stride = mat->rows;
            job.requant_mul = mul;
            job.requant_shift = shift;
            rc = accel_run(dev_, &job, nullptr, &err);
        }
        accel_unload(w);
        CHECK(rc == ACCEL_OK, "cpu run: %s", err.text);
        if (mul)
            acc.assign(i8.begin(), i8.end());
        return acc;
    }

  private:
    accel_dev *dev_ = nullptr;
};

inline const pe_kind *find_kind(const char *name)
{
    const pe_kind *k = accel_find_kind(name);
    CHECK(k, "there is no PE kind %s", name);
    return k;
}

} // namespace tb

#endif
