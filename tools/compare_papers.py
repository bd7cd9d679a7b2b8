# compare_papers.py - published headlines beside the closest that compare.py measures.
# SPDX-License-Identifier: Apache-2.0
"""Each entry names a system, its figure and conditions, how to compute ours from the cells, and one sentence on why the two
differ. Figures are from the papers (arXiv numbers given); none is ours."""


class Cells:
    def __init__(self, data):
        self.by = {(c["kind"], c["format"], c["workload"], c["pruning"]): c for c in data["cells"] if not c["refused"]}
        self.kinds = {k["kind"]: k for k in data["kinds"]}

    def get(self, kind, fmt, workload="llm", pruning="dense"):
        return self.by.get((kind, fmt, workload, pruning))


def per_area(c, n="many"):
    return c and c.get(n, {}).get("lut4eq_per_mac_per_cycle")


def speed(cells, pairs, n="many"):
    """Speed at equal LUTs of the first cell over the second, for each pair ((cell), (cell))."""
    found = []
    for a, b in pairs:
        x, y = per_area(cells.get(*a), n), per_area(cells.get(*b), n)
        if x and y:
            where = " ".join(([a[2]] if len(a) > 2 else ["llm"]) + ([a[3]] if len(a) > 3 and a[3] != "dense" else []))
            found.append("%.2fx %s %s over %s %s (%s)" % (y / x, a[0], a[1], b[0], b[1], where))
    return "; ".join(found)


def cycles(cells, pairs):
    found = []
    for a, b in pairs:
        x, y = cells.get(*a), cells.get(*b)
        if x and y:
            found.append("%.2fx in cycles: %s over %s" % (y["many"]["cycles"] / x["many"]["cycles"],
                                                            " ".join(a), " ".join(b)))
    return "; ".join(found)


def bits(cells, *names):
    return "; ".join("%.3f bits/weight (%s)" % (cells.get(*n)["bits_per_weight"], " ".join(n)) for n in names if cells.get(*n))


def energy(cells, pairs):
    found = []
    for a, b in pairs:
        x, y = cells.get(*a), cells.get(*b)
        if x and y and "energy_per_mac" in x and "energy_per_mac" in y:
            found.append("%.2fx less switching: %s over %s" % (y["energy_per_mac"] / x["energy_per_mac"], " ".join(a), " ".join(b)))
    return "; ".join(found)


def per_lane(cells, a, b):
    x, y = cells.kinds.get(a), cells.kinds.get(b)
    if not (x and y and x.get("lut4eq") and y.get("lut4eq")):
        return ""
    x, y = (k["lut4eq"] / k["rows"] / k["lanes"] for k in (x, y))
    return "%+.0f %% LUT4eq per row and lane: %s %.1f, %s %.1f" % (100 * (x / y - 1), a, x, b, y)


def both(f, kind, fmt, base="mac", base_fmt=None, pruning="dense"):
    return lambda c: f(c, [((kind, fmt, w, pruning), (base, base_fmt or fmt, w, pruning)) for w in ("llm", "cnn")])


