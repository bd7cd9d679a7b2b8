/* tb_requant.cpp - requant.v returns what accel_requantize() returns.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb.h"

#include "Vrequant.h"
#include "accel.h"

namespace
{

struct Op {
    int64_t acc;
    uint32_t mul;
    unsigned shift;
    bool pass;
    int64_t want() const { return pass ? acc : accel_requantize(acc, mul, shift); }
};

Op random_op(tb::Rng &rng)
{
    Op op;
    op.pass = rng.one_in(8);
    op.shift = rng.below(63);
    op.mul = rng.one_in(6)   ? 0x7fffffffu
             : rng.one_in(8) ? rng.below(2)
                             : (uint32_t)(rng.next() >> 33);
    op.acc = rng.bits(rng.range(2, 48));
    if (op.acc == -((int64_t)1 << 47)) /* outside of the contract */
        op.acc++;
    if (rng.one_in(2)) {
        /* near the range that does not saturate, and then often a tie: mul = odd * 2^(shift - 1) */
        if (rng.one_in(2)) {
            op.shift = rng.range(1, 31);
            op.mul = (1u << (op.shift - 1)) * (rng.one_in(2) || op.shift > 29 ? 1u : 3u);
            op.acc = (int64_t)rng.below(601) - 300;
        } else if (op.mul) {
            const __int128 v = (((__int128)rng.below(521) - 260) << op.shift) / op.mul;
            op.acc = (int64_t)v + (int64_t)rng.below(3) - 1;
            if (v > ((int64_t)1 << 46) || v < -((int64_t)1 << 46))
                op.acc = rng.bits(40);
        }
    }
    return op;
}

constexpr size_t STAGES = 7;

void job(tb::Job &job)
{
    tb::Dut<Vrequant> dut(job);
    tb::Stall valid = job.stall(), en = job.stall();
    std::deque<std::pair<bool, Op>> pipe; /* the stages */
    for (int t = 0; t < 25000; t++) {
        const Op op = random_op(job.rng);
        const bool v = !valid.now(), move = !en.now();
        dut->en_i = move;
        dut->valid_i = v;
        dut->pass_i = op.pass;
        dut->acc_i = (QData)op.acc & 0xffffffffffffu;
        dut->mul_i = op.mul;
        dut->shift_i = (CData)op.shift;
        dut.drive();
        dut.step();
        dut.alive();
        if (move) {
            pipe.emplace_back(v, op);
            if (pipe.size() > STAGES)
                pipe.pop_front();
        }
        if (pipe.size() == STAGES && pipe.front().first) {
            const Op &o = pipe.front().second;
            const int64_t got = tb::get_signed(dut->data_o, 0, 48);
            CHECK(got == o.want(), "%lld * %u >> %u (pass %d) gave %lld, expected %lld",
                  (long long)o.acc, o.mul, o.shift, o.pass, (long long)got, (long long)o.want());
        }
    }
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    run.test("requant rounds half to even, saturates and passes as accel_requantize does", 60, job);
    return run.finish();
}
