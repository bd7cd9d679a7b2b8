/* tb_matrix.h - random matrices and activations with corners, and their packed streams.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TB_MATRIX_H
#define TB_MATRIX_H

#include "internal.h"
#include "tb.h"

#include <algorithm>

namespace tb
{

/* Every format there is. */
inline const std::vector<accel_format> &formats()
{
    static const std::vector<accel_format> all = [] {
        std::vector<accel_format> f;
        for (const unsigned coding :
             { ACCEL_CODING_SIGNED, ACCEL_CODING_UNSIGNED, ACCEL_CODING_BIPOLAR })
            for (unsigned bits = 1; bits <= 8; bits++)
                f.push_back(coding | bits);
        f.push_back(ACCEL_TERNARY);
        for (unsigned bits = 3; bits <= 8; bits++)
            for (unsigned e = 1; e <= 4 && e < bits; e++)
                f.push_back(ACCEL_FLOAT(e, bits - 1 - e));
        for (const accel_format t :
             { ACCEL_FP3, ACCEL_FP4, ACCEL_POT4, ACCEL_FLINT4, ACCEL_UFLINT4, ACCEL_ANT4,
               ACCEL_OLIVE4, ACCEL_OLIVE4F, ACCEL_CODEBOOK3, ACCEL_CODEBOOK4 })
            f.push_back(t);
        return f;
    }();
    return all;
}
constexpr uint32_t kGroups[] = { 16, 32, 48, 64, 96, 128, 256, 0 };

inline bool is_olive(accel_format f)
{
    return f == ACCEL_OLIVE4 || f == ACCEL_OLIVE4F;
}
inline unsigned code_count(accel_format f)
{
    return f == ACCEL_TERNARY ? 3 : 1u << accel_format_bits(f);
}
inline bool code_legal(accel_format f,
                       unsigned code) /* in any place, OliVe's in a pair of normals */
{
    return !(f == ACCEL_FLOAT(4, 3) && (code & 0x7f) == 0x7f) && !(is_olive(f) && code == 8);
}

struct FreeMatrix {
    void operator()(accel_matrix *m) const { accel_matrix_free(m); }
};
using Matrix = std::unique_ptr<accel_matrix, FreeMatrix>;

inline Matrix matrix_of(accel_format f, uint32_t rows, uint32_t cols, uint32_t group,
                        const std::vector<uint8_t> &codes, const std::vector<int16_t> &sc,
                        std::vector<uint8_t> sh, std::vector<int32_t> oc,
                        const std::vector<uint8_t> &sel = {}, const std::vector<int8_t> &book = {})
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
                                 nullptr,
                                 sel.empty() ? nullptr : sel.data(),
                                 book.empty() ? nullptr : book.data(),
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

/* A code that decodes to 0 wherever it stands. */
inline unsigned zero_code(accel_format f)
{
    for (unsigned c = 0; c < code_count(f); c++)
        if (code_legal(f, c) && accel_format_decode(f, c) == 0)
            return c;
    fail("%s has no zero", accel_format_name(f));
}

/* Zeros for kinds that leave them out: some share of all weights, stretches of columns, and what the kind cannot keep. */
inline void thin_out(Rng &rng, const pe_kind &kind, accel_format f, uint32_t rows, uint32_t cols,
                     std::vector<uint8_t> &codes)
{
    static const unsigned percents[] = { 0, 30, 50, 90, 100 };
    const unsigned percent = percents[rng.below(5)], zero = zero_code(f);
    std::vector<bool> gone(cols);
    for (uint32_t c = 0; rng.one_in(2) && c < cols;) /* from here to there in all rows */
        for (uint32_t n = rng.range(1, 100), empty = rng.below(2); n-- && c < cols; c++)
            gone[c] = empty;
    const auto clear = [&](uint8_t *row, uint32_t c) {
        if (is_olive(f) && c + 1 - c % 2 * 2 < cols && row[c ^ 1] == 8)
            row[c ^ 1] = (uint8_t)zero; /* no victim without its outlier */
        row[c] = (uint8_t)zero;
    };
    for (uint32_t r = 0; r < rows; r++) {
        uint8_t *row = &codes[(size_t)r * cols];
        const bool dense = rng.one_in(16);
        for (uint32_t c = 0; c < cols; c++)
            if (gone[c] || (!dense && rng.below(100) < percent))
                clear(row, c);
        for (uint32_t b = 0; kind.keeps && b < cols; b += kind.block) {
            const uint32_t n = std::min(kind.block, cols - b);
            for (uint32_t left = n; left > kind.keeps; left--)
                clear(row, b + rng.below(n)); /* perhaps one that is zero already: see below */
            for (uint32_t c = b, kept = 0; c < b + n; c++)
                if (row[c] != zero && ++kept > kind.keeps)
                    clear(row, c);
        }
    }
}

/* Rows of random codes, of one code, of the two extreme ones; headers over their full range. For a kind with a window
 * many of them are zero. */
