/* tb_tile.cpp - one PE kind's tile against the golden model: every format, group size and shape.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Built once a kind, with KIND its name and SHAPES(X) listing X(class, rows, lanes, scale units).
 * Packed streams are fed as the core's sequencer would; each D is compared with the sum over
 * decoded codes, and what the D add up to with the "cpu:" backend. */
#include "tb_matrix.h"

namespace
{

/* Multiply-accumulates of each format, group size and shape, at least; TB_MACS=N: not 10^6 */
uint64_t macs()
{
    const char *env = std::getenv("TB_MACS");
    return env ? std::strtoull(env, nullptr, 0) : 1000000;
}

const pe_kind *kind()
{
    return tb::find_kind(KIND);
}

/* Port w_i of the tile: one plane, or (mac) all eight. */
constexpr unsigned kMaxPlaneBytes = 32 * 32 / 8;

struct Beat {
    bool first, plane, last;
    const int8_t *x;
    const uint8_t *w;
    int sum;
};

template <unsigned Rows, unsigned Lanes, unsigned Units, class Top> class Feeder
{
    static constexpr unsigned kBytes = Rows * Lanes / 8;

  public:
    struct Slice {
        int32_t d[Units], sum;
    };
    /* What a chunk must give: D of all its rows that are not padding, and S. */
    struct Chunk {
        int32_t d[Rows], sum;
        unsigned rows;
    };

    explicit Feeder(tb::Job &job)
        : dut_(job), in_(dut_, dut_->valid_i, dut_->ready_o, job.stall(),
                         [this](const Beat &b) {
                             dut_->first_i = b.first;
                             dut_->plane_i = b.plane;
                             dut_->last_i = b.last;
                             std::memcpy(&dut_->x_i, b.x, Lanes);
                             std::memcpy(&dut_->w_i, b.w, kBytes * words());
                             tb::put_bits(dut_->sum_i, 0, 17, (uint64_t)b.sum);
                         }),
          out_(
              dut_, dut_->d_valid_o, dut_->d_ready_i, job.stall(),
              [this](Slice &s) {
                  for (unsigned u = 0; u < Units; u++)
                      s.d[u] = (int32_t)tb::get_signed(dut_->d_o, u * 24, 24);
                  s.sum = (int32_t)tb::get_signed(dut_->d_sum_o, 0, 17);
              },
              [this](const Slice &s) { check(s); })
    {
        dut_->planes_i = 1;
        dut_->coding_i = 0;
        dut_.reset();
    }

    std::function<void(const Chunk &)> good; /* called with each chunk that came out right */

    void format(unsigned planes, unsigned coding)
    {
        dut_->planes_i = (CData)planes;
        dut_->coding_i = (CData)coding;
    }
    static unsigned words() { return kind()->step_major ? 8 : 1; }

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

    void check(const Slice &s)
    {
        CHECK(!chunks_.empty(), "a chunk more than were sent");
        Chunk &c = chunks_.front();
        CHECK_EQ(s.sum, c.sum, "S");
        for (unsigned u = 0; u < Units; u++) {
            const unsigned r = slice_ * Units + u;
            CHECK(r >= c.rows || s.d[u] == c.d[r], "D of row %u is %d, expected %d (S %d)", r,
                  s.d[u], c.d[r], c.sum);
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

/* A matrix's codes as the tile takes them: for each row tile and chunk a run of words. */
struct Words {
    const tb::Packed &p;
    size_t bytes;
    std::vector<uint8_t> all; /* mac: eight planes a step */

    Words(const tb::Packed &packed, size_t plane_bytes) : p(packed), bytes(plane_bytes)
    {
        if (!kind()->step_major)
            return;
        all.resize((size_t)p.row_tiles * p.steps * 8 * bytes);
        for (size_t s = 0; s < (size_t)p.row_tiles * p.steps; s++)
            for (unsigned b = 0; b < 8; b++) { /* plane b; those above the code copy its sign */
                const unsigned from = b < p.planes ? p.planes - 1 - b : 0;
                if (b < p.planes || p.coding == 0)
                    std::memcpy(&all[(s * 8 + b) * bytes], p.codes + (s * p.planes + from) * bytes,
                                bytes);
            }
    }
    const uint8_t *at(uint32_t tile, uint32_t first, uint32_t len, uint32_t plane,
                      uint32_t step) const
    {
        const size_t chunk = (size_t)tile * p.steps + first; /* in steps */
        if (kind()->step_major)
            return &all[(chunk + step) * 8 * bytes];
        return p.codes + (chunk * p.planes + (size_t)plane * len + step) * bytes;
    }
};

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
    const tb::Matrix mat = tb::random_matrix(rng, f, rows, cols, group, rng.one_in(2));
    const std::vector<int8_t> x = tb::random_acts(rng, n, cols);
    const pack_shape shape = { Rows, Lanes, Units };
    const tb::Packed p(kind(), shape, mat.get());
    const Words words(p, Rows * Lanes / 8);
    const size_t column = (size_t)p.steps * Lanes;
    std::vector<int8_t> acts(column * n), decoded(0);
    for (uint32_t i = 0; i < n; i++)
        pack_activations(&p, Lanes, cols, mat->group, &x[(size_t)i * cols], &acts[i * column]);
    /* decoded codes, laid out like the activations */
    std::vector<int16_t> k((size_t)rows * column);
    const uint32_t span = p.row_header ? cols : mat->group;
    const size_t padded = p.row_header ? column : (size_t)p.chunk_steps * Lanes;
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t c = 0; c < cols; c++)
            k[r * column + c / span * padded + c % span] = (int16_t)accel_format_decode(
                f, mat->codes[(size_t)r * cols + c]);

    Feeder<Rows, Lanes, Units, Top> tile(job);
    tile.format(p.planes, p.coding);
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
    uint64_t beats = 0, chunks = 0;
    for (uint32_t t = 0; t < p.row_tiles; t++)
        for (uint32_t first = 0; first < p.steps; first += p.chunk_steps) {
            const uint32_t len = std::min(p.chunk_steps, p.steps - first);
            const uint32_t planes = kind()->step_major ? 1 : p.planes;
            for (uint32_t i = 0; i < n; i++) {
                const int8_t *xs = &acts[i * column + (size_t)first * Lanes];
                typename Feeder<Rows, Lanes, Units, Top>::Chunk c = {};
                c.rows = std::min<uint32_t>(Rows, rows - t * Rows);
                for (size_t e = 0; e < (size_t)len * Lanes; e++)
                    c.sum += xs[e];
                for (uint32_t r = 0; r < c.rows; r++) {
                    const int16_t *kr = &k[(size_t)(t * Rows + r) * column + (size_t)first * Lanes];
                    for (size_t e = 0; e < (size_t)len * Lanes; e++)
                        c.d[r] += kr[e] * xs[e];
                }
                tile.expect(c);
                where.push_back({ t, p.row_header ? 0 : first / p.chunk_steps, i });
                for (uint32_t b = 0; b < planes; b++)
                    for (uint32_t s = 0; s < len; s++, beats++) {
                        const bool last = b + 1 == planes && s + 1 == len;
                        tile.send({ b == 0 && s == 0, b != 0 && s == 0, last,
                                    xs + (size_t)s * Lanes, words.at(t, first, len, b, s),
                                    last ? c.sum : (int)rng.bits(17) });
                    }
                chunks++;
                tile.run(64);
            }
        }
    tile.run();
    tile.idle();
    if (job.number % 4 == 3 && Rows / Units == 1) /* one slice a chunk: nothing may hold it up */
        CHECK(tile.now() < beats + 64, "%llu beats took %llu cycles", (unsigned long long)beats,
              (unsigned long long)tile.now());
    CHECK(acc == golden.run(mat.get(), x, n), "what D adds up to differs from the cpu backend");
}

/* All pairs of codes in two lanes, times all activations of one and corners of the other. */
template <unsigned Rows, unsigned Lanes, unsigned Units, class Top>
void pair_job(tb::Job &job, accel_format f)
{
    tb::Rng &rng = job.rng;
    const unsigned codes = tb::code_count(f), pairs = codes * codes;
    const uint32_t row_tiles = (pairs + Rows - 1) / Rows;
    const unsigned cell = rng.below(Lanes / 4) * 4, a = cell + rng.below(4);
    const unsigned b = cell + (a - cell + 1 + rng.below(3)) % 4;
    std::vector<uint8_t> code((size_t)pairs * Lanes), sh(pairs);
    for (uint32_t r = 0; r < pairs; r++) {
        for (unsigned l = 0; l < Lanes; l++)
            code[(size_t)r * Lanes + l] = (uint8_t)rng.below(codes);
        code[(size_t)r * Lanes + a] = (uint8_t)(r % codes);
        code[(size_t)r * Lanes + b] = (uint8_t)(r / codes);
    }
    const tb::Matrix mat = tb::matrix_of(f, pairs, Lanes, 0, code, std::vector<int16_t>(pairs, 1),
                                         sh, {});
    const pack_shape shape = { Rows, Lanes, Units };
    const tb::Packed p(kind(), shape, mat.get());
    const Words words(p, Rows * Lanes / 8);
    std::vector<int> others = { -128, -127, -1, 0, 1, 127 };
    while (others.size() < 8)
        others.push_back((int8_t)rng.next());
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
    tile.format(p.planes, p.coding);
    const uint32_t planes = kind()->step_major ? 1 : p.planes;
    for (uint32_t t = 0; t < row_tiles; t++)
        for (const std::vector<int8_t> &x : xs) {
            typename Feeder<Rows, Lanes, Units, Top>::Chunk c = {};
            c.rows = std::min<uint32_t>(Rows, pairs - t * Rows);
            c.sum = x[a] + x[b];
            for (uint32_t r = 0; r < c.rows; r++) {
                const unsigned pair = t * Rows + r;
                c.d[r] = accel_format_decode(f, pair % codes) * x[a] +
                         accel_format_decode(f, pair / codes) * x[b];
            }
            tile.expect(c);
            for (uint32_t pl = 0; pl < planes; pl++)
                tile.send({ pl == 0, pl != 0, pl + 1 == planes, x.data(), words.at(t, 0, 1, pl, 0),
                            c.sum });
            tile.run(64);
        }
    tile.run();
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
    const std::string tile = "tile_" KIND " ";
    for (unsigned i = 0; i < tb::kFormats; i++) {
        const accel_format f = tb::format_at(i);
        if (kind()->refuse && kind()->refuse(f))
            continue;
        for (const Shape &s : shapes)
            run.test(tile + accel_format_name(f) + " rows " + std::to_string(s.rows) + " lanes " +
                         std::to_string(s.lanes) + " equals the golden model in all group sizes",
                     sizeof tb::kGroups / sizeof *tb::kGroups,
                     [&](tb::Job &job) { s.run(job, golden, f, tb::kGroups[job.number]); });
        if (accel_format_bits(f) <= 4)
            run.test(tile + accel_format_name(f) +
                         " multiplies all pairs of codes by all activations",
                     1, [&](tb::Job &job) { PAIR_SHAPE(job, f); });
    }
    return run.finish();
}
