/* tb_tile.cpp - one PE kind's tile against the golden model: every format, group size and shape.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Built once a kind, with KIND its name, NAME that of the tile and SHAPES(X) listing X(class, rows, lanes, scale units).
 * Packed streams are fed as the core's sequencer would; each D is compared with the sum over
 * decoded codes, and what the D add up to with the "cpu:" backend. */
#include "tb_cycles.h"
#include "tb_matrix.h"

#include <array>

#ifndef D_BITS
#define D_BITS 24
#endif
/* What beats take, where nothing stalls: exactly, by a model of tb_cycles.h; or CYCLES(beats) at most. */
#ifndef CYCLE_MODEL
#define CYCLE_MODEL tb::OneCycle
#endif

namespace
{

/* Multiply-accumulates of each format, group size and shape, at least; TB_MACS=N: not this. Over the group sizes
 * it is more than 10^6 for each format and shape. */
uint64_t macs()
{
    const char *env = std::getenv("TB_MACS");
    return env ? std::strtoull(env, nullptr, 0) : 130000;
}

const pe_kind *kind()
{
    return tb::find_kind(KIND);
}

struct Beat {
    tb::ArrayBeat at;
    const int8_t *x; /* NULL: zeros */
    const uint8_t *w;
    int sum;
    const uint8_t *sel; /* two bits a row; NULL: none */
};

template <unsigned Rows, unsigned Lanes, unsigned Units, class Top> class Feeder
{
  public:
    struct Slice {
        int64_t d[Units];
        int32_t sum;
    };
    /* What a chunk must give: D of all its rows that are not padding, and S. */
    struct Chunk {
        int64_t d[Rows];
        int32_t sum;
        unsigned rows;
    };

    explicit Feeder(tb::Job &job)
        : dut_(job), in_(dut_, dut_->valid_i, dut_->ready_o, job.stall(),
                         [this](const Beat &b) {
                             dut_->first_i = b.at.first;
                             dut_->plane_i = b.at.plane;
                             dut_->last_i = b.at.last;
                             dut_->word_i = b.at.has_word;
                             if (b.x)
                                 std::memcpy(&dut_->x_i, b.x, Lanes);
                             else
                                 std::memset(&dut_->x_i, 0, Lanes);
                             std::memcpy(&dut_->w_i, b.w, word_bytes_);
                             if (b.sel)
                                 for (unsigned r = 0; r < Rows; r++)
                                     tb::put_bits(dut_->sel_i, 2 * r, 2, b.sel[r]);
                             tb::put_bits(dut_->sum_i, 0, 17, (uint64_t)b.sum);
                         }),
          out_(
              dut_, dut_->d_valid_o, dut_->d_ready_i, job.stall(),
              [this](Slice &s) {
                  for (unsigned u = 0; u < Units; u++)
                      s.d[u] = tb::get_signed(dut_->d_o, u * D_BITS, D_BITS);
                  s.sum = (int32_t)tb::get_signed(dut_->d_sum_o, 0, 17);
              },
              [this](const Slice &s) { check(s); })
    {
        in_.taken = [this](const Beat &) {
            first_taken_ = in_.count ? first_taken_ : dut_.now();
            last_taken_ = dut_.now();
        };
        dut_->planes_i = 1;
        dut_->coding_i = 0;
        dut_.reset();
    }

    std::function<void(const Chunk &)> good; /* called with each chunk that came out right */

    void format(const packed &p, size_t word_bytes)
    {
        dut_->planes_i = (CData)p.planes;
        dut_->coding_i = (CData)p.coding;
        dut_->table_i = (CData)p.table;
        word_bytes_ = word_bytes;
        CHECK(word_bytes <= sizeof dut_->w_i, "words of %zu bytes do not fit the port", word_bytes);
    }

    void send(const Beat &b) { in_.queue.push_back(b); }
    void expect(const Chunk &c) { chunks_.push_back(c); }
    /* Run until no more than so many chunks are left. */
    void run(size_t left = 0)
    {
        while (chunks_.size() > left) {
            dut_.drive();
            dut_.step();
        }
        CHECK(left || in_.queue.empty(), "D came before its last beat");
    }
    uint64_t now() const { return dut_.now(); }
    /* Cycles from the first beat's taking to the last one's. */
    uint64_t took() const { return last_taken_ - first_taken_; }
    void idle()
    {
        for (int t = 0; t < 8; t++) {
            dut_.drive();
            CHECK(!dut_->d_valid_o, "a chunk more than were sent");
            dut_.step();
        }
    }

  private:
    tb::Dut<Top> dut_;
    tb::Source<Beat> in_;
    tb::Sink<Slice> out_;
    std::deque<Chunk> chunks_;
    unsigned slice_ = 0;
    size_t word_bytes_ = 0;
    uint64_t first_taken_ = 0, last_taken_ = 0;

    void check(const Slice &s)
    {
        CHECK(!chunks_.empty(), "a chunk more than were sent");
        Chunk &c = chunks_.front();
        if (!kind()->window)
            CHECK_EQ(s.sum, c.sum, "S");
        for (unsigned u = 0; u < Units; u++) {
            const unsigned r = slice_ * Units + u;
            CHECK(r >= c.rows || s.d[u] == c.d[r], "D of row %u is %lld, expected %lld (S %d)", r,
                  (long long)s.d[u], (long long)c.d[r], c.sum);
            c.d[r] = s.d[u];
        }
        if (++slice_ == Rows / Units) {
            slice_ = 0;
            if (good)
                good(c);
            chunks_.pop_front();
        }
    }
};

pack_shape shape_of(unsigned rows, unsigned lanes, unsigned units)
{
    return { rows, lanes, units, D_BITS };
}

/* What a model says of the beat before this one; most have no more to say. */
template <class Model> auto late(Model &m, const tb::ArrayBeat &at, int) -> decltype(m.late(at))
{
    return m.late(at);
}
template <class Model> unsigned late(Model &, const tb::ArrayBeat &, long)
{
    return 0;
}

/* What the beats of a job should take. */
template <unsigned Rows, unsigned Lanes> struct Expected {
    CYCLE_MODEL model{ Rows, Lanes };
    uint64_t beats = 0, cycles = 0; /* from the first to the last: without the last one's own */
    unsigned last = 0;

    void add(const packed &p, const Beat &b)
    {
        beats++;
        cycles += last + late(model, b.at, 0);
        last = model.beat(p, b.x, b.w, b.at.last);
    }
};

/* Feed one chunk of one column. */
template <class Tile, class Expect>
void send_chunk(Tile &tile, tb::Rng &rng, const tb::ArrayWords &words, size_t chunk,
                const int8_t *x, unsigned lanes, int sum, const uint8_t *sel, const packed &p,
                Expect &expect)
{
    for (const tb::ArrayBeat &b : words.chunk(chunk)) {
        const Beat beat = { b, b.step < 0 ? nullptr : x + (size_t)b.step * lanes,
                            words.word(b.word), b.last ? sum : (int)rng.bits(17), sel };
        expect.add(p, beat);
        tile.send(beat);
    }
}

template <unsigned Rows, unsigned Lanes, unsigned Units, class Top>
void matrix_job(tb::Job &job, tb::Golden &golden, accel_format f, uint32_t group)
{
    tb::Rng &rng = job.rng;
    const uint32_t row_tiles = rng.range(1, 2);
    const uint32_t rows = row_tiles * Rows - (rng.one_in(2) ? rng.below(Rows) : 0);
    const uint32_t width = group ? group : rng.range(1, 700);
    uint32_t cols = group ? group * rng.range(1, 1 + 256 / group) : width;
    if (group && rng.one_in(2))
        cols -= rng.below(group); /* the last group is shorter */
    const uint32_t n = (uint32_t)((macs() + (uint64_t)rows * cols - 1) / ((uint64_t)rows * cols));
    const bool asymmetric = rng.one_in(2) && !kind()->window;
    const tb::Matrix mat = tb::random_matrix(rng, f, rows, cols, group, asymmetric, kind());
    const std::vector<int8_t> x = tb::random_acts(rng, n, cols);
    const pack_shape shape = shape_of(Rows, Lanes, Units);
    const tb::Packed p(kind(), shape, mat.get());
    const tb::ArrayWords words(kind(), p);
    const size_t column = (size_t)p.steps * Lanes;
    std::vector<int8_t> acts(column * n);
    for (uint32_t i = 0; i < n; i++)
        pack_activations(&p, Lanes, cols, mat->group, &x[(size_t)i * cols], &acts[i * column]);
    /* decoded codes, laid out like the activations */
    std::vector<int32_t> k((size_t)rows * column);
    const uint32_t span = p.row_header ? cols : mat->group;
    const size_t padded = p.row_header ? column : (size_t)p.chunk_steps * Lanes;
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t c = 0; c < cols; c++)
            k[r * column + c / span * padded + c % span] = accel_matrix_k(mat.get(), r, c);