inline Matrix random_matrix(Rng &rng, accel_format f, uint32_t rows, uint32_t cols, uint32_t group,
                            bool asymmetric, const pe_kind *kind = nullptr)
{
    const uint32_t groups = group ? (cols + group - 1) / group : 1;
    const unsigned n = code_count(f);
    unsigned low = 0, high = 0;
    for (unsigned c = 0; c < n; c++) {
        if (!code_legal(f, c))
            continue;
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
        for (uint32_t c = 0; c < cols; c++) {
            uint8_t &code = codes[(size_t)r * cols + c];
            if (!code_legal(f, code))
                code = (uint8_t)low;
        }
        if (is_olive(
                f)) /* some victims, each with its outlier; one in three pairs, or all, or none */
            for (uint32_t c = 0; c + 1 < cols; c += 2) {
                if (how >= 2 && !rng.one_in(3))
                    continue;
                const bool left = rng.one_in(2);
                codes[(size_t)r * cols + c + left] = 8;
                codes[(size_t)r * cols + c + !left] = (uint8_t)(rng.range(1, 7) | rng.below(2)
                                                                                      << 3);
            }
    }
    if (kind && kind->window)
        thin_out(rng, *kind, f, rows, cols, codes);
    const uint32_t sh_top = rng.below(16);
    std::vector<uint8_t> sel(accel_format_has_sel(f) ? sh.size() : 0);
    for (uint8_t &v : sel)
        v = (uint8_t)rng.below(4);
    std::vector<int8_t> book(f == ACCEL_CODEBOOK3 || f == ACCEL_CODEBOOK4 ? (size_t)rows * n : 0);
    for (int8_t &v : book)
        v = (int8_t)(rng.one_in(8) ? (rng.one_in(2) ? 127 : -128) : (int64_t)rng.next());
    for (size_t i = 0; kind && kind->window && i < book.size(); i += n)
        book[i + zero_code(f)] = 0;
    for (size_t i = 0; i < sh.size(); i++) {
        sc[i] = (int16_t)rng.bits(sel.empty() ? 12 : 10);
        sh[i] = (uint8_t)rng.below(sh_top + 1);
        if (asymmetric)
            oc[i] = (int32_t)rng.bits(20);
    }
    return matrix_of(f, rows, cols, group, codes, sc, sh, oc, sel, book);
}

/* The same matrix with outliers: up to `most` in a row, or two whole columns of them. */
inline Matrix with_outliers(Rng &rng, const Matrix &mat, uint32_t most)
{
    const uint32_t rows = mat->rows, cols = mat->cols;
    const bool columns = most >= 2 && cols >= 2 && rng.one_in(4);
    const uint32_t left = rng.below(std::max(cols - 1, 1u));
    std::vector<uint32_t> first = { 0 }, col;
    std::vector<int16_t> k, sc;
    std::vector<uint8_t> sh;
    for (uint32_t r = 0; r < rows; r++) {
        const uint32_t want = columns ? 2 : std::min(rng.below(most + 1), cols);
        const int share = std::min(65535 / (int)std::max(want, 1u), 32767);
        const bool full = rng.one_in(3);
        for (uint32_t c = 0, taken = 0; c < cols; c++) {
            if (columns ? c != left && c != cols - 1 : rng.below(cols - c) >= want - taken)
                continue;
            col.push_back(c);
            k.push_back((int16_t)(full ? (rng.one_in(2) ? share : -share)
                                       : (int)rng.below((uint32_t)(2 * share + 1)) - share));
            taken++;
        }
        first.push_back((uint32_t)col.size());
        sc.push_back((int16_t)rng.bits(12));
        sh.push_back((uint8_t)rng.below(16));
    }
    if (col.empty()) { /* vectors without elements have no address */
        col.push_back(0);
        k.push_back(0);
    }
    accel_outliers outliers = { first.data(), col.data(), k.data(), sc.data(), sh.data() };
    accel_matrix_parts parts = {};
    parts.format = mat->format;
    parts.rows = rows;
    parts.cols = cols;
    parts.group = mat->group;
    parts.codes = mat->codes;
    parts.sc = mat->sc;
    parts.sh = mat->sh;
    parts.oc = mat->oc;
    parts.sel = mat->sel;
    parts.codebook = mat->codebook;
    parts.outliers = &outliers;
    accel_matrix *m = nullptr;
    accel_error err;
    int rc;
    while ((rc = accel_matrix_from_codes(&parts, &m, &err)) == ACCEL_E_OVERFLOW)
        for (uint32_t r = 0; r < rows; r++) { /* the matrix alone was small enough */
            sc[r] = (int16_t)(sh[r] ? sc[r] : sc[r] / 2);
            sh[r] = (uint8_t)(sh[r] ? sh[r] - 1 : 0);
        }
    CHECK(rc == ACCEL_OK, "accel_matrix_from_codes: %s", err.text);
    return Matrix(m);
}

