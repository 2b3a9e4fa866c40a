/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs the files named, and those in the directories named, through a harness: what a fuzzer found stays checked without one. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static _Noreturn void fail(const char *path)
{
    perror(path);
    exit(1);
}

/* The block is as large as the input, so that an address sanitizer sees every read beyond it. */
static unsigned replay_file(const char *path, size_t size)
{
    uint8_t *data = malloc(size != 0 ? size : 1);
    FILE *file = fopen(path, "rb");

    if (data == NULL || file == NULL || fread(data, 1, size, file) != size) {
        fail(path);
    }
    fclose(file);
    printf("%s\n", path);
    fflush(stdout); /* the last line names the culprit */
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 1;
}

static unsigned replay(const char *path);

static unsigned replay_directory(const char *path)
{
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    unsigned replayed = 0;

    if (count < 0) {
        fail(path);
    }
    for (int i = 0; i < count; i++) {
        char name[4096];

        snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.') {
            replayed += replay(name);
        }
        free(entries[i]);
    }
    free(entries);
    return replayed;
}

static unsigned replay(const char *path)
{
    struct stat status;

    if (stat(path, &status) != 0) {
        fail(path);
    }
    return S_ISDIR(status.st_mode) ? replay_directory(path) : replay_file(path, (size_t)status.st_size);
}

int main(int argc, char **argv)
{
    static const uint8_t nothing[1];
    unsigned replayed = 0;

    LLVMFuzzerTestOneInput(nothing, 0);
    for (int i = 1; i < argc; i++) {
        replayed += replay(argv[i]);
    }
    printf("%u inputs and the empty one\n", replayed);
    if (argc > 1 && replayed == 0) {
        fprintf(stderr, "no inputs\n");
        return 1;
    }
    return 0;
}