    Feeder<Rows, Lanes, Units, Top> tile(job);
    tile.format(p, words.bytes);
    std::vector<int64_t> acc((size_t)n * rows);
    struct Where {
        uint32_t tile, group, col;
    };
    std::deque<Where> where;
    tile.good = [&](const auto &c) {
        const Where w = where.front();
        where.pop_front();
        for (uint32_t r = 0; r < c.rows; r++) {
            const uint32_t m = w.tile * Rows + r;
            const size_t h = (size_t)m * mat->groups + w.group;
            acc[(size_t)w.col * rows + m] += ((int64_t)mat->sc[h] * c.d[r] +
                                              (int64_t)mat->oc[h] * c.sum) *
                                             ((int64_t)1 << mat->sh[h]);
        }
    };
    Expected<Rows, Lanes> expect;
    size_t chunk = 0;
    std::deque<std::array<uint8_t, Rows>> sels; /* stay where they are while beats wait */
    for (uint32_t t = 0; t < p.row_tiles; t++)
        for (uint32_t first = 0; first < p.steps; first += p.chunk_steps, chunk++) {
            const uint32_t len = std::min(p.chunk_steps, p.steps - first);
            const uint32_t g = p.row_header ? 0 : first / p.chunk_steps;
            sels.push_back({});
            for (uint32_t r = 0; p.has_sel && r < std::min<uint32_t>(Rows, rows - t * Rows); r++)
                sels.back()[r] = mat->sel[(size_t)(t * Rows + r) * mat->groups + g];
            for (uint32_t i = 0; i < n; i++) {
                const int8_t *xs = &acts[i * column + (size_t)first * Lanes];
                typename Feeder<Rows, Lanes, Units, Top>::Chunk c = {};
                c.rows = std::min<uint32_t>(Rows, rows - t * Rows);
                for (size_t e = 0; e < (size_t)len * Lanes; e++)
                    c.sum += xs[e];
                for (uint32_t r = 0; r < c.rows; r++) {
                    const int32_t *kr = &k[(size_t)(t * Rows + r) * column + (size_t)first * Lanes];
                    for (size_t e = 0; e < (size_t)len * Lanes; e++)
                        c.d[r] += (int64_t)kr[e] * xs[e];
                }
                tile.expect(c);
                where.push_back({ t, g, i });
                send_chunk(tile, rng, words, chunk, xs, Lanes, c.sum,
                           p.has_sel ? sels.back().data() : nullptr, p, expect);
                tile.run(64);
            }
        }
    tile.run();
    tile.idle();
    if (job.number % 4 == 3 && Rows / Units == 1) /* one slice a chunk: nothing may hold it up */
#ifdef CYCLES
        CHECK(tile.now() < CYCLES(expect.beats) + 64, "%llu beats took %llu cycles",
              (unsigned long long)expect.beats, (unsigned long long)tile.now());
#else
        CHECK(tile.took() == expect.cycles, "%llu beats took %llu cycles, expected %llu",
              (unsigned long long)expect.beats, (unsigned long long)tile.took(),
              (unsigned long long)expect.cycles);
#endif
    CHECK(acc == golden.run(mat.get(), x, n), "what D adds up to differs from the cpu backend");
}

