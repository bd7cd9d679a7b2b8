/* tb_decode_qmoe.cpp - decode_qmoe.v: ternary weights of any sparsity come back in beats of lanes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb.h"

#include "decode/decode.h"

#include "Vdecode_qmoe_32.h"
#include "Vdecode_qmoe_64.h"

namespace
{

template <class Top, unsigned Lanes> struct Bench {
    struct Beat {
        int8_t w[Lanes];
        uint8_t last;
    };
    tb::Dut<Top> dut;
    tb::Source<uint32_t> cmd;
    tb::Source<uint16_t> word;
    std::deque<Beat> want;
    tb::Sink<Beat> out;

    explicit Bench(tb::Job &job)
        : dut(job), cmd(dut, dut->cmd_valid_i, dut->cmd_ready_o, job.stall(),
                        [&](uint32_t v) { dut->cmd_i = v; }),
          word(dut, dut->word_valid_i, dut->word_ready_o, job.stall(),
               [&](uint16_t v) { dut->word_i = v; }),
          out(
              dut, dut->valid_o, dut->ready_i, job.stall(),
              [&](Beat &b) {
                  for (unsigned l = 0; l < Lanes; l++)
                      b.w[l] = (int8_t)tb::get_signed(dut->code_o, 2 * l, 2);
                  b.last = dut->last_o;
              },
              [this](const Beat &b) {
                  CHECK(!want.empty(), "more beats than there are weights for");
                  for (unsigned l = 0; l < Lanes; l++)
                      CHECK_EQ(b.w[l], want.front().w[l], "a weight");
                  CHECK_EQ(b.last, want.front().last, "last_o");
                  want.pop_front();
              })
    {
        dut.reset();
    }
    void expect(const std::vector<int8_t> &w)
    {
        for (size_t i = 0; i < w.size(); i += Lanes) {
            want.emplace_back();
            Beat &b = want.back();
            std::memset(&b, 0, sizeof b);
            std::memcpy(b.w, &w[i], std::min<size_t>(Lanes, w.size() - i));
            b.last = i + Lanes >= w.size();
        }
        cmd.queue.push_back((uint32_t)w.size());
    }
    /* Returns the words it took. */
    size_t send(const std::vector<int8_t> &w)
    {
        std::vector<int8_t> back(w.size());
        qmoe_stream s;
        accel_error err;
        CHECK(qmoe_encode(w.data(), w.size(), &s, &err) == 0, "%s", err.text);
        CHECK(qmoe_decode(s.word, s.words, w.size(), back.data(), &err) == 0, "%s", err.text);
        CHECK(back == w, "the golden decoder changed a weight");
        word.queue.insert(word.queue.end(), s.word, s.word + s.words);
        const size_t words = s.words;
        qmoe_free(&s);
        expect(w);
        return words;
    }
    uint64_t run()
    {
        const uint64_t begin = dut.now();
        while (!want.empty() || !cmd.queue.empty()) {
            dut.drive();
            dut.step();
        }
        CHECK(word.queue.empty(), "words were left");
        return dut.now() - begin;
    }
};

std::vector<int8_t> ternary(tb::Rng &rng, size_t n, unsigned per_mille_zero)
{
    std::vector<int8_t> w(n);
    for (auto &v : w)
        v = (int8_t)(rng.below(1000) < per_mille_zero ? 0 : rng.one_in(2) ? 1 : -1);
    return w;
}

template <class Top, unsigned Lanes> void rows(tb::Job &job)
{
    static const unsigned zeros[] = { 885, 900, 0, 500, 990, 1000, 950, 333 };
    Bench<Top, Lanes> b(job);
    size_t words = 0;
    const unsigned n = job.rng.range(1, 8);
    for (unsigned i = 0; i < n; i++)
        words += b.send(ternary(job.rng, job.rng.range(1, job.rng.one_in(3) ? 2 * Lanes : 3000),
                                zeros[job.rng.below(8)]));
    const uint64_t cycles = b.run();
    CHECK(!b.dut->error_o, "error_o without an error");
    if (job.number % 4 == 3)
        CHECK(cycles <= 3 * words + 3 * n + 1, "%llu cycles for %zu words",
              (unsigned long long)cycles, words);
}

/* Any word there is: every token behind every other. */
void all_words(tb::Job &job)
{
    Bench<Vdecode_qmoe_32, 32> b(job);
    std::vector<uint16_t> words;
    std::vector<int8_t> w;
    for (unsigned k = 0; k < 8192; k++) {
        const uint16_t word = (uint16_t)(8192 * job.number + k);
        int8_t part[92];
        if (word >> 10 == 63)
            continue;
        size_t n = word >> 10 == 62 ? 31 : (word >> 11) + 1u;
        for (const unsigned t : { word & 31u, word >> 5 & 31u })
            n += t < 30 ? t / 2 + 1 : t == 30 ? 15 : 30;
        CHECK(qmoe_decode(&word, 1, n, part, nullptr) == 0, "word %04x", word);
        words.push_back(word);
        w.insert(w.end(), part, part + n);
    }
    b.word.queue.assign(words.begin(), words.end());
    b.expect(w);
    b.run();
    CHECK(!b.dut->error_o, "error_o without an error");
}

/* Hostile words end a command all the same, with error_o, and reset helps. */
void broken(tb::Job &job)
{
    Bench<Vdecode_qmoe_32, 32> b(job);
    for (unsigned round = 0; round < 4; round++) {
        b.dut.reset();
        CHECK(!b.dut->error_o, "error_o after reset");
        /* +, 30 zeros, then: no token (the hardware takes it for 31 zeros), or 30 zeros and a
         * weight too many */
        const uint16_t word = (uint16_t)((round % 2 ? 63 : 61) << 10 | 31 << 5);
        std::vector<int8_t> w(
            round % 2 ? 1 + 30 + 31 : 1 + 30 + (job.rng.one_in(3) ? 30 : job.rng.below(31)), 0);
        w[0] = 1;
        CHECK_EQ(qmoe_decode(&word, 1, w.size(), w.data(), nullptr), ACCEL_E_CORRUPT,
                 "the golden decoder's verdict");
        std::fill(w.begin() + 1, w.end(), 0);
        b.word.queue.push_back(word);
        b.expect(w);
        b.run();
        CHECK(b.dut->error_o, "no error_o");
        b.out.clear();
    }
}

void measure(tb::Job &job)
{
    for (const unsigned zero : { 885u, 900u, 950u }) {
        Bench<Vdecode_qmoe_64, 64> b(job);
        const std::vector<int8_t> w = ternary(job.rng, 100000, zero);
        const size_t words = b.send(w);
        const uint64_t cycles = b.run();
        if (job.number % 4 == 3) /* without stalls */
            std::printf("    %.1f %% zeros: %.3f bits/weight, %.2f weights/cycle\n", zero / 10.0,
                        16.0 * (double)words / (double)w.size(), (double)w.size() / (double)cycles);
    }
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    run.test("decode_qmoe returns rows of any sparsity in beats of 32 under stalls", 40,
             rows<Vdecode_qmoe_32, 32>);
    run.test("decode_qmoe returns rows of any sparsity in beats of 64 under stalls", 40,
             rows<Vdecode_qmoe_64, 64>);
    run.test("decode_qmoe knows each of the 64512 dictionary words", 8, all_words);
    run.test("decode_qmoe ends a command with broken words, says so, and works after reset", 8,
             broken);
    run.test("decode_qmoe returns 100000 weights of 88.5, 90 and 95 % zeros", 4, measure);
    return run.finish();
}
