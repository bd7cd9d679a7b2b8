// exhaustive.cpp - all activations of some width through the tiles of fv_tiles.v, for all of its codes at once.
// Usage: exhaustive LANES BITS: tries each value of BITS bits, signed, in each of LANES lanes; the others get zero.
// Prints how many beats of ROWS cases went wrong in each kind.
// SPDX-License-Identifier: Apache-2.0
#include "Vfv_tiles.h"
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>

int main(int argc, char **argv)
{
    if (argc != 3) {
        std::fprintf(stderr, "usage: exhaustive LANES BITS\n");
        return 2;
    }
    const int lanes = std::atoi(argv[1]), bits = std::atoi(argv[2]);
    auto top = std::make_unique<Vfv_tiles>();
    auto tick = [&top] {
        top->clk_i = 0;
        top->eval();
        top->clk_i = 1;
        top->eval();
    };
    unsigned long bad[4] = { 0, 0, 0, 0 }, tried = 0;
    for (unsigned coding = 0; coding < 3; coding++)
        for (unsigned codes = 0; codes < 256; codes += ROWS)
            for (std::uint64_t n = 0; n < std::uint64_t(1) << (lanes * bits); n++) {
                std::uint32_t x = 0;
                for (int l = 0; l < lanes; l++) {
                    auto v = std::uint32_t(n >> (l * bits)) & ((1u << bits) - 1);
                    if (v >> (bits - 1)) // the sign
                        v |= ~0u << bits;
                    x |= (v & 0xff) << (8 * l);
                }
                top->x_i = x;
                top->coding_i = coding;
                top->codes_i = codes;
                top->start_i = 1;
                tick();
                top->start_i = 0;
                int cycles = 0;
                while (!top->done_o && cycles++ < 20)
                    tick();
                if (!top->done_o)
                    return 3;
                for (int k = 0; k < 4; k++)
                    bad[k] += (top->bad_o >> k) & 1;
                tried += ROWS;
            }
    std::printf("%lu cases: %lu bad mac, %lu bad bitserial, %lu bad lut, %lu bad lut4\n", tried,
                bad[0], bad[1], bad[2], bad[3]);
    return 0;
}
