#!/usr/bin/env python3
# asic.py - from the waveform of a netlist at work to OpenSTA's power, and from its answers to a table.
# SPDX-License-Identifier: Apache-2.0
"""asic.py script NETLIST.json WAVEFORM.vcd CYCLES LIBERTY NETLIST.v     prints a script for sta
asic.py table DIR NAME:WIDTHS...                                        prints DIR's results; DIR/NAME-WIDTH.*

Activity is the transitions of a pin's net a cycle. The clock runs at 50 MHz; energy is power times time, so that says nothing."""
import collections
import json
import os
import re
import sys

PERIOD = 20.0           # ns
DEMO_MACS = 4980736     # a token of models/stories-ternary-tq2_0.gguf


def transitions(path):
    """Of every bit of every net in the waveform: name -> list, bit 0 first. Changes from or to unknown are none."""
    names, width, last, count = {}, {}, {}, {}
    with open(path, encoding="ascii") as file:
        for line in file:
            words = line.split()
            if words[:1] == ["$var"]:
                width[words[3]] = int(words[2])
                count.setdefault(words[3], [0] * int(words[2]))
                last.setdefault(words[3], "x" * int(words[2]))
                names[words[4].lstrip("\\")] = words[3]
            elif line[:1] in "01xz":
                value, code = line[0], line[1:].strip()
                if code in width:
                    count[code][0] += {last[code], value} == {"0", "1"}
                    last[code] = value
            elif line[:1] == "b" and words[1] in width:
                value, code = words[0][1:], words[1]
                value = value.rjust(width[code], "0" if value[0] in "01" else value[0])
                for i, (a, b) in enumerate(zip(reversed(last[code]), reversed(value))):
                    count[code][i] += {a, b} == {"0", "1"}
                last[code] = value
    return {n: count[c] for n, c in names.items()}


def script(netlist, waveform, cycles, liberty, verilog):
    with open(netlist, encoding="utf-8") as file:
        module = json.load(file)["modules"]["netlist"]
    seen, toggles = transitions(waveform), {}
    for name, net in module["netnames"].items():
        if name in seen:
            for bit, n in zip(net["bits"], seen[name]):
                toggles[bit] = n
    out = ["read_liberty %s" % liberty, "read_verilog %s" % verilog, "link_design netlist",
           "create_clock -name clk -period %g [get_ports clk_i]" % PERIOD,
           "foreach p [all_inputs] { if {[get_property $p full_name] != {clk_i}} { set_input_delay 0 -clock clk $p } }",
           "set_output_delay 0 -clock clk [all_outputs]"]
    missing = pins = 0
    for name, cell in module["cells"].items():
        for pin, (bit,) in cell["connections"].items():
            if pin == "CLK":
                continue
            pins += 1
            if bit not in toggles and bit not in ("0", "1"):
                missing += 1
            out.append("sta::set_power_pin_activity [get_pins %s/%s] %.5f 0.5" % (name, pin, toggles.get(bit, 0) / cycles))
    if missing > pins / 100:
        sys.exit("asic.py: no waveform of %d of %d pins" % (missing, pins))
    out += ["report_checks -digits 4", "report_power -digits 5"]
    print("\n".join(out))


def read(path, pattern):
    with open(path, encoding="utf-8") as file:
        found = re.findall(pattern, file.read(), re.M)
    if not found:
        sys.exit("asic.py: %s does not say %s" % (path, pattern))
    return found[-1]


def table(where, specs):
    rows = []
    for spec in specs:
        name, widths = spec.split(":")
        base = os.path.join(where, name)
        area = float(read(base + ".stat", r"Chip area for .*: ([\d.]+)"))
        with open(base + ".json", encoding="utf-8") as file:
            kinds = collections.Counter(c["type"] for c in json.load(file)["modules"]["netlist"]["cells"].values())
        row = {"tile": name, "area_um2": area, "cells": sum(kinds.values()), "flip_flops": kinds["DFFPOSX1"] + kinds["DFFSR"], "widths": []}
        for w in widths.split(","):
            cycles, macs = map(int, read("%s-%s.sim" % (base, w), r"^PASS (\d+) cycles, (\d+) multiply-accumulates"))
            slack = float(read("%s-%s.sta" % (base, w), r"([-\d.]+)\s+slack"))
            power = float(read("%s-%s.sta" % (base, w), r"^Total\s+\S+\s+\S+\s+\S+\s+(\S+)"))
            pj = power * PERIOD * 1e3 * cycles / macs
            row["path_ns"] = PERIOD - slack
            row["widths"].append({"bits": int(w), "macs_per_cycle": macs / cycles, "power_w": power, "pj_per_mac": pj,
                                  "uj_per_token": pj * DEMO_MACS * 1e-6})
        rows.append(row)
    base = {w["bits"]: w["pj_per_mac"] for r in rows if r["tile"].startswith("mac-") for w in r["widths"]}
    print("%-16s %10s %7s %6s %8s %5s %10s %9s %12s %8s" % ("tile", "area um2", "cells", "FF", "path ns", "bits", "MAC/cycle", "pJ/MAC", "uJ/token", "of mac"))
    for r in rows:
        for w in r["widths"]:
            print("%-16s %10.0f %7d %6d %8.2f %5d %10.2f %9.2f %12.1f %8s" % (
                r["tile"], r["area_um2"], r["cells"], r["flip_flops"], r["path_ns"], w["bits"], w["macs_per_cycle"], w["pj_per_mac"], w["uj_per_token"],
                "%.2f" % (w["pj_per_mac"] / base[w["bits"]]) if w["bits"] in base else "-"))
    with open(os.path.join(where, "asic.json"), "w", encoding="utf-8") as file:
        json.dump(rows, file, indent=1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["script"] and len(sys.argv) == 7:
        script(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5], sys.argv[6])
    elif sys.argv[1:2] == ["table"] and len(sys.argv) > 3:
        table(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(__doc__)
