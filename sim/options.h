/* options.h - flags of the programs that simulate a board: each has one value, a number or a text.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_SIM_OPTIONS_H
#define ACCEL_SIM_OPTIONS_H

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

struct Option {
    const char *name; /* "--seed" */
    uint64_t *number; /* or nullptr: a text */
    std::string *text;
};

[[noreturn]] inline void usage(const char *text, int status)
{
    std::fputs(text, status ? stderr : stdout);
    std::exit(status);
}

/* Ends the program for --help, and with the help and status 2 for what it does not know. */
inline void parse_options(int argc, char **argv, const char *help,
                          const std::vector<Option> &options)
{
    for (int i = 1; i < argc; i++) {
        if (!std::strcmp(argv[i], "-h") || !std::strcmp(argv[i], "--help"))
            usage(help, 0);
        const Option *found = nullptr;
        for (const Option &o : options)
            if (!std::strcmp(argv[i], o.name))
                found = &o;
        const char *value = i + 1 < argc ? argv[++i] : nullptr;
        if (!found || !value)
            usage(help, 2);
        if (found->text) {
            *found->text = value;
            continue;
        }
        char *end;
        *found->number = std::strtoull(value, &end, 0);
        if (!*value || *end)
            usage(help, 2);
    }
}

#endif
