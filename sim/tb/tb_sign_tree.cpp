/* tb_sign_tree.cpp - sign_tree.v against a plain sum, leaves whole and halved, with a register in the tree and without.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb.h"

#include "Vsign_tree_16x9.h"
#include "Vsign_tree_16x9_4.h"
#include "Vsign_tree_1x8.h"
#include "Vsign_tree_1x8_1.h"
#include "Vsign_tree_2x8.h"

namespace
{

template <class Top, unsigned Leaves, unsigned Bits, bool Held = false> void job(tb::Job &job)
{
    tb::Dut<Top> dut(job);
    for (int t = 0; t < 20000; t++) {
        const bool halved = job.rng.one_in(2);
        const unsigned extreme = job.rng.below(4); /* all leaves at one end of their range */
        bool sign[Leaves], odd[2 * Leaves] = {};
        int64_t want = 0;
        for (unsigned k = 0; k < Leaves; k++) {
            const int low = -(1 << (Bits - 1));
            const int h = extreme == 0   ? low
                          : extreme == 1 ? -1 - low
                                         : low + (int)job.rng.below(1u << Bits);
            sign[k] = extreme < 2 ? job.rng.one_in(8) : job.rng.one_in(2);
            odd[Leaves + k] = halved && job.rng.one_in(2);
            tb::put_bits(dut->leaf_i, k * Bits, Bits, (uint32_t)h);
            const int value = halved ? 2 * h + odd[Leaves + k] : h;
            want += sign[k] ? -value : value;
        }
        for (unsigned n = Leaves - 1; n > 0; n--)
            odd[n] = odd[2 * n] != odd[2 * n + 1];
        for (unsigned n = 1; n < 2 * Leaves; n++)
            tb::put_bits(dut->odd_i, n - 1, 1, odd[n]);
        for (unsigned k = 0; k < Leaves; k++)
            tb::put_bits(dut->neg_i, k, 1, k < Leaves - 1 ? sign[k] != sign[k | (k + 1)] : sign[k]);
        dut->en_i = 1;
        dut.drive();
        if (Held) { /* what comes while it is not enabled does not count */
            dut.alive();
            dut.step();
            dut->en_i = 0;
            for (unsigned k = 0; k < Leaves; k++)
                tb::put_bits(dut->leaf_i, k * Bits, Bits, job.rng.bits(Bits));
            tb::put_bits(dut->neg_i, 0, Leaves, job.rng.bits(Leaves));
            dut.drive();
            if (job.rng.one_in(2)) {
                dut.step();
                dut.drive();
            }
        }
        const int64_t sum = (int64_t)(int32_t)dut->sum_o + dut->one_o;
        const int64_t got = halved ? 2 * sum + odd[1] : sum;
        CHECK(got == want, "%u leaves%s: %lld, expected %lld", Leaves, halved ? ", halved" : "",
              (long long)got, (long long)want);
    }
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    run.test("sign_tree of one leaf gives it its sign", 1, job<Vsign_tree_1x8, 1, 8>);
    run.test("sign_tree of 2 leaves adds them up with their signs", 2, job<Vsign_tree_2x8, 2, 8>);
    run.test("sign_tree of 16 leaves adds them up with their signs", 4,
             job<Vsign_tree_16x9, 16, 9>);
    run.test("sign_tree of one leaf with a register gives it its sign an enabled cycle later", 1,
             job<Vsign_tree_1x8_1, 1, 8, true>);
    run.test("sign_tree of 16 leaves with registers gives their sum an enabled cycle later", 4,
             job<Vsign_tree_16x9_4, 16, 9, true>);
    return run.finish();
}
