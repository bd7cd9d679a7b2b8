/* main.c - the accel command: picks the subcommand.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <signal.h>
#include <string.h>

#define REPORT FLAG(JSON)
#define LLM \
    (FLAG(MODEL) | FLAG(FORMAT) | FLAG(GROUP) | FLAG(CONTEXT) | FLAG(KV) | FLAG(DEADLINE) | REPORT)

static int run_record(const struct options *o);

static const struct command commands[] = {
    { "list", "list the devices that can be opened",
      "Prints the URI and a description of every device, one a line.", REPORT, 0, 0, run_list },
    { "info", "describe a device or a model",
      "With -m, describes the model and how each tensor type maps to the device's formats.\n"
      "With -d, describes the device. With neither, prints which PE kind runs which weight format,\n"
      "and why not the others.",
      FLAG(DEVICE) | FLAG(MODEL) | FLAG(FORMAT) | FLAG(GROUP) | REPORT, 0, 0, run_info },
    { "run", "go on with a text",
      "Prints the prompt and what the model adds to it, token by token, until -n tokens, the end\n"
      "of the text or a full context; then what it cost.",
      LLM | FLAG(DEVICE) | FLAG(PROMPT) | FLAG(COUNT) | FLAG(TEMPERATURE) | FLAG(SEED) |
          FLAG(TOP_K) | FLAG(TOP_P) | FLAG(ACT) | FLAG(CLOCK) | FLAG(LINK),
      256, 0, run_run },
    { "perplexity", "measure how well a model predicts a text",
      "Counts as llama.cpp does: whole chunks of 512 tokens, the second half of each scored.",
      LLM | FLAG(DEVICE) | FLAG(TEXT) | FLAG(CHUNKS) | FLAG(ACT), 0, 0, run_perplexity },
    { "eval", "compare models and formats with a reference",
      "Scores a text with each model and prints perplexity, KL divergence to the reference, how\n"
      "often the likeliest token is the reference's, and what each costs: a table, or JSON for\n"
      "tools/eval_page.py. A model of float tensors has a line for each --format and --plan, and each\n"
      "line one for each --kv. The reference is --ref, else the first model of float tensors. Cycles\n"
      "are those of -d.",
      FLAG(FILES) | FLAG(REFERENCE) | FLAG(TEXT) | FLAG(TRIALS) | FLAG(PLANS) | FLAG(GROUP) |
          FLAG(KVS) | FLAG(CHUNKS) | FLAG(DEVICE) | FLAG(SAVE) | FLAG(COUNT) | FLAG(ACT) | REPORT,
      4, 0, run_eval },
    { "quantize", "make a low-bit model of one of float tensors",
      "Writes the model anew with its matrices in the type that --format names, or in the best\n"
      "that fits --bits; with --budget each in its own, as accel allocate picks them. With --calib or\n"
      "--self-calib the codes are chosen to keep what the matrices put out (GPTQ, then scales and codes\n"
      "in turn); else each weight takes the nearest value, with scales searched for. docs/quantize.md has\n"
      "the rest.",
      FLAG(FILES) | FLAG(OUTPUT) | FLAG(TYPE) | FLAG(HEAD) | FLAG(BITS) | FLAG(CALIBRATION) |
          FLAG(SELF) | FLAG(NEAREST) | FLAG(COUNT) | FLAG(PLANS) | FLAG(SEED) | FLAG(THREADS) |
          FLAG(BUDGET) | FLAG(BY) | FLAG(DEVICE) | REPORT,
      8192, 0, run_quantize },
    { "fold", "prepare a float model for quantize",
      "Moves a factor for each channel from the inputs of matrices into the matrices, so that the model computes\n"
      "the same but loses less in low bits: AWQ, or SmoothQuant. hadamard and resq rotate the residual stream\n"
      "instead. Give quantize the result, and here the --format or --bits that it will get.",
      FLAG(FILES) | FLAG(OUTPUT) | FLAG(TYPE) | FLAG(BITS) | FLAG(METHOD) | FLAG(ALPHA) |
          FLAG(CALIBRATION) | FLAG(SELF) | FLAG(COUNT) | FLAG(SEED) | FLAG(THREADS) | REPORT,
      8192, 0, run_fold },
    { "allocate", "pick a format for each matrix under a budget",
      "Measures what each matrix of a float model loses in each --format, alone and with the others,\n"
      "and writes the picks that lose least within --budget as a plan for accel quantize and eval.\n"
      "Bytes and cycles are those of -d. Default formats: int2:32, fp3:64, int3:32, codebook3,\n"
      "int4:64, int4:32, codebook4, int5:64, int6:64, int8:64.",
      FLAG(MODEL) | FLAG(TRIALS) | FLAG(GROUP) | FLAG(BUDGET) | FLAG(BY) | FLAG(NEAREST) |
          FLAG(CALIBRATION) | FLAG(COUNT) | FLAG(SEED) | FLAG(OUTPUT) | FLAG(DEVICE) | REPORT,
      2048, 0, run_allocate },
    { "verify", "compare the logits of two devices bit for bit",
      "Runs the prompt and -n tokens on both devices and compares every logit. Prints\n"
      "\"identical\" and exits with 0 only if all are equal; exits with 3 at the first that is\n"
      "not. With one -d compares with cpu:, with none sim: with cpu:.",
      LLM | FLAG(DEVICES) | FLAG(PROMPT) | FLAG(COUNT) | FLAG(ACT), 16, 0, run_verify },
    { "bench", "measure devices and formats",
      "Runs a prompt of 64 tokens and -n more on every device in every format. Default model:\n" BENCH_MODEL
      ". Default devices: all that accel list shows. Default\n"
      "formats: bipolar1, ternary, int2, int3, int4, int6, int8 for a model of float tensors; the\n"
      "file's own for any other. Default group: 128.",
      FLAG(MODEL) | FLAG(DEVICES) | FLAG(COUNT) | FLAG(FORMATS) | FLAG(GROUP) | FLAG(SAVE) | REPORT,
      16, 0, run_bench },
    { "selftest", "compare a device with the reference on random jobs",
      "Runs random matrices of every format and group size on the device and on cpu: and\n"
      "compares every result bit. Exits with 3 at the first difference.",
      FLAG(DEVICE) | FLAG(SEED) | FLAG(JOBS) | REPORT, 0, 3, run_selftest },
    { "bringup", "walk a new board step by step",
      "Reads and writes registers, runs jobs of growing size and of every format, compares each\n"
      "with cpu:, and measures. Stops at the first step that fails, with a hint.",
      FLAG(DEVICE) | FLAG(SEED) | REPORT, 0, 0, run_bringup },
    { "peek", "read registers of a board",
      "Prints each REGISTER, by name or number, or all that have a name. No session begins: what runs\n"
      "goes on. A board at USB answers even if its streams are stuck or another process uses it.",
      FLAG(DEVICE) | FLAG(REGISTERS) | REPORT, 0, 0, run_peek },
    { "poke", "write registers of a board",
      "Writes each register, by name or number, as accel peek reads them.",
      FLAG(DEVICE) | FLAG(VALUES), 0, 0, run_poke },
    { "reset", "stop whatever a board does and empty its buffers",
      "A job that this cuts off begins again by itself, also in another process.", FLAG(DEVICE), 0,
      0, run_reset },
    { "load", "load firmware into a board's processor",
      "Writes FILE, which make firmware made, into the memory of the processor beside the core, reads it\n"
      "back and starts it. It stays there until the board is reset or loses its power.",
      FLAG(DEVICE) | FLAG(RECORDING), 0, 0, run_load },
    { "update", "put gateware and firmware into a board",
      "Says what the board reports and what will be done, then has openFPGALoader load the bitstream, loads the\n"
      "firmware, and shows what the board reports now. The bitstream has to be for the FPGA of --board, by what\n"
      "the file says. Both stay until power is off, firmware until a reset; OrangeCrab keeps its gateware.",
      FLAG(DEVICE) | FLAG(GATEWARE) | FLAG(FIRMWARE) | FLAG(BOARD) | FLAG(FORCE), 0, 0,
      run_update },
    { "record", "write down what crosses the link to a board",
      "Runs COMMAND, another of these, with its flags, and keeps all bytes to and from the board that\n"
      "its -d names in FILE: accel record session.rec selftest -d usb:",
      FLAG(COMMAND), 0, 0, run_record },
    { "replay", "send a device what was recorded",
      "Sends a board, or accel-board, what FILE says was sent to another, and compares what it answers\n"
      "with what was recorded. Exits with 3 at the first difference.",
      FLAG(DEVICE) | FLAG(RECORDING) | REPORT, 0, 0, run_replay },
    { "compare", "run the same jobs on every PE kind in every format",
      "Weights and activations of a model's middle layer, dense, half of them pruned, and two of\n"
      "every four, on one device of each kind. Formats of two bits or less take the ternary model\n"
      "where they hold its weights. What a kind cannot run keeps its row, with the reason. Exits\n"
      "with 3 if a result is not that of cpu:. Default model: " BENCH_MODEL ".",
      FLAG(MODEL) | FLAG(DEVICES) | FLAG(KINDS) | FLAG(FORMATS) | FLAG(PROMPT) | FLAG(VECTORS) |
          FLAG(PRUNING) | FLAG(SAMPLE) | REPORT,
      0, 0, run_compare },
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_help(FILE *out)
{
    fprintf(out,
            "accel %s - low-bit language models on an open accelerator\n\n"
            "Usage: accel COMMAND [flags]\n\nCommands:\n",
            accel_version_string());
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "\naccel COMMAND --help lists a command's flags. "
                 "Exit codes: 0 done, 1 failed, 2 usage,\n"
                 "3 mismatch, 10 to 23 an error of the library (10 + its number).\n");
}

static int run_record(const struct options *o)
{
    struct options inner;
    char uri[512];
    if (!o->rest_count)
        return usage_error(
            "record: name a file and a command, as in accel record FILE run -d usb:");
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(o->rest[0], commands[i].name) != 0 || commands[i].run == run_record)
            continue;
        int rc = parse_options(&commands[i], o->rest_count, o->rest, &inner);
        if (rc >= 0)
            return rc;
        rc = record_board(&inner, o->files[0], uri, sizeof uri);
        return rc ? rc : commands[i].run(&inner);
    }
    return usage_error("record: no command \"%.40s\"; accel --help lists them", o->rest[0]);
}

int main(int argc, char **argv)
{
    struct options o;
    /* A reader that leaves (accel run | head) then shows as a write error, and we end in order. */
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return finish_output();
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("accel %s\n", accel_version_string());
        return finish_output();
    }
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        int rc = parse_options(&commands[i], argc - 1, argv + 1, &o);
        if (rc >= 0)
            return rc;
        rc = commands[i].run(&o);
        int written = finish_output();
        return rc ? rc : written;
    }
    return usage_error("no command \"%.40s\"; accel --help lists them", argv[1]);
}