/* n columns; some all at an end of the range, some zero, some with stretches of few bits or of one sign. */
inline std::vector<int8_t> random_acts(Rng &rng, uint32_t n, uint32_t cols)
{
    std::vector<int8_t> x((size_t)n * cols);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t how = rng.below(8);
        unsigned cut = 0, shift = 0;
        bool positive = false;
        for (uint32_t c = 0; c < cols; c++) {
            if (how == 5 && c % 8 == 0 && rng.one_in(4)) {
                cut = rng.below(9);
                shift = rng.below(cut + 1);
                positive = rng.one_in(2);
            }
            const int any = (int8_t)rng.next();
            x[(size_t)i * cols + c] = (int8_t)(how == 0   ? -128
                                               : how == 1 ? 127
                                               : how == 2 ? 0
                                               : how == 3 ? (rng.one_in(2) ? 127 : -128)
                                               : how == 4 ? rng.bits(8)
                                                          : ((positive ? any & 127 : any) >> cut) *
                                                                (1 << shift));
        }
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

/* One beat of the array, as the core's sequencer gives it to the tile. */
struct ArrayBeat {
    bool first, plane, last, has_word;
    int step;    /* of the chunk; -1: zeros */
    size_t word; /* see ArrayWords; only if has_word */
};

/* A packed matrix as the tile takes it: words, and for each chunk of each row tile the beats of one column.
 * Written from docs/core.md. */
class ArrayWords
{
  public:
    size_t bytes; /* of one word */

    ArrayWords(const pe_kind *kind, const Packed &p) : kind_(kind), p_(p)
    {
        const bool gathers = kind->word_planes > 1;
        const size_t plane = p.beat_bytes - (kind->window ? 1 : 0);
        bytes = gathers ? plane * (kind->word_planes + kind->extra_planes) : plane;
        const size_t per_word = gathers ? p.planes + kind->extra_planes : 1;
        const size_t count = p.code_beats / per_word;
        CHECK_EQ(p.code_beats % per_word, 0u, "beats of a word that is not whole");
        words_.resize(count * bytes);
        for (size_t i = 0; i < count; i++) {
            const uint8_t *from = p.codes + i * per_word * p.beat_bytes;
            uint8_t *to = &words_[i * bytes];
            if (kind->window)
                walk_.push_back(from[plane]);
            if (!gathers) {
                std::memcpy(to, from, plane);
                continue;
            }
            for (unsigned e = 0; e < kind->extra_planes; e++)
                std::memcpy(to + (kind->word_planes + kind->extra_planes - 1 - e) * plane,
                            from + e * p.beat_bytes, plane);
            from += kind->extra_planes * p.beat_bytes;
            for (unsigned b = 0; b < kind->word_planes;
                 b++) /* those above the code copy its sign */
                if (b < p.planes || p.coding == 0)
                    std::memcpy(to + b * plane,
                                from + (b < p.planes ? p.planes - 1 - b : 0) * p.beat_bytes, plane);
        }
        for (uint32_t t = 0; t < p.row_tiles; t++)
            for (uint32_t first = 0; first < p.steps; first += p.chunk_steps)
                add_chunk(std::min(p.chunk_steps, p.steps - first));
        CHECK_EQ(next_, count, "words in the chunks");
    }
    const uint8_t *word(size_t i) const { return &words_[i * bytes]; }
    const std::vector<ArrayBeat> &chunk(size_t i) const { return chunks_[i]; }

  private:
    const pe_kind *kind_;
    const Packed &p_;
    std::vector<uint8_t> words_, walk_;
    std::vector<std::vector<ArrayBeat>> chunks_;
    size_t next_ = 0;

    void add_chunk(uint32_t len)
    {
        std::vector<ArrayBeat> beats;
        if (kind_->window) {
            int step = 0;
            for (bool last = false; !last; next_++) {
                CHECK(next_ < walk_.size(), "the words end within a chunk");
                const int advance = walk_[next_] & 31;
                last = walk_[next_] >> 7;
                if (kind_->window == 1) {
                    step += advance;
                    CHECK(step < (int)len, "a word goes beyond its chunk");
                    beats.push_back({ beats.empty(), false, last, true, step, next_ });
                    continue;
                }
                CHECK(advance >= 1, "a word that does not go on");
                for (int i = 0; i < advance; i++, step++)
                    beats.push_back({ beats.empty(), false, last && i + 1 == advance,
                                      i + 1 == advance, step < (int)len ? step : -1, next_ });
            }
        } else {
            const uint32_t planes = kind_->step_major ? 1 : p_.planes;
            for (uint32_t b = 0; b < planes; b++)
                for (uint32_t s = 0; s < len; s++, next_++)
                    beats.push_back({ b == 0 && s == 0, b != 0 && s == 0,
                                      b + 1 == planes && s + 1 == len, true, (int)s, next_ });
        }
        chunks_.push_back(std::move(beats));
    }
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