/* All pairs of codes in two neighbouring lanes, times all activations of one and corners of the other. */
template <unsigned Rows, unsigned Lanes, unsigned Units, class Top>
void pair_job(tb::Job &job, accel_format f)
{
    tb::Rng &rng = job.rng;
    const unsigned codes = tb::code_count(f), pairs = codes * codes * 4;
    const unsigned a = rng.below(Lanes / 2) * 2, b = a + 1; /* an OliVe pair */
    std::vector<uint8_t> code, sel;
    std::vector<int8_t> book;
    for (unsigned i = 0; i < pairs; i++) { /* every selector, too */
        const unsigned ca = i / 4 % codes, cb = i / 4 / codes;
        const bool va = tb::is_olive(f) && ca == 8, vb = tb::is_olive(f) && cb == 8;
        if ((va && (vb || cb % 8 == 0)) || (vb && ca % 8 == 0) ||
            (i % 4 && !accel_format_has_sel(f)))
            continue;
        for (unsigned l = 0; l < Lanes; l++) {
            const unsigned other = rng.below(codes);
            code.push_back((uint8_t)(l == a                     ? ca
                                     : l == b                   ? cb
                                     : kind()->keeps            ? tb::zero_code(f)
                                     : tb::code_legal(f, other) ? other
                                                                : 0));
        }
        sel.push_back((uint8_t)(i % 4));
        for (unsigned c = 0; (f == ACCEL_CODEBOOK3 || f == ACCEL_CODEBOOK4) && c < codes; c++)
            book.push_back((int8_t)rng.next());
    }
    const uint32_t rows = (uint32_t)sel.size(), row_tiles = (rows + Rows - 1) / Rows;
    if (!accel_format_has_sel(f))
        sel.clear();
    const tb::Matrix mat = tb::matrix_of(f, rows, Lanes, 0, code, std::vector<int16_t>(rows, 1),
                                         std::vector<uint8_t>(rows), {}, sel, book);
    const tb::Packed p(kind(), shape_of(Rows, Lanes, Units), mat.get());
    const tb::ArrayWords words(kind(), p);
    std::vector<int> others = { -128, -1, 0, 1, 127, (int8_t)rng.next() };
    std::vector<std::vector<int8_t>> xs;
    for (int swap = 0; swap < 2; swap++)
        for (const int other : others)
            for (int v = -128; v < 128; v++) {
                std::vector<int8_t> x(Lanes, 0);
                x[swap ? b : a] = (int8_t)v;
                x[swap ? a : b] = (int8_t)other;
                xs.push_back(x);
            }
    Feeder<Rows, Lanes, Units, Top> tile(job);
    tile.format(p, words.bytes);
    Expected<Rows, Lanes> expect;
    for (uint32_t t = 0; t < row_tiles; t++) {
        std::array<uint8_t, Rows> sels = {};
        int32_t ka[Rows] = {}, kb[Rows] = {};
        const uint32_t used = std::min<uint32_t>(Rows, rows - t * Rows);
        for (uint32_t r = 0; r < used; r++) {
            sels[r] = sel.empty() ? 0 : sel[t * Rows + r];
            ka[r] = accel_matrix_k(mat.get(), t * Rows + r, a);
            kb[r] = accel_matrix_k(mat.get(), t * Rows + r, b);
        }
        for (const std::vector<int8_t> &x : xs) {
            typename Feeder<Rows, Lanes, Units, Top>::Chunk c = {};
            c.rows = used;
            c.sum = x[a] + x[b];
            for (uint32_t r = 0; r < used; r++)
                c.d[r] = ka[r] * x[a] + kb[r] * x[b];
            tile.expect(c);
            send_chunk(tile, rng, words, t, x.data(), Lanes, c.sum,
                       p.has_sel ? sels.data() : nullptr, p, expect);
            tile.run(64);
        }
        tile.run();
    }
}