PAPERS = [
    ("LUT Tensor Core (2408.06003)", "area and power, W1", "4-6x less than a MAC tensor core (synthesized, 28 nm)",
     lambda c: speed(c, [(("lut4", "bipolar1"), ("mac", "bipolar1")), (("lut", "bipolar1"), ("mac", "bipolar1"))]),
     "Theirs compares with FP16 multipliers and leaves building the table to another unit; ours compares with int8, and each "
     "tile builds its tables."),
    ("LUT Tensor Core (2408.06003)", "BitNet 3B end to end, W2A8", "1.90x / 2.9x over the INT8 tensor core at 60 % / 120 % of its "
     "area (simulator)",
     lambda c: speed(c, [((k, "ternary"), ("mac", "ternary")) for k in ("lut", "lut4", "lut3")]),
     "Theirs pairs a simulated GPU with more units per area; this is the tile alone at equal LUTs. A LUT4 selects from two "
     "entries as cheaply as it adds, so pairs (lut) beat tables of four lanes (lut4) here, unlike in silicon."),
    ("LUT Tensor Core (2408.06003)", "W4A8", "no win over MACs in its own sweep",
     lambda c: speed(c, [((k, "int4"), ("mac", "int4")) for k in ("lut", "lut4", "lut3")]),
     "mac is built for eight bits and pays for them at four; a 4-bit MAC would be about half its size."),
    ("LUT Tensor Core (2408.06003)", "density over UNPU, W2A8", "1.44x",
     lambda c: speed(c, [(("lut4", "int2"), ("bitserial", "int2")), (("lut", "int2"), ("bitserial", "int2"))]),
     "UNPU is a full-table unit; the nearest here is bit-serial weights without any table."),
    ("BitMoD (2411.11745)", "speed, W4 / W3, over ANT and OliVe", "1.69x / 1.48x (mean, simulator, 16-bit activations)",
     lambda c: speed(c, [(("term", "fp4"), ("ant", "ant4")), (("term", "fp4"), ("olive", "olive4")), (("term", "fp3"), ("ant", "ant4"))]),
     "Theirs uses FP16 activations, whose alignment dwarfs the weight's side, and counts memory traffic; ours is int8 and "
     "compute-bound."),
    ("BitMoD (2411.11745)", "speed, INT6, over FP16 MACs", "1.99x / 2.41x",
     both(speed, "term", "int6"), "Theirs is against FP16 units; ours against int8 ones, which are several times smaller."),
    ("BitMoD (2411.11745)", "area of a PE", "24 % below an FP16 PE (28 nm)", lambda c: per_lane(c, "term", "mac"),
     "The baselines differ as above: there is no FP16 anywhere here."),
    ("MixPE (2411.16158)", "speed, W4A8", "2.6x over INT8 accelerators (simulator, four times the PEs at assumed equal area)",
     both(speed, "shiftadd", "int4"), "The paper assumes its area ratio; here both tiles are synthesized, with trees and accumulators, "
     "which a PE without a multiplier needs just as well."),
    ("MixPE (2411.16158)", "energy, W4A8", "1.4x less", both(energy, "shiftadd", "int4"),
     "Theirs includes memories; ours is the tile's switching alone."),
    ("Laconic (1805.04513)", "speed", "2.3x at 128 weight wires over 2K bit-parallel ones, 15.4x at 1K (CNNs, 16 and 8 bits)",
     both(speed, "laconic", "int8"),
     "Theirs compares at equal wires, with 16-bit operands that have few terms; at int8 and equal area both sides' terms "
     "multiply into more cycles than a multiplier's one."),
    ("DPRed (1804.06732)", "speed", "2.61x over 16-bit data-parallel (CNNs)", both(speed, "dpred", "int8"),
     "Sixteen bits shrink to what a group needs much further than eight do; at int8 the sign and most magnitude bits are in use."),
    ("Bit-Tactical TCLp (1803.03688)", "speed", "5.05x over dense 16-bit, +22 % area (pruned CNNs)",
     lambda c: "; ".join(filter(None, [both(speed, "tclp", "int8", pruning="half")(c),
                                       cycles(c, [(("tclp", "int8", w, "half"), ("tclp", "int8", w, "dense")) for w in ("llm", "cnn")])])),
     "The window of three steps bounds the gain of skipped weights to 1.85x at half zeros; the rest of theirs comes from 16-bit "
     "activations."),
    ("Bit-Tactical TCLe (1803.03688)", "speed", "above TCLp (no single figure)",
     lambda c: "; ".join(filter(None, [both(speed, "tcle", "int8", pruning="half")(c),
                                       cycles(c, [(("tcle", "int8", w, "half"), ("tcle", "int8", w, "dense")) for w in ("llm", "cnn")])])),
     "As for TCLp."),
    ("TeLLMe v2 (2510.15926)", "bits per ternary weight", "1.667", lambda c: bits(c, ("tlut", "ternary"), ("lut", "ternary")),
     "The code is the same; padding of rows to the array and scales come on top here."),
    ("TeLLMe v2 (2510.15926)", "decode", "25 tokens/s of a 0.73B model on a KV260",
     lambda c: speed(c, [(("tlut", "ternary"), ("mac", "ternary")), (("tlut", "ternary"), ("lut", "ternary"))]),
     "A board's tokens need a board: here is only what the lookup unit is worth at equal LUTs."),
    ("FlightLLM (2401.03868)", "N:M sparsity, DSP efficiency", "1.6x",
     lambda c: "; ".join(filter(None, [f(c, [((k, "int8", "llm", "2:4"), ("mac", "int8", "llm", "2:4")) for k in ("nm", "nm16")])
                                       for f in (cycles, speed)])),
     "Theirs counts DSP blocks that a sparse chain keeps busy; ours LUTs, where the selectors cost as much as small multipliers."),
    ("AccLLM (2505.03745)", "bits per weight, W2 2:4", "2.0 (2-bit codes and positions)",
     lambda c: "; ".join(filter(None, [bits(c, ("nm", "int2", "llm", "2:4"), ("nm", "ternary", "llm", "2:4"), ("nm", "int4", "llm", "2:4")),
                                       speed(c, [(("nm", "int4", "llm", "2:4"), ("mac", "int4", "llm", "2:4"))])])),
     "Its 2.98x over FlightLLM in tokens per second is a simulation of a whole board with a 2-bit model; only the PE is here."),
    ("OliVe (2304.07493)", "speed over ANT", "3.7x at 4-bit weights and activations (simulator)",
     lambda c: speed(c, [(("olive", "olive4"), ("ant", "ant4")), (("olive", "olive4"), ("mac", "olive4"))]),
     "Here both have the same four weight bits and int8 activations, so only decoders and multipliers differ; what fewer layers at "
     "8 bits gain for OliVe is not seen."),
    ("DFloat11 (2504.11651)", "size of bf16 weights", "-30 %, exact", lambda c: "",
     "A decoder in front of a tile, no PE: see docs/core.md and its own testbench."),
    ("SqueezeLLM, SpQR, AWQ, COMET, arbitrary-precision GPU kernels", "speed on a GPU", "1.15x to 2.9x over fp16", lambda c: "",
     "GPU kernels: nothing on this page runs on one. Of their formats, the codebooks are among the columns above."),
    ("HAWQ-V3, KVQuant, ZeroQuant(4+2), early sparsification of Whisper", "latency of mixed widths, perplexity, speed",
     "-23 % latency; < 0.1; as FP16; 1.6x", lambda c: "",
     "Quality and allocation of bits: not a property of a PE. accel perplexity measures quality."),
]

