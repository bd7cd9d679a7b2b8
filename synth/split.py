#!/usr/bin/env python3
# split.py - what of a placed board is where: cells by module, and the slowest path by module.
# SPDX-License-Identifier: Apache-2.0
"""Usage: synth/split.py NETLIST.json [REPORT.json]

NETLIST.json as synth/netlist.sh writes it: cells keep the names of the modules they come from. REPORT.json is nextpnr's.
A module is shown by itself if it holds at least 1 % of the LUTs, else it counts for the one above it.
"""
import collections
import json
import sys

LUTS = {"LUT4": 1, "SB_LUT4": 1, "CCU2C": 2}    # an ECP5 carry cell takes the place of two
COLUMNS = ("LUT", "FF", "RAM", "DSP")


def column(cell):
    if cell in LUTS:
        return "LUT"
    if cell.startswith(("TRELLIS_FF", "SB_DFF")):
        return "FF"
    if cell.startswith(("DP16K", "SB_RAM", "SB_SPRAM")):
        return "RAM"
    if cell.startswith(("MULT18", "SB_MAC16")):
        return "DSP"
    return None


def instances(path, names):
    """The instances in a cell's name; what yosys appended to the last one is none, nor are generate blocks."""
    parts = path.split(".")
    while parts and ".".join(parts) not in names:
        parts.pop()
    return tuple(p for p in parts if not p.startswith("g_") and not p.isdigit())


def split(netlist):
    """Cells by module, all of them, and the names of instances."""
    with open(netlist, encoding="utf-8") as file:
        modules = json.load(file)["modules"]
    top = max(modules.values(), key=lambda m: len(m["cells"]))
    # an instance is whatever stands before the dot of a net's name
    names = {""}
    for net in top["netnames"]:
        parts = net.split(".")[:-1]
        for i in range(1, len(parts) + 1):
            names.add(".".join(parts[:i]))

    total = collections.defaultdict(collections.Counter)
    for name, cell in top["cells"].items():
        kind = column(cell["type"])
        if kind:
            total[instances(name.rsplit(".", 1)[0], names)][kind] += LUTS.get(cell["type"], 1)
    everything = sum(total.values(), collections.Counter())
    for depth in range(max(map(len, total)), 0, -1):
        for path in [p for p in total if len(p) == depth and total[p]["LUT"] < everything["LUT"] / 100]:
            total[path[:-1]] += total.pop(path)
    return total, everything, names


def slowest(report, names):
    """The slowest path from register to register: nanoseconds by module, in the order of the path."""
    for path in report["critical_paths"]:
        if path["from"] == path["to"] and path["from"] != "<async>":
            spent = collections.Counter()
            for step in path["path"]:
                at = instances(step["from"]["cell"].rsplit(".", 1)[0], names)
                spent[".".join(at) or "(top)"] += step["delay"]
            return spent
    return {}


def main():
    total, everything, names = split(sys.argv[1])
    print(f"{'module':48}" + "".join(f"{c:>8}" for c in COLUMNS))
    for path, count in sorted(total.items(), key=lambda item: -item[1]["LUT"]):
        print(f"{'.'.join(path) or '(top)':48}" + "".join(f"{count[c]:8}" for c in COLUMNS))
    print(f"{'total':48}" + "".join(f"{everything[c]:8}" for c in COLUMNS))

    if len(sys.argv) > 2:
        with open(sys.argv[2], encoding="utf-8") as file:
            report = json.load(file)
        for clock, f in report["fmax"].items():
            print(f"\n{clock}: {f['achieved']:.1f} MHz, {f['constraint']:.1f} asked")
        print("slowest path: " + ", ".join(f"{m} {d:.1f} ns" for m, d in slowest(report, names).items()))


if __name__ == "__main__":
    main()