using MatrixJob = void (*)(tb::Job &, tb::Golden &, accel_format, uint32_t);
struct Shape {
    unsigned rows, lanes;
    MatrixJob run;
};
#define SHAPE(top, rows, lanes, units) { rows, lanes, matrix_job<rows, lanes, units, top> },
const Shape shapes[] = { SHAPES(SHAPE) };

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    tb::Golden golden;
    const std::string tile = NAME;
    for (const accel_format f : tb::formats()) {
        pack_wire wire;
        if (pack_wire_format(kind(), D_BITS, f, &wire))
            continue;
        for (const Shape &s : shapes) {
            if (wire.expanded &&
                &s != shapes) /* the tile sees integers, which the others have shown */
                continue;
            run.test(tile + accel_format_name(f) + " rows " + std::to_string(s.rows) + " lanes " +
                         std::to_string(s.lanes) + " equals the golden model in all group sizes",
                     sizeof tb::kGroups / sizeof *tb::kGroups,
                     [&](tb::Job &job) { s.run(job, golden, f, tb::kGroups[job.number]); });
        }
        if (accel_format_bits(f) <= 4 && !wire.expanded)
            run.test(tile + accel_format_name(f) +
                         " multiplies all pairs of codes by all activations",
                     1, [&](tb::Job &job) { PAIR_SHAPE(job, f); });
    }
    return run.finish();
}