PEERS = [   # LUT4eq per MAC per cycle at 1, 2, 4, 8 bits, measured with synth_ecp5 of yosys 0.23; None: it cannot
    ("textbook int8 dot product of 16, row multipliers", (None, 41.6, 79.5, 155.3), "one netlist for each width"),
    ("textbook bit planes, AND mask", (22.5, 45.0, 90.0, 180.0), "any width at run time"),
    ("BISMO (b388d78)", (47.4, 94.8, 189.5, 379.0), "sketch; also any width of activations, counted at 8"),
    ("BARVINN MVU (221fabf)", (83.8, 167.5, 335.0, 670.0), "its sources"),
    ("RBE (13dd027)", (56.3, 112.5, 225.0, 450.0), "sketch, without accumulators"),
    ("NEUREKA (ff7090e)", (44.3, 88.7, 177.0, 355.0), "sketch, without accumulators and normalization"),
    ("LUT Tensor Core array, K = 4 (db9437f)", (29.5, 59.0, 118.0, 236.0), "sketch with int8 tables, without what builds them"),
    ("TernaryCore (df0d30a)", (None, 50.0, None, 420.0), "its sources; ternary, and an int8 dot product"),
    ("tiny158 (1ba434f)", (None, 143.9, None, None), "its sources; ternary, with its output queue"),
]


def rows(data):
    cells = Cells(data)
    return [{"system": s, "metric": m, "published": p, "ours": ours(cells) or "not measured in this run", "why": why}
            for s, m, p, ours, why in PAPERS]


def peers(data):
    """Ours first: each kind's best complete tile, from the dense language model's layers."""
    cells = Cells(data)
    own = []
    for k in data["kinds"]:
        names = (("bipolar1",), ("int2", "ternary"), ("int4",), ("int8",))
        values = [next((v for v in (per_area(cells.get(k["kind"], f)) for f in fs) if v), None) for fs in names]
        if any(values):
            own.append(("here: " + k["kind"], values, "complete tile, stalls included"))
    return own + [(u, v, r) for u, v, r in PEERS]
