/* tb_bf16_block.cpp - bf16_block.v: the codes and scales of the golden model, for every exponent
 * and mantissa.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb.h"

#include "decode/decode.h"

#include "Vbf16_block_1.h"
#include "Vbf16_block_8.h"

namespace
{

struct Beat {
    int8_t code[16];
    uint8_t scale, last;
};

template <class Top, unsigned Lanes> void blocks(tb::Job &job)
{
    struct In {
        uint16_t w[Lanes];
    };
    tb::Dut<Top> dut(job);
    tb::Source<In> in(dut, dut->valid_i, dut->ready_o, job.stall(), [&](const In &b) {
        for (unsigned i = 0; i < Lanes; i++)
            tb::put_bits(dut->data_i, 16 * i, 16, b.w[i]);
    });
    std::deque<Beat> want;
    tb::Sink<Beat> out(
        dut, dut->valid_o, dut->ready_i, job.stall(),
        [&](Beat &b) {
            for (unsigned i = 0; i < Lanes; i++)
                b.code[i] = (int8_t)tb::get_bits(dut->code_o, 8 * i, 8);
            b.scale = dut->scale_o;
            b.last = dut->last_o;
        },
        [&](const Beat &b) {
            CHECK(!want.empty(), "more beats than blocks");
            CHECK_EQ(b.scale, want.front().scale, "the scale");
            CHECK_EQ(b.last, want.front().last, "last_o");
            for (unsigned i = 0; i < Lanes; i++)
                CHECK_EQ(b.code[i], want.front().code[i], "a code");
            want.pop_front();
        });
    dut.reset();
    bool finite = true;
    const unsigned n = 150;
    for (unsigned k = 0; k < n; k++) {
        uint16_t w[32];
        int8_t code[32];
        uint8_t scale;
        /* exponents within a window below the top one; NaN and infinity in late blocks of some
         * jobs only */
        const unsigned top = job.rng.below(255),
                       span = job.rng.one_in(3) ? 256 : 1 + job.rng.below(12);
        for (unsigned i = 0; i < 32; i++) {
            const unsigned down = job.rng.below(span);
            const unsigned e = down > top ? 0 : top - down;
            w[i] = (uint16_t)((job.rng.next() & 0x807f) | e << 7);
            if (job.rng.one_in(8))
                w[i] |= 0x7f;
            if (job.rng.one_in(8))
                w[i] &= 0xff80;
        }
        if (k == n - 10 && job.rng.one_in(2))
            w[job.rng.below(32)] |= 0x7f80;
        if (k == 1)
            std::memset(w, 0, sizeof w);
        finite &= bf16_block(w, code, &scale);
        for (unsigned i = 0; i < 32; i += Lanes) {
            In b;
            std::memcpy(b.w, w + i, sizeof b.w);
            in.queue.push_back(b);
            Beat o;
            std::memset(&o, 0, sizeof o);
            std::memcpy(o.code, code + i, Lanes);
            o.scale = scale;
            o.last = i + Lanes == 32;
            want.push_back(o);
        }
    }
    const uint64_t begin = dut.now(), beats = in.queue.size();
    while (!want.empty()) {
        CHECK(!dut->error_o || in.queue.size() < 10 * 32 / Lanes, "error_o before an error");
        dut.drive();
        dut.step();
    }
    CHECK_EQ(dut->error_o, !finite, "error_o");
    if (job.number % 4 == 3)
        CHECK_EQ(dut.now() - begin, beats + 32 / Lanes + 1, "cycles without stalls");
}

/* Every weight there is, below every scale that leaves it a bit. */
void every(tb::Job &job)
{
    tb::Dut<Vbf16_block_8> dut(job);
    dut.reset();
    dut->ready_i = 1;
    std::deque<Beat> want;
    const unsigned first = job.number * 8192;
    for (unsigned base = first, fed = 0; base < first + 8192 || !want.empty();) {
        static uint16_t w[32];
        if (fed == 0 && base < first + 8192) {
            int8_t code[32];
            uint8_t scale;
            for (unsigned i = 0; i < 31; i++)
                w[i] = (uint16_t)(base + i);
            /* the last one holds the scale 0 to 10 above */
            const unsigned e = (base >> 7 & 255) + job.rng.below(11);
            w[31] = (uint16_t)((e > 254 ? 254 : e) << 7);
            bf16_block(w, code, &scale);
            for (unsigned i = 0; i < 32; i += 8) {
                Beat o;
                std::memcpy(o.code, code + i, 8);
                o.scale = scale;
                want.push_back(o);
            }
            base += 31;
        }
        dut->valid_i = fed < 4;
        for (unsigned i = 0; i < 8 && fed < 4; i++)
            tb::put_bits(dut->data_i, 16 * i, 16, w[8 * fed + i]);
        dut.drive();
        if (dut->valid_o) {
            CHECK(!want.empty(), "more beats than blocks");
            CHECK_EQ(dut->scale_o, want.front().scale, "the scale");
            for (unsigned i = 0; i < 8; i++)
                CHECK_EQ((int8_t)tb::get_bits(dut->code_o, 8 * i, 8), want.front().code[i],
                         "a code");
            want.pop_front();
        }
        fed += dut->valid_i && dut->ready_o;
        if (fed == 4 && base < first + 8192)
            fed = 0;
        dut.step();
        dut.alive();
    }
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    run.test("bf16_block with one lane makes the golden model's codes and scales under stalls", 40,
             blocks<Vbf16_block_1, 1>);
    run.test("bf16_block with 8 lanes makes the golden model's codes and scales under stalls", 40,
             blocks<Vbf16_block_8, 8>);
    run.test("bf16_block rounds each of the 65536 bf16 numbers as the golden model does", 8, every);
    return run.finish();
}
