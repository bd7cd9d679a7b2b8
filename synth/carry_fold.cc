// carry_fold.cc - a yosys pass for ECP5: LUTs whose function fits into the carry cell behind them move in.
// SPDX-License-Identifier: Apache-2.0
//
// Each half of a CCU2C holds a LUT4 that says whether the carry passes (P of pins A, B, C, D) and reads from the first four
// bits of the same table what is carried where it does not pass (G of A and B). yosys uses two of the four pins: it adds A
// and B. The other two suffice to gate, negate or choose an operand first: A + ((B & C) ^ D), A + (C ? B : D), or to add
// two gated operands, (A & B) + (C & D). In adder trees of low-bit weights this is most of the logic there is.
//
// For each LUT4 that drives nothing but carry cells this pass asks whether each of them can take over its function: at most
// four inputs are left, and some order of them on the pins has a table with the same P, and with the same G wherever P is
// zero and the carry out is used. Run it after synth_ecp5; opt_clean then removes the LUTs.
#include "kernel/yosys.h"
#include "kernel/sigtools.h"

#include <array>

USING_YOSYS_NAMESPACE
PRIVATE_NAMESPACE_BEGIN

// Which names a half's pins and table have.
static IdString pin_name(int half, int pin)
{
    return stringf("\\%c%d", "ABCD"[pin], half);
}

struct Half {
    Cell *cell;
    int half;
    bool carry_used;
    std::array<SigBit, 4> pin;
    unsigned init;
};

struct CarryFold {
    Module *module;
    SigMap sigmap;
    dict<SigBit, std::vector<std::pair<Cell *, IdString>>> sinks;
    pool<SigBit> outputs;
    int folded = 0;

    explicit CarryFold(Module *m) : module(m), sigmap(m)
    {
        for (auto cell : module->cells())
            for (auto &c : cell->connections())
                if (cell->input(c.first) || !cell->known())
                    for (auto bit : sigmap(c.second))
                        if (bit.wire)
                            sinks[bit].push_back({ cell, c.first });
        for (auto wire : module->wires())
            if (wire->port_output)
                for (auto bit : sigmap(wire))
                    outputs.insert(bit);
    }

    bool used(Cell *cell, IdString port)
    {
        if (!cell->hasPort(port))
            return false;
        for (auto bit : sigmap(cell->getPort(port)))
            if (outputs.count(bit) || sinks.count(bit))
                return true;
        return false;
    }

    Half half_of(Cell *cell, int half)
    {
        Half h = { cell, half, used(cell, ID(COUT)), {}, 0 };
        if (half == 0)
            h.carry_used = h.carry_used || used(cell, ID(S1));
        for (int p = 0; p < 4; p++)
            h.pin[p] = sigmap(cell->getPort(pin_name(half, p)))[0];
        h.init = cell->getParam(half ? ID(INIT1) : ID(INIT0)).as_int();
        return h;
    }

    // The value of a bit, given those of the variables; what is neither 0 nor 1 counts as 0.
    static unsigned value(SigBit bit, const std::vector<SigBit> &vars, unsigned at)
    {
        for (size_t i = 0; i < vars.size(); i++)
            if (vars[i] == bit)
                return at >> i & 1;
        return bit == State::S1;
    }

    // The half with the LUT's function in place of its output, as new pins and table; false: it does not fit.
    bool absorb(const Half &h, Cell *lut, SigBit out, Half &result)
    {
        std::array<SigBit, 4> in;
        std::vector<SigBit> vars;
        auto add = [&](SigBit bit) {
            if (bit.wire && std::find(vars.begin(), vars.end(), bit) == vars.end())
                vars.push_back(bit);
        };
        for (int p = 0; p < 4; p++)
            in[p] = sigmap(lut->getPort(stringf("\\%c", "ABCD"[p])))[0];
        for (auto bit : in)
            add(bit);
        for (auto bit : h.pin)
            if (bit != out)
                add(bit);
        const unsigned n = GetSize(vars);
        if (n > 4)
            return false;

        unsigned lut_init = lut->getParam(ID(INIT)).as_int();
        bool pass[16], carried[16];
        for (unsigned at = 0; at < 1u << n; at++) {
            unsigned i = 0, j = 0;
            for (int p = 0; p < 4; p++)
                i |= value(in[p], vars, at) << p;
            unsigned z = lut_init >> i & 1;
            for (int p = 0; p < 4; p++)
                j |= (h.pin[p] == out ? z : value(h.pin[p], vars, at)) << p;
            pass[at] = h.init >> j & 1;
            carried[at] = h.init >> (j & 3) & 1;
        }

        // Pins without a variable are 1, so that with less than four of them the table of G stands apart.
        std::vector<unsigned> order = { 0, 1, 2, 3 };
        do {
            bool sorted = true; // pins behind the variables: one order is enough
            for (unsigned p = n; p < 4; p++)
                sorted = sorted && order[p] == p;
            if (!sorted)
                continue;
            unsigned init = 0, known = 0;
            bool fits = true;
            auto set = [&](unsigned at, bool bit) {
                if (known >> at & 1 && (init >> at & 1) != bit)
                    fits = false;
                known |= 1u << at;
                init |= unsigned(bit) << at;
            };
            for (unsigned at = 0; at < 1u << n && fits; at++) {
                unsigned pins = 0;
                for (unsigned p = 0; p < 4; p++)
                    pins |= (p < n ? at >> order[p] & 1 : 1u) << p;
                set(pins, pass[at]);
                if (!pass[at] && h.carry_used)
                    set(pins & 3, carried[at]);
            }
            if (!fits)
                continue;
            result = h;
            for (unsigned p = 0; p < 4; p++)
                result.pin[p] = p < n ? vars[order[p]] : SigBit(State::S1);
            result.init = init;
            return true;
        } while (std::next_permutation(order.begin(), order.end()));
        return false;
    }

