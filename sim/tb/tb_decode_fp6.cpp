/* tb_decode_fp6.cpp - decode_fp6.v: both ways to split a code, as the golden decoder merges them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb.h"

#include "decode/decode.h"

#include "Vdecode_fp6_16x1.h"
#include "Vdecode_fp6_8x0.h"

namespace
{

template <class Top, unsigned Lanes, int Split> void weights(tb::Job &job)
{
    struct Word {
        uint8_t b[Lanes / 2];
    };
    struct Codes {
        uint8_t c[Lanes];
    };
    tb::Dut<Top> dut(job);
    tb::Source<Word> two(dut, dut->two_valid_i, dut->two_ready_o, job.stall(),
                         [&](const Word &w) { std::memcpy(&dut->two_i, w.b, sizeof w.b); });
    tb::Source<Word> four(dut, dut->four_valid_i, dut->four_ready_o, job.stall(),
                          [&](const Word &w) { std::memcpy(&dut->four_i, w.b, sizeof w.b); });
    std::deque<Codes> want;
    tb::Sink<Codes> out(
        dut, dut->valid_o, dut->ready_i, job.stall(),
        [&](Codes &c) {
            for (unsigned l = 0; l < Lanes; l++)
                c.c[l] = (uint8_t)tb::get_bits(dut->code_o, 6 * l, 6);
        },
        [&](const Codes &c) {
            CHECK(!want.empty(), "more codes than were sent");
            for (unsigned l = 0; l < Lanes; l++)
                CHECK_EQ(c.c[l], want.front().c[l], "a code");
            want.pop_front();
        });
    dut.reset();
    for (int matrix = 0; matrix < 3; matrix++) {
        const size_t n = job.rng.range(1, 3000);
        std::vector<uint8_t> code(n), back(n);
        for (auto &c : code)
            c = (uint8_t)job.rng.below(64);
        fp6_stream s;
        accel_error err;
        CHECK(fp6_encode((fp6_split)Split, Lanes, code.data(), n, &s, &err) == 0, "%s", err.text);
        CHECK(fp6_decode((fp6_split)Split, Lanes, &s, n, back.data(), &err) == 0, "%s", err.text);
        CHECK(back == code, "the golden decoder changed a code");
        for (size_t i = 0; i < s.two_bytes; i += Lanes / 2) {
            two.queue.emplace_back();
            std::memcpy(two.queue.back().b, s.two + i, Lanes / 2);
        }
        for (size_t i = 0; i < s.four_bytes; i += Lanes / 2) {
            four.queue.emplace_back();
            std::memcpy(four.queue.back().b, s.four + i, Lanes / 2);
        }
        back.resize(2 * s.four_bytes); /* with the filling, which is 0 */
        for (size_t i = 0; i < back.size(); i += Lanes) {
            want.emplace_back();
            std::memcpy(want.back().c, &back[i], Lanes);
        }
        fp6_free(&s);
        const uint64_t begin = dut.now(), beats = want.size();
        while (!want.empty()) {
            dut.drive();
            dut.step();
        }
        CHECK(two.queue.empty() && four.queue.empty(), "part of a stream was left");
        if (job.number % 4 == 3)
            CHECK_EQ(dut.now() - begin, beats + 1, "cycles without stalls");
    }
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    run.test("decode_fp6 merges {s,e2} and {e1,e0,m1,m0} under stalls", 40,
             weights<Vdecode_fp6_8x0, 8, 0>);
    run.test("decode_fp6 merges {s,e2,e1,e0} and {m1,m0} under stalls", 40,
             weights<Vdecode_fp6_16x1, 16, 1>);
    return run.finish();
}
