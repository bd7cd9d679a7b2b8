/* tb_counters.cpp - counters.v: what the core is, and ten counts of 48 bits.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tb.h"

#include "Vcounters.h"
#include "Vcounters___024root.h"

namespace
{

void job(tb::Job &job)
{
    tb::Dut<Vcounters> dut(job);
    uint64_t count[10] = { 0 };
    bool overflow = false;
    dut->event_i = 0;
    dut->overflow_i = 0;
    dut.reset();
    auto &r = *dut->rootp;
    QData *const counter[10] = { &r.counters__DOT__c0, &r.counters__DOT__c1, &r.counters__DOT__c2,
                                 &r.counters__DOT__c3, &r.counters__DOT__c4, &r.counters__DOT__c5,
                                 &r.counters__DOT__c6, &r.counters__DOT__c7, &r.counters__DOT__c8,
                                 &r.counters__DOT__c9 };
    if (job.number % 2) /* begin where the low word or the whole count is about to wrap */
        for (unsigned i = 0; i < 10; i++) {
            count[i] = job.rng.one_in(2) ? 0xffffff00u : 0xffffffffff00u;
            *counter[i] = count[i];
        }
    for (int t = 0; t < 3000; t++) {
        dut->event_i = (SData)(job.rng.next() & 0x3ff);
        dut->overflow_i = job.rng.one_in(500);
        const unsigned addr = job.rng.below(64);
        dut->addr_i = (CData)addr;
        dut.drive();
        static const uint32_t what[] = { 0x4c434341, 1, 2, 16, 32, 4, 8, 128, 64, 0, 24, 512 };
        const unsigned i = (addr - 16) / 2;
        const uint32_t want = addr < 9          ? what[addr]
                              : addr == 9       ? (uint32_t)overflow << 1 | (dut->event_i & 1u)
                              : addr < 12       ? what[addr]
                              : addr < 16       ? 0
                              : addr >= 16 + 20 ? 0
                              : addr % 2        ? (uint32_t)(count[i] >> 32)
                                                : (uint32_t)count[i];
        CHECK(dut->data_o == want, "register %u reads %08x, expected %08x", addr, dut->data_o,
              want);
        const unsigned events = dut->event_i;
        overflow |= dut->overflow_i;
        dut.step();
        dut.alive();
        for (unsigned k = 0; k < 10; k++)
            if (events >> k & 1)
                count[k] = (count[k] + 1) & 0xffffffffffffu;
    }
}

} // namespace

int main(int argc, char **argv)
{
    tb::Runner run(argc, argv);
    run.test("counters count each event on its own, carry past 32 bits and name the core", 20, job);
    return run.finish();
}
