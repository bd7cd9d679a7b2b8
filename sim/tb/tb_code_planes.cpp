/* tb_code_planes.cpp - code_planes.v: decoded codes become exactly the stream that the packer makes for the kind.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb_matrix.h"

#include "Vcode_planes_bitserial.h"
#include "Vcode_planes_lut.h"
#include "Vcode_planes_lut4.h"
#include "Vcode_planes_mac.h"

namespace
{

template <class Top, unsigned Rows, unsigned Lanes, unsigned Bits>
void job(tb::Job &job, const char *name, accel_format format)
{
    constexpr unsigned Width = Rows * Lanes;
    struct Step {
        uint32_t code[Width];
    };
    struct Plane {
        uint8_t bits[Width / 8];
    };
    const pe_kind *kind = tb::find_kind(name);
    tb::Dut<Top> dut(job);
    std::deque<Plane> want;
    tb::Source<Step> in(dut, dut->valid_i, dut->ready_o, job.stall(), [&](const Step &s) {
        for (unsigned i = 0; i < Width; i++)
            tb::put_bits(dut->code_i, i * Bits, Bits, s.code[i]);
    });
    tb::Sink<Plane> out(
        dut, dut->valid_o, dut->ready_i, job.stall(),
        [&](Plane &p) { std::memcpy(p.bits, &dut->data_o, sizeof p.bits); },
        [&](const Plane &p) {
            CHECK(!want.empty(), "a plane more than the packer makes");
            CHECK(std::memcmp(p.bits, want.front().bits, sizeof p.bits) == 0,
                  "another plane than the packer's");
            want.pop_front();
        });
    dut.reset();
    for (int n = 0; n < 6; n++) {
        const uint32_t rows = job.rng.range(1, 3 * Rows), cols = job.rng.range(1, 500);
        const uint32_t group = tb::kGroups[job.rng.below(8)];
        const tb::Matrix mat = tb::random_matrix(job.rng, format, rows, cols, group, false);
        pack_shape shape = {};
        shape.rows = Rows;
        shape.lanes = Lanes;
        shape.scale_units = 1;
        const tb::Packed p(kind, shape, mat.get());
        CHECK_EQ(p.planes, Bits, "planes of the format");
        dut->steps_i = (SData)p.steps;
        dut->chunk_steps_i = (SData)p.chunk_steps;
        const uint32_t span = p.row_header ? cols : mat->group;
        const uint32_t padded = p.row_header ? p.steps * Lanes : p.chunk_steps * Lanes;
        const uint64_t begin = dut.now();
        for (uint32_t t = 0; t < p.row_tiles; t++)
            for (uint32_t s = 0; s < p.steps; s++) {
                Step step = {};
                for (uint32_t r = 0; r < Rows; r++)
                    for (uint32_t l = 0; l < Lanes; l++) {
                        const uint32_t at = s * Lanes + l, in_group = at % padded;
                        const uint32_t c = at / padded * span + in_group;
                        if (t * Rows + r < rows && in_group < span && c < cols)
                            step.code[r * Lanes + l] = (uint32_t)accel_matrix_k(mat.get(),
                                                                                t * Rows + r, c);
                    }
                in.queue.push_back(step);
            }
        for (size_t b = 0; b < p.code_beats; b++) {
            want.emplace_back();
            std::memcpy(want.back().bits, p.codes + b * p.beat_bytes, sizeof want.back().bits);
        }
        while (!want.empty()) {
            dut.drive();
            dut.step();
        }
        CHECK(in.queue.empty(), "planes came before their codes");
        if (job.number % 4 == 3) /* the first chunk has to arrive; then nothing stalls */
            CHECK(dut.now() - begin <= p.code_beats + p.chunk_steps + 4,
                  "%zu beats took %llu cycles", p.code_beats,
                  (unsigned long long)(dut.now() - begin));
    }
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    run.test("code_planes gives mac the packer's stream of codebook weights", 24,
             [](tb::Job &j) { job<Vcode_planes_mac, 4, 16, 8>(j, "mac", ACCEL_CODEBOOK4); });
    run.test("code_planes gives lut the packer's stream of codebook weights", 24,
             [](tb::Job &j) { job<Vcode_planes_lut, 4, 16, 8>(j, "lut", ACCEL_CODEBOOK4); });
    run.test(
        "code_planes gives bitserial the packer's stream of 3-bit weights", 24,
        [](tb::Job &j) { job<Vcode_planes_bitserial, 8, 8, 3>(j, "bitserial", ACCEL_INT(3)); });
    run.test("code_planes gives lut4 the packer's stream of ternary weights", 24,
             [](tb::Job &j) { job<Vcode_planes_lut4, 4, 32, 2>(j, "lut4", ACCEL_TERNARY); });
    return run.finish();
}
