/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usage: vlapic_bench [--json FILE] [--count] [NAME...]
 *   --count  one burst of each row for callgrind (bench/instructions), nothing is timed
 *   NAME     rows whose name begins so; default: all
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static FILE *json;
static bool json_first = true;
static int failures;

static void write_json(const char *name, double ns, double floor_ns)
{
    if (json != NULL) {
        fprintf(json, "%s\n  {\"name\": \"%s\", \"ns\": %.3f, \"floor_ns\": %.3f}", json_first ? "[" : ",", name, ns,
                floor_ns);
        json_first = false;
    }
}

static bool wanted(const char *name, char **names, int count)
{
    for (int i = 0; i < count; i++) {
        if (strncmp(name, names[i], strlen(names[i])) == 0) {
            return true;
        }
    }
    return count == 0;
}

static void report_thread(const char *name, double ns, double floor_ns)
{
    printf("%-32s %9.2f %9.2f %7.2f\n", name, ns, floor_ns, ns / floor_ns);
    write_json(name, ns, floor_ns);
}

static void run_row(const struct bench_row *row, const struct bench_floor *floor_of)
{
    struct bench_machine *m = bench_machine_make(row->vcpus, row->mode, 1);

    if (floor_of == NULL) {
        if (!bench_count(m, row)) {
            failures++;
            fprintf(stderr, "%s: wrong result\n", row->name);
        }
        printf("%s %u %u\n", row->name, row->burst, row->per);
    } else {
        struct bench_result result = bench_measure(m, row);
        /* One call is the embedder's, into the library. */
        double floor_ns = row->locked * floor_of->locked + (row->calls + 1) * floor_of->call +
                          row->clocks * floor_of->clock;

        failures += !result.correct;
        printf("%-32s %9.2f %9.2f %7.2f   %4.2f%s\n", row->name, result.ns, floor_ns, result.ns / floor_ns,
               result.spread, result.correct ? "" : "  WRONG RESULT");
        write_json(row->name, result.ns, floor_ns);
    }
    bench_machine_free(m);
}

static void run_table(const struct bench_table *table, const struct bench_floor *floor_of, char **names, int count)
{
    for (size_t i = 0; i < table->count; i++) {
        if (wanted(table->rows[i].name, names, count)) {
            run_row(&table->rows[i], floor_of);
        }
    }
}

static void run_all(const struct bench_floor *floor_of, char **names, int count)
{
    run_table(&bench_guest_rows, floor_of, names, count);
    run_table(&bench_message_rows, floor_of, names, count);
    run_table(&bench_life_rows, floor_of, names, count);
    if (floor_of != NULL && wanted("threads", names, count)) {
        bench_threads(report_thread);
    }
    if (floor_of != NULL && wanted("scale", names, count)) {
        failures += !bench_scale();
    }
}

static void time_all(char **names, int count)
{
    struct bench_floor floor_of = bench_measure_floor();

    printf("floor: locked operation %.2f ns, call through a pointer %.2f ns, clock read %.2f ns\n\n", floor_of.locked,
           floor_of.call, floor_of.clock);
    printf("%-32s %9s %9s %7s   %s\n", "operation", "ns", "floor", "ratio", "p90/p50");
    run_all(&floor_of, names, count);
}

int main(int argc, char **argv)
{
    bool count = false;
    int at = 1;

    for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
        if (strcmp(argv[at], "--count") == 0) {
            count = true;
        } else if (strcmp(argv[at], "--json") == 0 && at + 1 < argc) {
            json = fopen(argv[++at], "w");
        } else {
            fprintf(stderr, "usage: vlapic_bench [--json FILE] [--count] [NAME...]\n");
            return 2;
        }
    }
    if (count) {
        run_all(NULL, argv + at, argc - at);
    } else {
        time_all(argv + at, argc - at);
    }
    if (json != NULL) {
        fprintf(json, "%s\n", json_first ? "[]" : "\n]");
        fclose(json);
    }
    if (failures != 0) {
        fprintf(stderr, "%d rows with a wrong result\n", failures);
    }
    return failures != 0;
}
