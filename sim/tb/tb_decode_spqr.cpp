/* tb_decode_spqr.cpp - decode_spqr.v: codes and integer headers as the golden decoder has them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb.h"

#include "decode/decode.h"

#include "Vdecode_spqr.h"

#include <cmath>

namespace
{

struct Row {
    spqr_row r;
    uint8_t last;
};

struct Bench {
    tb::Dut<Vdecode_spqr> dut;
    tb::Source<uint64_t> in;
    std::deque<Row> want;
    tb::Sink<Row> out;

    explicit Bench(tb::Job &job, bool check = true)
        : dut(job),
          in(dut, dut->valid_i, dut->ready_o, job.stall(), [&](uint64_t v) { dut->row_i = v; }),
          out(
              dut, dut->valid_o, dut->ready_i, job.stall(),
              [&](Row &b) {
                  for (unsigned i = 0; i < 16; i++)
                      b.r.code[i] = (uint8_t)(dut->code_o >> 3 * i & 7);
                  b.r.sc = (int16_t)tb::get_signed(dut->sc_o, 0, 12);
                  b.r.sh = dut->sh_o;
                  b.r.oc = (int32_t)tb::get_signed(dut->oc_o, 0, 20);
                  b.last = dut->last_o;
              },
              [this, check](const Row &b) {
                  CHECK(!want.empty(), "more rows than were sent");
                  const Row w = want.front();
                  want.pop_front();
                  CHECK_EQ(b.last, w.last, "last_o");
                  for (unsigned i = 0; i < 16; i++)
                      CHECK_EQ(b.r.code[i], w.r.code[i], "a code");
                  if (!check)
                      return;
                  CHECK_EQ(b.r.sc, w.r.sc, "sc");
                  CHECK_EQ(b.r.sh, w.r.sh, "sh");
                  CHECK_EQ(b.r.oc, w.r.oc, "oc");
              })
    {
        dut.reset();
    }
    void send(const uint64_t tile[16], const spqr_row rows[16])
    {
        for (unsigned r = 0; r < 16; r++) {
            in.queue.push_back(tile[r]);
            want.push_back({ rows[r], r == 15 });
        }
    }
    uint64_t run()
    {
        const uint64_t begin = dut.now();
        while (!want.empty()) {
            dut.drive();
            dut.step();
        }
        return dut.now() - begin;
    }
};

/* Any second-order integers; if they do not fit, these are smaller ones. */
void any_tile(tb::Rng &rng, uint64_t tile[16], spqr_row rows[16])
{
    for (unsigned less = 0;; less++) {
        const unsigned s = less > 3 ? 3 : less;
        uint64_t n = ((uint64_t)(rng.bits(14) >> s) & 0x3fff) |
                     ((uint64_t)(rng.bits(16) >> s) & 0xffff) << 14;
        n |= ((uint64_t)(rng.bits(14) >> s) & 0x3fff) << 30 |
             ((uint64_t)(rng.bits(16) >> s) & 0xffff) << 44;
        n |= rng.next() << 60;
        for (unsigned r = 0; r < 16; r++)
            tile[r] = (rng.next() & ((1ull << 54) - 1)) | (n >> 8 * (r / 2) & 255) << 54;
        if (spqr_decode(tile, rows, nullptr) == 0)
            return;
    }
}

void random_tiles(tb::Job &job)
{
    Bench b(job);
    const unsigned tiles = job.rng.range(1, 40);
    for (unsigned t = 0; t < tiles; t++) {
        uint64_t tile[16];
        spqr_row rows[16];
        any_tile(job.rng, tile, rows);
        b.send(tile, rows);
    }
    const uint64_t cycles = b.run();
    CHECK(!b.dut->error_o, "error_o without an error");
    if (job.number % 4 == 3)
        CHECK_EQ(cycles, 16 * (tiles + 1) + 2, "cycles without stalls");
}

/* Gaussian weights through the encoder and the host's conversion. */
void gaussian_tiles(tb::Job &job)
{
    constexpr unsigned Tiles = 100;
    Bench b(job);
    std::vector<uint64_t> tiles(Tiles * 16);
    double unit, worst = 0, rms = 0, rms_all = 0;
    accel_error err;
    for (unsigned t = 0; t < Tiles; t++) {
        float w[256];
        for (float &v : w) {
            double sum = -6;
            for (unsigned i = 0; i < 12; i++)
                sum += job.rng.below(1u << 20) / double(1u << 20);
            v = (float)(0.02 * sum);
        }
        CHECK(spqr_encode(w, &tiles[t * 16], &err) == 0, "%s", err.text);
        double back[256];
        CHECK(spqr_values(&tiles[t * 16], back, &err) == 0, "%s", err.text);
        for (unsigned i = 0; i < 256; i++) {
            rms += (back[i] - w[i]) * (back[i] - w[i]);
            rms_all += w[i] * w[i];
        }
    }
    CHECK(spqr_unit(tiles.data(), Tiles, &unit, &err) == 0, "%s", err.text);
    for (unsigned t = 0; t < Tiles; t++) {
        uint64_t tile[16];
        spqr_row rows[16];
        double error;
        CHECK(spqr_convert(&tiles[t * 16], unit, tile, &error, &err) == 0, "%s", err.text);
        CHECK(error < 0.03, "the integers are %g steps off", error);
        worst = error > worst ? error : worst;
        CHECK(spqr_decode(tile, rows, &err) == 0, "%s", err.text);
        b.send(tile, rows);
    }
    const uint64_t cycles = b.run();
    CHECK(!b.dut->error_o, "error_o without an error");
    if (job.number == 3)
        std::printf(
            "    Gauss(0, 0.02): 4 bits/weight, %.3f weights/cycle; integers at most %.4f steps "
            "from s * (q - z); 3 bits themselves: relative error %.3f\n",
            Tiles * 256.0 / (double)cycles, worst, std::sqrt(rms / rms_all));
}

void overflows(tb::Job &job)
{
    for (int round = 0; round < 4; round++) {
        Bench b(job, false);
        uint64_t tile[16];
        spqr_row rows[16];
        any_tile(job.rng, tile, rows);
        b.send(tile, rows);
        b.run();
        CHECK(!b.dut->error_o, "error_o without an error");
        /* sc of the last row beyond 12 bits (its limit plus one), or oc beyond 20 */
        uint64_t n = round % 2 ? 0x7fffull << 14 /* sc = 2048 */
                               : (0x7feull << 18 | 0x1fffull << 30 |
                                  0x7fffull << 44); /* oc = 2046 * 352 */
        for (unsigned r = 0; r < 16; r++)
            tile[r] = (uint64_t)(r == 15 ? 7 << 3 : 0) | (n >> 8 * (r / 2) & 255) << 54;
        CHECK_EQ(spqr_decode(tile, rows, nullptr), ACCEL_E_CORRUPT, "the golden decoder's verdict");
        std::memset(rows, 0, sizeof rows);
        b.send(tile, rows);
        b.run();
        CHECK(b.dut->error_o, "no error_o");
    }
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    run.test("decode_spqr returns codes and headers of random tiles under stalls", 60,
             random_tiles);
    run.test("decode_spqr returns codes and headers of converted tiles under stalls", 8,
             gaussian_tiles);
    run.test("decode_spqr says when a scale or an offset does not fit", 8, overflows);
    return run.finish();
}