    bool fold(Cell *lut)
    {
        SigBit out = sigmap(lut->getPort(ID(Z)))[0];
        if (lut->get_bool_attribute(ID::keep) || outputs.count(out) || !sinks.count(out))
            return false;
        std::vector<std::pair<Half, Half>> changes;
        pool<std::pair<Cell *, int>> seen;
        for (auto &s : sinks.at(out)) {
            std::string port = s.second.str();
            if (s.first->type != ID(CCU2C) || port.size() != 3 || port == "\\CIN")
                return false;
            int half = port[2] - '0';
            if (!seen.insert({ s.first, half }).second)
                continue;
            Half before = half_of(s.first, half), after;
            if (!absorb(before, lut, out, after))
                return false;
            changes.push_back({ before, after });
        }
        for (auto &c : changes) {
            const Half &h = c.second;
            h.cell->setParam(h.half ? ID(INIT1) : ID(INIT0), Const(int(h.init), 16));
            for (int p = 0; p < 4; p++) {
                IdString name = pin_name(h.half, p);
                auto &old = sinks[c.first.pin[p]];
                auto it = std::find(old.begin(), old.end(), std::make_pair(h.cell, name));
                if (it != old.end())
                    old.erase(it);
                h.cell->setPort(name, h.pin[p]);
                if (h.pin[p].wire)
                    sinks[h.pin[p]].push_back({ h.cell, name });
            }
        }
        for (auto &c : lut->connections())
            if (c.first != ID(Z)) {
                auto &old = sinks[sigmap(c.second)[0]];
                auto it = std::find(old.begin(), old.end(), std::make_pair(lut, c.first));
                if (it != old.end())
                    old.erase(it);
            }
        module->remove(lut);
        folded++;
        return true;
    }

    // LUTs with few carry cells behind them first: where two compete for one cell, the other costs more to lose.
    void run()
    {
        bool changed = true;
        while (changed) {
            changed = false;
            std::vector<std::pair<int, Cell *>> luts;
            for (auto cell : module->selected_cells())
                if (cell->type == ID(LUT4))
                    luts.push_back({ GetSize(sinks[sigmap(cell->getPort(ID(Z)))[0]]), cell });
            std::stable_sort(luts.begin(), luts.end(),
                             [](const std::pair<int, Cell *> &a, const std::pair<int, Cell *> &b) {
                                 return a.first < b.first;
                             });
            for (auto &l : luts)
                changed = fold(l.second) || changed;
        }
    }
};

struct CarryFoldPass : public Pass {
    CarryFoldPass() : Pass("carry_fold", "move LUTs into the ECP5 carry cells behind them") {}
    void help() override
    {
        log("\n");
        log("    carry_fold [selection]\n");
        log("\n");
        log("Each LUT4 that drives only CCU2C cells becomes part of them, if their spare inputs\n");
        log("allow it. To be run after synth_ecp5.\n");
        log("\n");
    }
    void execute(std::vector<std::string> args, RTLIL::Design *design) override
    {
        log_header(design, "Executing CARRY_FOLD pass (LUTs into carry cells).\n");
        extra_args(args, 1, design);
        for (auto module : design->selected_modules()) {
            if (module->has_processes_warn())
                continue;
            CarryFold worker(module);
            worker.run();
            log("  %s: %d LUTs moved into carry cells.\n", log_id(module), worker.folded);
        }
    }
} CarryFoldPass;

PRIVATE_NAMESPACE_END
