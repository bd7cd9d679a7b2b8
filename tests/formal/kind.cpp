// kind.cpp - every case there is of fv_kind.v: all codes times all activations, selects and selectors of a format.
// Usage: kind CODES LANES SELECT_BITS X_VALUES ACT PLANES CODING TABLE SELECTORS
// tries all codes of PLANES bits in CODES places, all activations of ACT bits (signed) in X_VALUES places, all selects of
// SELECT_BITS bits in CODES places, and selectors 0..SELECTORS-1. Prints how many cases there were and how many are bad.
// SPDX-License-Identifier: Apache-2.0
#include "Vfv_kind.h"
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>

int main(int argc, char **argv)
{
    if (argc != 10) {
        std::fprintf(
            stderr,
            "usage: kind CODES LANES SELECT_BITS X_VALUES ACT PLANES CODING TABLE SELECTORS\n");
        return 2;
    }
    unsigned arg[9];
    for (int i = 0; i < 9; i++)
        arg[i] = (unsigned)std::atoi(argv[i + 1]);
    const unsigned codes = arg[0], lanes = arg[1], select_bits = arg[2], values = arg[3],
                   act = arg[4];
    const unsigned planes = arg[5];
    auto top = std::make_unique<Vfv_kind>();
    top->planes_i = planes;
    top->coding_i = arg[6];
    top->table_i = arg[7];
    auto tick = [&top] {
        top->clk_i = 0;
        top->eval();
        top->clk_i = 1;
        top->eval();
    };
    auto spread = [](std::uint64_t n, unsigned places, unsigned bits, unsigned field) {
        std::uint64_t v = 0;
        for (unsigned i = 0; i < places; i++)
            v |= (n >> (i * bits) & ((1u << bits) - 1)) << (i * field);
        return v;
    };
    std::uint64_t cases = 0, bad = 0;
    unsigned slowest = 0;
    for (unsigned sel = 0; sel < arg[8]; sel++)
        for (std::uint64_t c = 0; c < std::uint64_t(1) << (codes * planes); c++)
            for (std::uint64_t s = 0; s < std::uint64_t(1) << (codes * select_bits); s++)
                for (std::uint64_t n = 0; n < std::uint64_t(1) << (values * act); n++) {
                    std::uint8_t x[64] = { 0 };
                    for (unsigned i = 0; i < lanes * 3; i++) { // the values over and over
                        const auto v = unsigned(n >> (i % values * act)) & ((1u << act) - 1);
                        x[i] = std::uint8_t(v >> (act - 1) ? v | ~0u << act : v);
                    }
                    __builtin_memcpy(&top->x_i, x, lanes * 3);
                    const std::uint64_t all_codes = spread(c, codes, planes, 8);
                    const std::uint64_t selects = spread(s, codes, select_bits ? select_bits : 1,
                                                         4);
                    __builtin_memcpy(&top->codes_i, &all_codes,
                                     sizeof top->codes_i < 8 ? sizeof top->codes_i : 8);
                    __builtin_memcpy(&top->select_i, &selects,
                                     sizeof top->select_i < 8 ? sizeof top->select_i : 8);
                    top->sel_i = sel;
                    top->start_i = 1;
                    tick();
                    top->start_i = 0;
                    unsigned cycles = 0;
                    while (!top->done_o && cycles < 80) {
                        tick();
                        cycles++;
                    }
                    if (!top->done_o) {
                        std::printf("%llu cases, no D after %u cycles\n", (unsigned long long)cases,
                                    cycles);
                        return 1;
                    }
                    slowest = cycles > slowest ? cycles : slowest;
                    cases += top->legal_o;
                    bad += top->bad_o;
                }
    std::printf("%llu cases, %llu bad, at most %u cycles\n", (unsigned long long)cases,
                (unsigned long long)bad, slowest);
    return 0;
}
