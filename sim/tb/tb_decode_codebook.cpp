/* tb_decode_codebook.cpp - decode_codebook.v: the golden decoder's codes; tables load behind
 * indices.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb.h"

#include "decode/decode.h"

#include "Vdecode_codebook_3.h"
#include "Vdecode_codebook_4.h"

namespace
{

template <class Top, unsigned Rows, unsigned Lanes, unsigned Bits> void matrices(tb::Job &job)
{
    constexpr unsigned Beat = Rows * Lanes * Bits / 8, Entries = 1u << Bits;
    struct Index {
        uint8_t b[Beat];
    };
    struct Table {
        uint8_t b[Rows];
    };
    struct Codes {
        int8_t k[Rows * Lanes];
    };
    tb::Dut<Top> dut(job);
    tb::Source<Table> tbl(dut, dut->tbl_valid_i, dut->tbl_ready_o, job.stall(),
                          [&](const Table &t) { std::memcpy(&dut->tbl_i, t.b, sizeof t.b); });
    tb::Source<Index> in(dut, dut->valid_i, dut->ready_o, job.stall(),
                         [&](const Index &v) { std::memcpy(&dut->index_i, v.b, sizeof v.b); });
    std::deque<Codes> want;
    tb::Sink<Codes> out(
        dut, dut->valid_o, dut->ready_i, job.stall(),
        [&](Codes &c) { std::memcpy(c.k, &dut->code_o, sizeof c.k); },
        [&](const Codes &c) {
            CHECK(!want.empty(), "more codes than indices");
            for (unsigned i = 0; i < Rows * Lanes; i++)
                CHECK_EQ(c.k[i], want.front().k[i], "a code");
            want.pop_front();
        });
    dut.reset();
    const codebook_shape shape = { Rows, Lanes, Bits };
    for (unsigned matrix = 0; matrix < 4; matrix++) {
        const uint32_t rows = job.rng.range(1, 10 * Rows);
        const uint32_t cols = job.rng.range(1, (matrix % 2 ? 40 : 5) * Lanes);
        std::vector<uint8_t> index((size_t)rows * cols);
        std::vector<int8_t> book((size_t)rows * Entries);
        for (auto &v : index)
            v = (uint8_t)job.rng.below(Entries);
        for (auto &v : book)
            v = (int8_t)job.rng.bits(8);
        codebook_stream s;
        accel_error err;
        CHECK(codebook_encode(&shape, index.data(), book.data(), rows, cols, &s, &err) == 0, "%s",
              err.text);
        std::vector<int8_t> code((size_t)s.tiles * s.steps * Rows * Lanes);
        CHECK(codebook_decode(&shape, &s, code.data(), &err) == 0, "%s", err.text);
        for (uint32_t m = 0; m < rows; m++)
            for (uint32_t c = 0; c < cols; c++)
                CHECK(code[((size_t)(m / Rows) * s.steps + c / Lanes) * Rows * Lanes +
                           m % Rows * Lanes + c % Lanes] ==
                          book[(size_t)m * Entries + index[(size_t)m * cols + c]],
                      "the golden decoder errs in row %u column %u", m, c);
        dut->steps_i = (SData)s.steps;
        for (size_t i = 0; i < s.table_bytes; i += Rows) {
            tbl.queue.emplace_back();
            std::memcpy(tbl.queue.back().b, s.tables + i, Rows);
        }
        for (size_t i = 0; i < s.index_bytes; i += Beat) {
            in.queue.emplace_back();
            std::memcpy(in.queue.back().b, s.indices + i, Beat);
            want.emplace_back();
            std::memcpy(want.back().k, &code[i / Beat * Rows * Lanes], Rows * Lanes);
        }
        const uint64_t begin = dut.now(), steps = s.steps, tiles = s.tiles;
        codebook_free(&s);
        while (!want.empty()) {
            dut.drive();
            dut.step();
        }
        CHECK(in.queue.empty() && tbl.queue.empty(), "part of a stream was left");
        /* a row tile takes its steps or its tables, whatever is more; the first tables hide behind
         * nothing */
        if (job.number % 4 == 3)
            CHECK(dut.now() - begin <=
                      Entries + 2 + tiles * (steps > Entries ? steps : Entries + 1),
                  "%llu cycles for %llu row tiles of %llu steps",
                  (unsigned long long)(dut.now() - begin), (unsigned long long)tiles,
                  (unsigned long long)steps);
    }
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    run.test("decode_codebook returns the entries of 4-bit indices under stalls", 20,
             matrices<Vdecode_codebook_4, 4, 8, 4>);
    run.test("decode_codebook returns the entries of 3-bit indices under stalls", 20,
             matrices<Vdecode_codebook_3, 2, 32, 3>);
    return run.finish();
}
