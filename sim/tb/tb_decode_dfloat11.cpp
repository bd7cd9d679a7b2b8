/* tb_decode_dfloat11.cpp - decode_dfloat11.v: every weight comes back bit for bit, as the golden
 * decoder says.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb.h"

#include "decode/decode.h"

#include "Vdecode_dfloat11_12.h"
#include "Vdecode_dfloat11_32.h"

#include <cmath>

namespace
{

/* What the weights of a command look like. */
enum Kind { Gauss, Flat, Deep, Lone, Kinds };

float gauss(tb::Rng &rng)
{
    const double u = ((double)rng.below(1u << 30) + 1) / (1u << 30);
    return (float)(std::sqrt(-2 * std::log(u)) *
                   std::cos(6.283185307179586 * rng.below(1u << 30) / (1u << 30)));
}

uint16_t bf16(float v)
{
    uint32_t u;
    std::memcpy(&u, &v, 4);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

struct Load {
    df11_code code;
    std::vector<uint16_t> w;
};

Load make(tb::Rng &rng, Kind kind, size_t n, unsigned max_bits)
{
    Load load;
    uint64_t count[256] = { 0 };
    unsigned used = 1 + rng.below(256), base = rng.below(kind == Deep ? 200 : 256);
    for (size_t i = 0; i < n; i++) {
        unsigned e = base;
        if (kind == Flat)
            e = rng.below(256);
        else if (kind == Deep) /* long codes as often as short ones */
            e = (base + rng.below(used > 46 ? 46 : used)) & 255;
        load.w.push_back(kind == Gauss ? bf16(0.02f * gauss(rng))
                                       : (uint16_t)((rng.next() & 0x807f) | e << 7));
        count[load.w.back() >> 7 & 255]++;
    }
    if (kind == Deep) { /* Fibonacci numbers make the longest codes there are */
        uint64_t a = 1, b = 1;
        for (unsigned i = 0; i < 46; i++) {
            count[(base + i) & 255] = a;
            b += a;
            a = b - a;
        }
        count[255] = 1; /* a code that is not used */
    }
    accel_error err;
    CHECK(df11_code_from_counts(count, max_bits, &load.code, &err) == 0, "%s", err.text);
    uint8_t longest = 0;
    for (const uint8_t len : load.code.length)
        longest = std::max(longest, len);
    if (kind == Deep && load.code.length[255] == longest)
        load.code.length[255] = 0; /* the last of all: now some bits are no code */
    return load;
}

struct Totals {
    double weights, cycles, bits;
};

/* Runs commands of these weights, every table of which is loaded if it is another than before. */
template <class Top>
void run(tb::Job &job, const std::vector<Load> &loads, Totals *totals = nullptr)
{
    tb::Dut<Top> dut(job);
    tb::Source<uint64_t> cmd(dut, dut->cmd_valid_i, dut->cmd_ready_o, job.stall(),
                             [&](uint64_t v) { dut->cmd_i = v; });
    tb::Source<uint32_t> tbl(dut, dut->tbl_valid_i, dut->tbl_ready_o, job.stall(),
                             [&](uint32_t v) { dut->tbl_i = v; });
    tb::Source<uint32_t> code(dut, dut->code_valid_i, dut->code_ready_o, job.stall(),
                              [&](uint32_t v) { dut->code_i = v; });
    tb::Source<uint8_t> rest(dut, dut->rest_valid_i, dut->rest_ready_o, job.stall(),
                             [&](uint8_t v) { dut->rest_i = v; });
    std::deque<uint16_t> want;
    tb::Sink<uint16_t> out(
        dut, dut->valid_o, dut->ready_i, job.stall(), [&](uint16_t &v) { v = dut->data_o; },
        [&](const uint16_t &v) {
            CHECK(!want.empty(), "more weights than were sent");
            CHECK(v == want.front(), "weight %llu is %04x, expected %04x",
                  (unsigned long long)out.count - 1, v, want.front());
            want.pop_front();
        });
    dut.reset();
    uint64_t weights = 0, words = 0, tables = 0, longest = 0;
    for (size_t i = 0; i < loads.size(); i++) {
        const Load &l = loads[i];
        const bool table = i == 0 || std::memcmp(&l.code, &loads[i - 1].code, sizeof l.code) != 0;
        std::vector<uint32_t> t(DF11_TABLE_WORDS(l.code.max_bits));
        std::vector<uint16_t> back(l.w.size() + 1);
        df11_stream s;
        accel_error err;
        CHECK(df11_encode(&l.code, l.w.data(), l.w.size(), &s, &err) == 0, "%s", err.text);
        df11_table(&l.code, t.data());
        CHECK(df11_decode(t.data(), l.code.max_bits, s.codes, s.words, s.rest, l.w.size(),
                          back.data(), &err) == 0,
              "%s", err.text);
        cmd.queue.push_back((uint64_t)table << 32 | l.w.size());
        if (table)
            tbl.queue.insert(tbl.queue.end(), t.begin(), t.end());
        tables += table ? t.size() : 0;
        code.queue.insert(code.queue.end(), s.codes, s.codes + s.words);
        rest.queue.insert(rest.queue.end(), s.rest, s.rest + l.w.size());
        for (size_t k = 0; k < l.w.size(); k++) {
            CHECK(back[k] == l.w[k], "the golden decoder changed weight %zu", k);
            want.push_back(back[k]);
            const uint64_t len = l.code.length[l.w[k] >> 7 & 255];
            longest = len > longest ? len : longest;
        }
        weights += l.w.size();
        words += s.words;
        df11_free(&s);
    }
    const uint64_t begin = dut.now();
    while (!want.empty() || !cmd.queue.empty() || !tbl.queue.empty()) {
        dut.drive();
        dut.step();
    }
    CHECK(code.queue.empty() && rest.queue.empty(), "a command left part of its streams");
    CHECK(!dut->error_o, "error_o without an error");
    const uint64_t cycles = dut.now() - begin;
    if (job.number % 4 == 3 && longest <= 16)
        CHECK(cycles <= weights + tables + 3 * loads.size() + 2, "%llu cycles for %llu weights",
              (unsigned long long)cycles, (unsigned long long)weights);
    if (totals)
        *totals = { (double)weights, (double)(cycles - tables),
                    32.0 * (double)words + 8.0 * (double)weights };
}

template <class Top, unsigned MaxLen> void commands(tb::Job &job)
{
    std::vector<Load> loads;
    for (unsigned i = 0, n = job.rng.range(1, 5); i < n; i++) {
        if (i && job.rng.one_in(3)) { /* the same table, other weights */
            Load l = loads.back();
            const uint32_t keep = job.rng.below((uint32_t)l.w.size() + 1);
            l.w.resize(keep);
            loads.push_back(l);
        } else {
            loads.push_back(
                make(job.rng, (Kind)job.rng.below(Kinds), job.rng.range(1, 3000), MaxLen));
        }
    }
    run<Top>(job, loads);
}

/* A code that does not exist: the weights before it are right, all others have exponent 0, reset
 * helps. */
void broken(tb::Job &job)
{
    tb::Dut<Vdecode_dfloat11_12> dut(job);
    tb::Source<uint64_t> cmd(dut, dut->cmd_valid_i, dut->cmd_ready_o, job.stall(),
                             [&](uint64_t v) { dut->cmd_i = v; });
    tb::Source<uint32_t> tbl(dut, dut->tbl_valid_i, dut->tbl_ready_o, job.stall(),
                             [&](uint32_t v) { dut->tbl_i = v; });
    tb::Source<uint32_t> code(dut, dut->code_valid_i, dut->code_ready_o, job.stall(),
                              [&](uint32_t v) { dut->code_i = v; });
    tb::Source<uint8_t> rest(dut, dut->rest_valid_i, dut->rest_ready_o, job.stall(),
                             [&](uint8_t v) { dut->rest_i = v; });
    unsigned got = 0, good = 0;
    tb::Sink<uint16_t> out(
        dut, dut->valid_o, dut->ready_i, job.stall(), [&](uint16_t &v) { v = dut->data_o; },
        [&](const uint16_t &v) {
            CHECK_EQ(v, got < good ? 0x1234 : 0x1234 & 0x807f, "a weight around a broken code");
            got++;
        });
    for (int round = 0; round < 3; round++) {
        Load l;
        uint64_t count[256] = { 0 };
        count[0x1234 >> 7 & 255] = 1; /* a lone symbol has code 0; 1 is none */
        CHECK(df11_code_from_counts(count, 12, &l.code, nullptr) == 0, "a lone symbol has no code");
        uint32_t t[DF11_TABLE_WORDS(12)];
        df11_table(&l.code, t);
        good = job.rng.below(64);
        const unsigned n = good + 1 + job.rng.below(100);
        std::vector<uint32_t> words(4, 0);
        words[good / 32] |= 0x80000000u >> good % 32;
        std::vector<uint8_t> bytes(n, (uint8_t)(0x1234 >> 8 & 0x80) | (0x1234 & 0x7f));
        std::vector<uint16_t> back(n);
        CHECK_EQ(df11_decode(t, 12, words.data(), 4, bytes.data(), n, back.data(), nullptr),
                 ACCEL_E_CORRUPT, "the golden decoder's verdict");
        dut.reset();
        CHECK(!dut->error_o, "error_o after reset");
        cmd.queue.push_back((uint64_t)1 << 32 | n);
        tbl.queue.assign(t, t + sizeof t / sizeof *t);
        code.queue.assign(words.begin(), words.end());
        rest.queue.assign(bytes.begin(), bytes.end());
        for (got = 0; got < n;) {
            dut.drive();
            dut.step();
        }
        CHECK(dut->error_o, "no error_o");
        code.clear();
        out.clear();
    }
}

/* 100000 Gaussian weights at full speed. */
template <class Top, unsigned MaxLen> void gaussian(tb::Job &job)
{
    Totals t;
    if (job.number % 4 != 3) /* which has no stalls */
        return;
    run<Top>(job, { make(job.rng, Gauss, 100000, MaxLen) }, &t);
    std::printf(
        "    bf16 Gauss(0, 0.02), codes of up to %u bits: %.3f bits/weight, %.4f weights/cycle\n",
        MaxLen, t.bits / t.weights, t.weights / t.cycles);
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    run.test("decode_dfloat11 returns every bf16 weight, codes of up to 32 bits, under stalls", 60,
             commands<Vdecode_dfloat11_32, 32>);
    run.test("decode_dfloat11 returns every bf16 weight, codes of up to 12 bits, under stalls", 40,
             commands<Vdecode_dfloat11_12, 12>);
    run.test("decode_dfloat11 ends a command whose code is broken, says so, and works after reset",
             20, broken);
    run.test("decode_dfloat11 gives one Gaussian weight a cycle", 4, [](tb::Job &job) {
        gaussian<Vdecode_dfloat11_32, 32>(job);
        gaussian<Vdecode_dfloat11_12, 12>(job);
    });
    return run.finish();
}
